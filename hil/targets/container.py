"""A simulated SoC in a container that is started for this target: limited, watched, and removed at the end."""

from __future__ import annotations

from typing import Any

import docker

from hil.engine import connect, engine_errors, reap
from hil.images import Image, describe, find_image
from hil.link.port import Port
from hil.targets.box import LINGER_S, Box, box_options
from hil.targets.soc_server import ServedSoc, SocServer
from mico.errors import MicoError

__all__ = ["ContainerTarget"]

_CONSOLE, _CONTROL = "5000/tcp", "5001/tcp"
_PROCESSES = 16


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
        self._box: Box | None = None

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
            self._box = Box(client, self._options())
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
        command = ["--linger", str(LINGER_S)]
        if self.max_cycles:
            command += ["--max-cycles", str(self.max_cycles)]
        options = box_options(
            self._image.id,
            self.name,
            (_CONSOLE, _CONTROL),
            cpus=self.cpus,
            memory=self.memory,
            processes=_PROCESSES,
        )
        return {**options, "command": command, "read_only": True}
