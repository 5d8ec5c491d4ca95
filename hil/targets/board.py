"""Boards: our SoC on real hardware. Time is not exact there, and what it is is known only by asking."""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.link.console import Console, LayerResult
from hil.link.port import Port
from hil.site_command import run_command
from hil.targets.base import Program, Provenance, Run
from hil.targets.console_target import ConsoleTarget, sum_layers
from hil.toolchain import firmware_hash
from mico.errors import DeviceError, FlashError, MeasurementError, MicoError, ProtocolTimeout

__all__ = ["MIN_LAPS", "Board", "median_and_mad"]

MIN_LAPS = 5
_NUMBERS = ("ram-bytes", "ram-latency", "simd-version")
_NOTHING = ("", "00000000", "ffffffff")  # of a build id: what an unset or absent register reads


def median_and_mad(samples: Sequence[int]) -> tuple[int, int]:
    """Median and median absolute deviation, in cycles; of an even number the lower of the two in the middle."""
    median = statistics.median_low(samples)
    return median, statistics.median_low([abs(sample - median) for sample in samples])


@dataclass(frozen=True)
class _Identity:
    """What a board says of itself in its info block."""

    hardware: str
    clock_hz: int
    parameters: tuple[tuple[str, str | int], ...]


class Board(ConsoleTarget):
    """A board with our boot loader and console; subclasses say how its bytes are reached.

    Parameters
    ----------
    name
        In the lab, for messages.
    reset
        Command that resets the board. Without one, and without power commands, it must be in its boot loader.
    programmer
        Command that loads ``{image}`` at ``{address}`` and starts it, instead of the boot loader; ``{port}`` is closed
        meanwhile.
    power_on, power_off
        Commands run before the board is opened and after it is closed; and for a restart where there is no *reset*.
    boot_s
        Longest time from a reset to the greeting of the boot loader.
    bitstream
        What the FPGA was configured with; else the build id in the info block stands for the hardware.
    """

    asks_first = True

    def __init__(
        self,
        name: str,
        *,
        reset: Sequence[str] | None = None,
        programmer: Sequence[str] | None = None,
        power_on: Sequence[str] | None = None,
        power_off: Sequence[str] | None = None,
        reset_timeout_s: float = 30.0,
        programmer_timeout_s: float = 120.0,
        power_timeout_s: float = 30.0,
        boot_s: float = 0.5,
        bitstream: Path | None = None,
        simd: int = 2,
        timeout_s: float = 20.0,
        infer_timeout_s: float = 900.0,
    ) -> None:
        super().__init__(simd=simd, timeout_s=timeout_s, infer_timeout_s=infer_timeout_s)
        self.name = name
        self.reset = reset
        self.programmer = programmer
        self.power_on, self.power_off = power_on, power_off
        self.reset_timeout_s, self.programmer_timeout_s = reset_timeout_s, programmer_timeout_s
        self.power_timeout_s = power_timeout_s
        self.boot_s = boot_s
        self.bitstream = bitstream
        self._powered = False
        self._identity: _Identity | None = None

    @property
    def restarts(self) -> bool:
        """Whether it can be brought into its boot loader from here."""
        return self.reset is not None or (self.power_on is not None and self.power_off is not None)

    # ---- the contract of Target

    @property
    def asks(self) -> bool:
        return self._identity is None

    def provenance(self, program: Program) -> Provenance:
        """As :meth:`Target.provenance`. A board that was never asked is opened, gets *program*, and is asked."""
        if self._identity is None:
            was_open = self._port is not None
            try:
                if not was_open:
                    self.open()
                self.flash(program)
            finally:
                if not was_open:
                    self.close()
        assert self._identity is not None
        return Provenance(
            kind="board",
            parameters=dict(self._identity.parameters),
            hardware=self._identity.hardware,
            firmware=firmware_hash(simd=self.simd),
            program=program.digest,
            clock_hz=self._identity.clock_hz,
        )

    def measure(self, x: NDArray[Any], *, laps: int = MIN_LAPS, warmup: int = 1) -> Run:
        """As :meth:`Target.measure`: at least five laps after at least one for warm-up.

        ``cycles`` is the median, ``layers`` are those of the lap that took it, ``samples`` all laps in their order.

        Raises
        ------
        MeasurementError
            Outputs differ between laps, or the layers of a lap do not add up to it.
        """
        program = self._running()[1]
        laps = max(laps, MIN_LAPS)
        self._check_laps(laps)
        sample = self._samples(x[:1], program)[0]

        def work(console: Console) -> list[tuple[int, LayerResult, NDArray[np.int32]]]:
            console.load(sample)
            results = []
            for lap in range(laps):
                console.infer(1, 0 if lap else max(warmup, 1), self.infer_timeout_s)
                (cycles,) = console.laps() or (0,)
                results.append((cycles, console.layers(), self._logits(console, program)))
            return results

        results = self.talk(work)
        samples = tuple(cycles for cycles, _, _ in results)
        outputs = results[0][2]
        if any(not np.array_equal(outputs, other) for _, _, other in results):
            raise MeasurementError(
                f"{laps} laps on one input gave different outputs",
                where=f"{self.name}, {program.name}",
                cure="the board computes wrong: its clock is too fast, or its power too weak",
                samples=samples,
            )
        parts = [sum_layers(layers, cycles, program.name, samples) for cycles, layers, _ in results]
        median, _ = median_and_mad(samples)
        return Run(outputs[None], median, samples, parts[samples.index(median)])

    # ---- what ConsoleTarget asks

    def _connect(self) -> Port:
        if self.power_on is not None:
            self._power(self.power_on, "the command that powers it")
            self._powered = True
        return self._open_port()

    def _disconnect(self) -> None:
        if not self._powered:
            return
        self._powered = False
        if self.power_off is not None:
            try:
                self._power(self.power_off, "the command that takes its power")
            except MicoError as error:
                warnings.warn(f"the board stays powered: {error}", RuntimeWarning, stacklevel=2)

    def _restart(self, port: Port) -> None:
        self._reset_board()
        port = self._opened()
        deadline, heard = time.monotonic() + self.boot_s, b""
        while b"mico-boot" not in heard and (left := deadline - time.monotonic()) > 0:
            heard = heard[-32:] + port.read(left)
        port.drain(limit_s=self.boot_s)

    def _load(self, port: Port, program: Program) -> tuple[Console, dict[str, str]]:
        if self.programmer is None:
            try:
                return super()._load(self._opened(), program)
            except ProtocolTimeout as error:
                if self.restarts:
                    raise
                raise FlashError(
                    f"no answer from the boot loader: {error.what}",
                    where=self.name,
                    cure="press the board's reset button and try again, or give it a reset command in lab.toml",
                ) from error
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "image.bin"
            image.write_bytes(program.image)
            values = {"image": str(image), "address": f"{program.load_address:#x}"}
            port.close()  # the programmer may need it
            self._run(self.programmer, "the programmer", self.programmer_timeout_s, values, FlashError)
        self._port = self._open_port()
        console = Console(self._port, timeout_s=self.timeout_s)
        console.sync()  # its boot lines may have come before the port was open
        return console, console.info()

    def _recognise(self, info: dict[str, str]) -> None:
        identity = self._identify(info)
        if self._identity is not None and identity != self._identity:
            raise DeviceError(
                f"this is another board, or another bitstream, than before: {identity}, not {self._identity}",
                where=self.name,
                cure="start again: what is measured on it belongs to other measurements",
            )
        self._identity = identity

    # ---- details

    def _identify(self, info: dict[str, str]) -> _Identity:
        build, clock = info.get("build-id", ""), info.get("clock-hz", "")
        hardware = f"build-id {build}" if build not in _NOTHING else ""
        if self.bitstream is not None:
            try:
                hardware = sha256(self.bitstream.read_bytes()).hexdigest()
            except OSError as error:
                raise DeviceError(f"the bitstream cannot be read: {error}", where=self.name) from error
        if not hardware or not clock.isdecimal() or int(clock) == 0:
            raise DeviceError(
                f"the board does not say what it is: build-id {build or 'missing'}, clock-hz {clock or 'missing'}",
                where=self.name,
                cure="set BUILD_ID and CLOCK_HZ of its info block, or give its bitstream in lab.toml",
            )
        parameters: dict[str, str | int] = {"build_id": build, "cpu": info.get("cpu", "unknown")}
        for name in _NUMBERS:
            value = info.get(name, "")
            if not value.isdecimal():
                raise DeviceError(
                    f"the board does not say its {name}", where=self.name, cure="an older firmware: flash a new one"
                )
            parameters[name.replace("-", "_")] = int(value)
        return _Identity(hardware, int(clock), tuple(sorted(parameters.items())))

    def _reset_board(self) -> None:
        if self.reset is not None:
            needs = any("{port}" in word for word in self.reset)
            if needs:
                self._opened().close()
            self._run(self.reset, "the reset command", self.reset_timeout_s)
            if needs:
                self._port = self._open_port()
        elif self.power_on is not None and self.power_off is not None:
            self._opened().close()
            self._power(self.power_off, "the command that takes its power")
            self._power(self.power_on, "the command that powers it")
            self._port = self._open_port()

    def _power(self, words: Sequence[str], what: str) -> None:
        self._run(words, what, self.power_timeout_s)

    def _run(
        self,
        words: Sequence[str],
        what: str,
        timeout_s: float,
        values: Mapping[str, str] | None = None,
        error: type[MicoError] = DeviceError,
    ) -> None:
        values = dict(values or {})
        if any("{port}" in word for word in words):
            values["port"] = self._place()
        run_command(words, timeout_s, what=what, where=self.name, values=values, error=error)

    @abstractmethod
    def _place(self) -> str:
        """What ``{port}`` stands for."""

    @abstractmethod
    def _open_port(self) -> Port:
        """The board's console, opened."""
