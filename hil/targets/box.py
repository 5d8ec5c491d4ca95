"""A container that runs for a target: limited, labelled, watched, and removed at the end."""

from __future__ import annotations

import contextlib
import threading
import uuid
import warnings
from collections import deque
from typing import Any

import docker
import requests
from docker.errors import DockerException

from hil.engine import engine_errors, owner_labels, remove
from mico.errors import DeviceError, MicoError

__all__ = ["LINGER_S", "Box", "box_options"]

LINGER_S = 5
"""A container whose bench is gone ends after so many seconds."""
_LOG_LINES = 20
_END_S = 5.0


def box_options(
    image: str, name: str, ports: tuple[str, ...], *, cpus: float | None, memory: str | None, processes: int
) -> dict[str, Any]:
    """How a container of *image* is created: no privileges, *ports* on the loopback interface, ours by its labels."""
    session = uuid.uuid4().hex[:12]
    limits: dict[str, Any] = {"pids_limit": processes}
    if cpus is not None:
        limits["nano_cpus"] = round(cpus * 1e9)
    if memory is not None:
        limits |= {"mem_limit": memory, "memswap_limit": memory}
    return {
        "image": image,
        "name": f"mico-{name}-{session}",
        "labels": {**owner_labels(), "mico.session": session, "mico.target": name},
        "ports": {port: ("127.0.0.1", None) for port in ports},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "log_config": docker.types.LogConfig(type="json-file", config={"max-size": "1m"}),
        "auto_remove": True,
        "detach": True,
        **limits,
    }


class Box:
    """A container that runs: what it prints is kept, and how it ended, for it removes itself with its logs."""

    def __init__(self, client: docker.DockerClient, options: dict[str, Any]) -> None:
        self._client = client
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        self._exit: dict[str, Any] = {}
        self._container = client.containers.create(**options)
        self.id = str(self._container.id)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._await_end)]
        try:
            output = self._container.attach(stdout=True, stderr=True, stream=True)
            self._output = output
            for thread in self._threads:
                thread.start()
            self._container.start()
            self._container.reload()
        except BaseException:
            remove(self._container)
            raise

    def address(self, port: str) -> str:
        """``host:port`` where *port* of the container is published."""
        published = self._container.ports.get(port)
        if not published:
            raise DeviceError(f"the container ended at once: {self._told()}", where=self.id[:12])
        return f"{published[0]['HostIp']}:{published[0]['HostPort']}"

    def lines(self) -> list[str]:
        return list(self._lines)

    def ended(self, name: str, within_s: float) -> MicoError | None:
        """How it ended, or None if it still runs in so many seconds."""
        self._threads[1].join(within_s)
        if not self._exit:
            return None
        self._threads[0].join(_END_S)
        code = self._exit.get("StatusCode")
        cure = "killed from outside, or over its memory limit" if code == 137 else "what it printed says why"
        return DeviceError(
            f"the container ended with exit code {code}: {self._told()}", where=f"{name}, {self.id[:12]}", cure=cure
        )

    def close(self) -> None:
        """Kill and remove it; nothing of it is left. Safe to call twice, and without an engine."""
        try:
            with engine_errors("the container cannot be removed", self.id[:12], "docker rm -f"):
                remove(self._container)
        except DeviceError as error:
            warnings.warn(f"{error}; it ends by itself in {LINGER_S} s", RuntimeWarning, stacklevel=2)
        for thread in self._threads:
            thread.join(_END_S)
        self._client.close()

    def _told(self) -> str:
        return "it printed\n" + "\n".join(self._lines) if self._lines else "it printed nothing"

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(DockerException, requests.RequestException, OSError):
            for chunk in self._output:
                *whole, rest = (rest + chunk).split(b"\n")
                self._lines.extend(line.decode(errors="replace") for line in whole)
        if rest:
            self._lines.append(rest.decode(errors="replace"))

    def _await_end(self) -> None:
        try:
            self._exit = self._client.api.wait(self.id, timeout=None, condition="removed")
        except (DockerException, requests.RequestException, OSError) as error:
            self._exit = {"StatusCode": f"unknown ({error})"}
