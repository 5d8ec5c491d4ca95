"""The simulated BitFusion accelerator in a container that is started for this target, and removed at the end."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any

import docker

from hil.engine import connect, engine_errors, reap
from hil.harness.bf_sim import Job, Memory, Report
from hil.images import Image, describe, find_image
from hil.targets.bitfusion_server import BitFusionServer
from hil.targets.box import LINGER_S, Box, box_options
from hil.targets.control_link import split_address
from mico.errors import DeviceError, MicoError

__all__ = ["BitFusionContainer", "is_bitfusion"]

_PORT = "5002/tcp"
_PROCESSES = 64
_RETRY_S = 0.1


class BitFusionContainer(BitFusionServer):
    """The accelerator of an image, in a container of its own, which ends as that of a ContainerTarget does.

    Parameters
    ----------
    image
        ``bitfusion``: the one that ``mico images build`` makes of the sources as they are; or a full name.
    cpus, memory
        Limits, for instance 0.5 and ``1g``; None: none.
    name
        In messages and in the name of the container.
    memory_model, cycle_limit, timeout_s, infer_timeout_s
        As of :class:`BitFusionServer`.
    """

    def __init__(
        self,
        image: str = "bitfusion",
        *,
        cpus: float | None = None,
        memory: str | None = None,
        name: str = "container",
        memory_model: Memory | None = None,
        cycle_limit: int = 200_000_000,
        timeout_s: float = 60.0,
        infer_timeout_s: float = 900.0,
    ) -> None:
        super().__init__(
            address="127.0.0.1:1",  # known when it runs
            memory=memory_model,
            cycle_limit=cycle_limit,
            timeout_s=timeout_s,
            infer_timeout_s=infer_timeout_s,
        )
        self.image, self.cpus, self.memory_limit, self.name = image, cpus, memory, name
        self._image: Image | None = None
        self._box: Box | None = None
        self._held: socket.socket | None = None

    @property
    def container_id(self) -> str:
        """Of the container that runs; DeviceError while the target is closed."""
        if self._box is None:
            raise DeviceError("the target is not open", where=self.name, cure="call open(), or use it in a with block")
        return self._box.id

    def open(self) -> None:
        self.close()
        client = connect()
        try:
            with engine_errors("the container does not start", self.name, "mico images list; free memory?"):
                reap(client)
                self._look_up(client)
                assert self._image is not None
                options = box_options(
                    self._image.id,
                    self.name,
                    (_PORT,),
                    cpus=self.cpus,
                    memory=self.memory_limit,
                    processes=_PROCESSES,
                )
                command = ["--listen", "0.0.0.0:5002", "--linger", str(LINGER_S)]
                self._box = Box(client, {**options, "command": command})
                self.address = self._box.address(_PORT)
            self._held = self._hold(self._box)
            super().open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        if self._held is not None:
            with contextlib.suppress(OSError):
                self._held.close()
            self._held = None
        if self._box is not None:
            self._box.close()
            self._box = None

    # ---- details

    def _hold(self, box: Box) -> socket.socket:
        """The connection that keeps it alive, as soon as it listens."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                connection = socket.create_connection(split_address(self.address), self.timeout_s)
                connection.sendall(b'{"request": "hold"}\n')
                if connection.recv(64).startswith(b'{"event": "hold"'):
                    return connection
                connection.close()
            except OSError:
                pass  # the engine publishes the port before the server listens
            ended = box.ended(self.name, 0.0)
            if ended is not None:
                raise ended
            if time.monotonic() >= deadline:
                raise DeviceError(
                    f"the simulation does not answer within {self.timeout_s:g} s", where=f"{self.name}, {box.id[:12]}"
                )
            time.sleep(_RETRY_S)

    def _told(self) -> dict[str, Any]:
        if self._facts is None:
            self._look_up(connect())
        return super()._told()

    def _look_up(self, client: docker.DockerClient) -> None:
        """The image, found once; what its label says is what its server says."""
        if self._image is None:
            self._image = find_image(client, self.image)
            self._facts = {"event": "ready", **describe(self._image)}

    def _ask(self, jobs: Sequence[Job] | None, timeout_s: float) -> dict[str, Any] | list[Report]:
        try:
            return super()._ask(jobs, timeout_s)
        except MicoError as error:
            ended = self._box.ended(self.name, 3.0 if isinstance(error, DeviceError) else 0.0) if self._box else None
            raise ended or error from error


def is_bitfusion(image: str) -> bool:
    """Whether *image* is named as one of the accelerator."""
    return image == "bitfusion" or image.split(":")[0].rpartition("/")[2] == "mico-bitfusion"
