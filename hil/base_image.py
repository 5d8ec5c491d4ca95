"""The image that our images are built in: Debian's from a registry or, where none answers, made by debootstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from mico.errors import ToolError

__all__ = ["LOCAL", "REGISTRY", "base_image", "bootstrap"]

REGISTRY = "debian:bookworm-slim"
LOCAL = "mico-base:bookworm"
_TIMEOUT_S = 900
_NEEDLESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/log")


def base_image(client: docker.DockerClient, say: Callable[[str], None]) -> str:
    """Name of the base image, which the engine has afterwards; ``MICO_BASE_IMAGE`` names another one.

    Raises
    ------
    ToolError
        No registry answers, and debootstrap is missing, not allowed or fails.
    """
    chosen = os.environ.get("MICO_BASE_IMAGE")
    for name in (chosen,) if chosen else (REGISTRY, LOCAL):
        try:
            client.images.get(name)
            return name
        except ImageNotFound:
            continue
    wanted = chosen or REGISTRY
    try:
        say(f"pulling {wanted}")
        client.images.pull(wanted)
        return wanted
    except (APIError, DockerException) as error:
        reason = getattr(error, "explanation", None) or str(error)
        if chosen:
            raise ToolError(
                f"the base image cannot be pulled: {reason}", where=wanted, cure="MICO_BASE_IMAGE"
            ) from error
    say(f"no image registry answers ({reason}): {LOCAL} is made with debootstrap, about a minute")
    bootstrap(client)
    return LOCAL


def bootstrap(client: docker.DockerClient, name: str = LOCAL) -> None:
    """Import Debian bookworm, as debootstrap installs it, as image *name*.

    Packages come from ``MICO_DEBIAN_MIRROR`` where that is set, else from where debootstrap takes them by itself.

    Raises
    ------
    ToolError
        debootstrap is missing, not allowed, or fails.
    """
    program = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin:/sbin")
    if program is None:
        raise ToolError("debootstrap is missing", where="PATH", cure="apt-get install debootstrap")
    if os.geteuid() != 0:
        raise ToolError(
            "only root can make a base image", where="debootstrap", cure=f"sudo, or import {REGISTRY} from elsewhere"
        )
    mirror = os.environ.get("MICO_DEBIAN_MIRROR")
    with tempfile.TemporaryDirectory(prefix="mico-base-") as folder:
        root, archive = Path(folder) / "root", Path(folder) / "base.tar"
        _run([program, "--variant=minbase", "bookworm", str(root), *([mirror] if mirror else [])])
        for needless in _NEEDLESS:
            shutil.rmtree(root / needless, ignore_errors=True)
            (root / needless).mkdir(parents=True)
        _run(["tar", "--numeric-owner", "--one-file-system", "-C", str(root), "-cf", str(archive), "."])
        repository, _, tag = name.partition(":")
        client.api.import_image_from_file(str(archive), repository, tag, changes=['CMD ["/bin/sh"]'])
        shutil.rmtree(root, ignore_errors=True)


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"did not end within {_TIMEOUT_S} s", where=command[0], cure="is the mirror slow?") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise ToolError(f"failed with exit code {done.returncode}\n{tail}", where=command[0])
