"""The container engine: a client whose errors are ours, and containers that belong to a process.

Every container that we start carries labels that name the process that started it; :func:`reap` removes those whose
process is gone. A pid means something within one boot and one pid namespace only: the labels say which.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from hil.processes import born
from mico.errors import DeviceError

__all__ = ["connect", "engine_errors", "owner_labels", "reap"]

_TIMEOUT_S = 60.0
_GONE = (404, 409)  # removed, or about to be
_SPACE, _PID, _BORN = "mico.owner.space", "mico.owner.pid", "mico.owner.born"


def connect(timeout_s: float = _TIMEOUT_S) -> docker.DockerClient:
    """A client of the engine at ``DOCKER_HOST``, or at the local socket.

    Raises
    ------
    DeviceError
        None answers.
    """
    where = os.environ.get("DOCKER_HOST", "/var/run/docker.sock")
    try:
        client = docker.from_env(timeout=timeout_s)
        client.ping()
    except (DockerException, requests.RequestException) as error:
        raise DeviceError(
            f"no container engine answers: {error}",
            where=where,
            cure="start dockerd, join the group docker, or set DOCKER_HOST",
        ) from error
    return client


@contextlib.contextmanager
def engine_errors(what: str, where: str, cure: str = "") -> Iterator[None]:
    """What the engine refuses, as a DeviceError."""
    try:
        yield
    except APIError as error:
        raise DeviceError(f"{what}: {error.explanation or error}", where=where, cure=cure) from error
    except (DockerException, requests.RequestException) as error:
        raise DeviceError(
            f"{what}: the container engine does not answer: {error}", where=where, cure="is dockerd running?"
        ) from error


def owner_labels() -> dict[str, str]:
    """Labels of a container that belongs to this process."""
    pid = os.getpid()
    return {_SPACE: _pid_space(), _PID: str(pid), _BORN: str(born(pid))}


def reap(client: docker.DockerClient) -> list[str]:
    """Remove the containers of processes of this machine that have ended; their names."""
    removed = []
    for container in client.containers.list(all=True, filters={"label": f"{_SPACE}={_pid_space()}"}):
        labels = container.labels
        try:
            alive = born(int(labels[_PID])) == int(labels[_BORN])
        except (KeyError, ValueError):
            continue  # not ours
        if not alive and remove(container):
            removed.append(container.name)
    return removed


def remove(container: docker.models.containers.Container) -> bool:
    """Kill and remove *container*; False where somebody else has done so."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return False
    except APIError as error:
        if error.status_code in _GONE:
            return False
        raise
    return True


def _pid_space() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}-{os.stat('/proc/self/ns/pid').st_ino}"
