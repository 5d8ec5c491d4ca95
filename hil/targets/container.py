"""A simulated SoC in a container that is started for this target: limited, watched, and removed at the end."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import deque
from typing import Any

import docker
import requests
from docker.errors import DockerException

from hil.engine import connect, engine_errors, owner_labels, reap, remove
from hil.images import Image, describe, find_image
from hil.link.port import Port
from hil.targets.soc_server import ServedSoc, SocServer
from mico.errors import DeviceError, MicoError

__all__ = ["ContainerTarget"]

LINGER_S = 5
"""A container whose bench is gone ends after so many seconds."""
_CONSOLE, _CONTROL = "5000/tcp", "5001/tcp"
_LOG_LINES = 20
_PROCESSES = 16
_END_S = 5.0


class ContainerTarget(SocServer):
    """The simulated SoC of an image, in a container of its own.

    The container ends and is removed with :meth:`close`; a few seconds after this process has died, however it died; or
    at the latest when the next bench on this machine opens a container. Its ports are on the loopback interface only.

    Parameters
    ----------
    image
        ``soc``: the one that ``mico images build`` makes of the sources as they are; or a full name.
    cpus, memory
        Limits, for instance 0.5 and ``512m``; None: none.
    name
        In messages and in the name of the container.
    timeout_s, infer_timeout_s, max_cycles
        As of :class:`hil.targets.soc_sim.SocSim`.
    """

    def __init__(
        self,
        image: str = "soc",
        *,
        cpus: float | None = None,
        memory: str | None = None,
        name: str = "container",
        timeout_s: float = 20.0,
        infer_timeout_s: float = 900.0,
        max_cycles: int = 0,
    ) -> None:
        # Where it listens is known when it runs.
        super().__init__(
            console="127.0.0.1:1", control="127.0.0.1:1", timeout_s=timeout_s, infer_timeout_s=infer_timeout_s
        )
        self.image, self.cpus, self.memory, self.name = image, cpus, memory, name
        self.max_cycles = max_cycles
        self._image: Image | None = None
        self._box: _Box | None = None

    def logs(self) -> list[str]:
        """The last lines that the container has printed."""
        self._opened()
        assert self._box is not None
        return self._box.lines()

    @property
    def container_id(self) -> str:
        """Of the container that runs; DeviceError while the target is closed."""
        self._opened()
        assert self._box is not None
        return self._box.id

    # ---- what ConsoleTarget asks

    def _connect(self) -> Port:
        client = connect()
        with engine_errors("the container does not start", self.name, "mico images list; docker logs; free memory?"):
            reap(client)
            self._look_up(client)
            self._box = _Box(client, self._options())
            self.console, self.control = self._box.address(_CONSOLE), self._box.address(_CONTROL)
        return super()._connect()

    def _disconnect(self) -> None:
        super()._disconnect()
        if self._box is not None:
            self._box.close()
            self._box = None

    # ---- details

    def _ended(self, within_s: float) -> MicoError | None:
        return self._box.ended(self.name, within_s) if self._box is not None else None

    def _soc(self) -> ServedSoc:
        if self._served is None:
            self._look_up(connect())
        assert self._served is not None
        return self._served

    def _look_up(self, client: docker.DockerClient) -> Image:
        """The image, found once: what is measured by one target is measured on one image."""
        if self._image is None:
            self._image = find_image(client, self.image)
            self._served = ServedSoc(describe(self._image), self._image.name)
        return self._image

    def _options(self) -> dict[str, Any]:
        assert self._image is not None
        session = uuid.uuid4().hex[:12]
        command = ["--linger", str(LINGER_S)]
        if self.max_cycles:
            command += ["--max-cycles", str(self.max_cycles)]
        limits: dict[str, Any] = {"pids_limit": _PROCESSES}
        if self.cpus is not None:
            limits["nano_cpus"] = round(self.cpus * 1e9)
        if self.memory is not None:
            limits |= {"mem_limit": self.memory, "memswap_limit": self.memory}
        return {
            "image": self._image.id,
            "command": command,
            "name": f"mico-{self.name}-{session}",
            "labels": {**owner_labels(), "mico.session": session, "mico.target": self.name},
            "ports": {port: ("127.0.0.1", None) for port in (_CONSOLE, _CONTROL)},
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "log_config": docker.types.LogConfig(type="json-file", config={"max-size": "1m"}),
            "auto_remove": True,
            "detach": True,
            **limits,
        }


class _Box:
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
        """Kill and remove it; nothing of it is left. Safe to call twice."""
        with engine_errors("the container cannot be removed", self.id[:12], "docker rm -f"):
            remove(self._container)
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
