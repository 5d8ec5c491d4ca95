"""A board as a process of this machine: the real boot loader and console on a pty, in milliseconds where the simulated
SoC takes seconds. ``host_board.c`` says what it computes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
import tty
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.link.port import Port, open_port
from hil.targets.base import Program, Provenance
from hil.targets.console_target import ConsoleTarget
from mico.errors import DeviceError, FlashError
from tests.firmware.host_build import CONSOLE, HAND_MODEL, host_program

BASE = 0x4000_0000
INPUT = bytes(range(5, 45))


def host_board() -> Path:
    """The program, with AddressSanitizer and UBSan."""
    sources = [source for source in CONSOLE if not source.endswith("/host.c")]
    folders = ["firmware/runtime", HAND_MODEL]
    return host_program("host_board", [*sources, "tests/hil/faults/host_board.c", f"{HAND_MODEL}/model.c"], folders)


def make_program(seed: int, size: int = 3000) -> Program:
    """An image of *size* random bytes."""
    image = random.Random(seed).randbytes(size)
    return Program(
        name="hand",
        image=image,
        load_address=BASE,
        entry=BASE,
        digest=f"{zlib.crc32(image):064x}",
        toolchain="none",
        flash_bytes=size,
        ram_bytes=52,
        input_shape=(40,),
        input_signed=False,
        output_count=3,
    )


def make_input(seed: int) -> NDArray[np.uint8]:
    return np.frombuffer(random.Random(seed).randbytes(40), np.uint8).reshape(1, 40).copy()


def logits_of(x: NDArray[np.uint8]) -> NDArray[np.int32]:
    """What the hand-made model computes."""
    row = x[0].astype(np.int32)
    return np.array([[row.sum(), -(row * row).sum(), row[0] - row[-1]]], np.int32)


def cycles_of(program: Program) -> int:
    """Of a lap: the clock is read six times, and advances every time."""
    return 5 * (100 + zlib.crc32(program.image) % 10007)


class HostBoard(ConsoleTarget):
    """The target; the process lives from :meth:`open` to :meth:`close`."""

    name = "host-board"

    def __init__(self, **options: Any) -> None:
        super().__init__(simd=0, **options)
        self.process: subprocess.Popen[bytes] | None = None
        self._master = self._slave = -1
        self._timer: threading.Timer | None = None

    def provenance(self, program: Program) -> Provenance:
        return Provenance(self.name, {}, "host", "host", program.digest, 1_000_000)

    def _connect(self) -> Port:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._start()
        return open_port(os.ttyname(self._slave))

    def _start(self) -> None:
        self.process = subprocess.Popen([host_board()], stdin=self._master, stdout=self._master)

    def _disconnect(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None
        self._end()
        for descriptor in (self._slave, self._master):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = -1

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _restart(self, port: Port) -> None:
        self.reset()
        port.drain(quiet_s=0.02, limit_s=2.0)

    def _recognise(self, info: dict[str, str]) -> None:
        if info.get("cpu") != "host-board":
            raise FlashError(f"this is another board: {info.get('cpu')}", where=self.name)

    def _watch(self) -> None:
        if self.process is None or self.process.poll() is not None:
            raise DeviceError("the board's process has ended", where=self.name)

    # ---- faults

    def reset(self, _seconds: float = 0.0) -> None:
        self._end()
        self._start()

    def kill(self, _seconds: float = 0.0) -> None:
        if self.process is not None:
            self.process.kill()

    def hang(self, _seconds: float = 0.0) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def stop(self, seconds: float) -> None:
        process = self.process
        if process is None:
            return
        process.send_signal(signal.SIGSTOP)
        self._timer = threading.Timer(seconds, lambda: process.send_signal(signal.SIGCONT))
        self._timer.start()

    def actions(self) -> dict[str, Any]:
        return {"reset": self.reset, "kill": self.kill, "stop": self.stop, "hang": self.hang}


def main() -> None:
    """Measures once, and says how long that takes."""
    program, x = make_program(1), make_input(2)
    started = time.monotonic()
    with HostBoard() as board:
        board.flash(program)
        run = board.measure(x)
    print(run, cycles_of(program), logits_of(x), time.monotonic() - started)


if __name__ == "__main__":
    main()
