"""What all targets with a serial console have in common: flashing, identity, inference, exact timing.

A kind of target says how it is connected, restarted and recognised; the bytes on the line are the same for all.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.link.console import Console, LayerResult
from hil.link.flash import flash
from hil.link.port import Port
from hil.targets.base import LayerCycles, Program, Run, Target
from hil.toolchain import build_program
from mico.errors import DeviceError, FlashError, MeasurementError, MicoError, UsageError
from mico.quant.integer import IntegerModel

__all__ = ["ConsoleTarget", "sum_layers"]

LAYERS_TOLERANCE = 0.01
MAX_LAPS = 256
"""The console keeps the cycles of so many laps."""
_ASK_S = 0.3  # a console answers an empty command within milliseconds
_T = TypeVar("_T")


class ConsoleTarget(Target):
    """A device behind a byte stream, with our boot loader and console on it.

    Parameters
    ----------
    simd
        Kernels that programs are built with.
    timeout_s
        Longest wait for the device or the console, inferences aside.
    infer_timeout_s
        Longest wait for one ``infer`` command. A device that is known to have died is noticed within *timeout_s*.

    Attributes
    ----------
    flash_timeout_s, flash_retries, flash_baud
        Of :func:`hil.link.flash.flash`.
    asks_first
        Whether :meth:`flash` asks what runs, and leaves the device alone where it is that very image: its size and the
        CRC-32 of the memory that it lies in. For devices that outlive the program that uses them.
    """

    flash_timeout_s = 2.0
    flash_retries = 10
    flash_baud: int | None = None
    asks_first = False

    def __init__(self, *, simd: int = 2, timeout_s: float = 20.0, infer_timeout_s: float = 900.0) -> None:
        self.simd = simd
        self.timeout_s = timeout_s
        self.infer_timeout_s = infer_timeout_s
        self._port: Port | None = None
        self._console: Console | None = None
        self._program: Program | None = None

    # ---- what a kind of target says of itself

    @abstractmethod
    def _connect(self) -> Port:
        """Start or find the device, and open its console."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Release whatever :meth:`_connect` took besides the port; safe in any state."""

    @abstractmethod
    def _restart(self, port: Port) -> None:
        """Bring the device into its boot loader; nothing of before the restart is left for *port* to give."""

    @abstractmethod
    def _recognise(self, info: dict[str, str]) -> None:
        """Raise where *info* is that of another device than this target stands for."""

    def _watch(self) -> None:
        """Raise where the device is known to have died or to hang; called about once a second in every wait."""

    # ---- the contract of Target

    def open(self) -> None:
        self.close()
        try:
            self._port = self._connect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._console = self._program = None
        if self._port is not None:
            self._port.close()
            self._port = None
        self._disconnect()

    def flash(self, program: Program) -> None:
        other = self._program is not None and self._program.digest != program.digest
        self._console = self._program = None
        port = self._opened()
        try:
            found = self._already(port, program) if self.asks_first and not other else None
            console, info = found or self._load(port, program)
            self._check_identity(info, program)
        except MicoError as error:
            raise self._diagnosed(error) from error
        self._console = console
        self._program = program

    def info(self) -> dict[str, str]:
        return self.talk(lambda console: console.info())

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        program = self._running()[1]
        samples = self._samples(x, program)
        outputs = np.empty((len(samples), program.output_count), np.int32)

        def work(console: Console) -> None:
            for row, sample in zip(outputs, samples, strict=True):
                console.load(sample)
                console.infer(1, 0, self.infer_timeout_s)
                row[:] = self._logits(console, program)

        self.talk(work)
        return outputs

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        """As :meth:`Target.measure`, of a device whose time is exact.

        Raises
        ------
        MeasurementError
            Laps differ, or layers do not add up.
        """
        program = self._running()[1]
        self._check_laps(laps)
        sample = self._samples(x[:1], program)[0]

        def work(console: Console) -> tuple[tuple[int, ...], LayerResult, NDArray[np.int32]]:
            console.load(sample)
            console.infer(laps, warmup, self.infer_timeout_s)
            return console.laps(), console.layers(), np.array([self._logits(console, program)], np.int32)

        samples, layers, outputs = self.talk(work)
        if len(samples) != laps or len(set(samples)) != 1:
            raise MeasurementError(
                f"{laps} laps of the simulator took {samples} cycles: they must be {laps} equal numbers",
                where=program.name,
                cure="a bug of the simulator or the firmware: simulated time is exact",
                samples=samples,
            )
        return Run(outputs, samples[0], samples, sum_layers(layers, samples[0], program.name, samples))

    def build(self, model: IntegerModel) -> Program:
        """Firmware with kernels for the SIMD unit that it has: :func:`hil.toolchain.build_program`."""
        return build_program(model, simd=self.simd)

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        counted = self.talk(lambda console: console.counters(self.infer_timeout_s))
        return [(layer.name, layer.counts) for layer in counted]

    # ---- for callers that know the console

    def talk(self, exchange: Callable[[Console], _T]) -> _T:
        """What *exchange* answers with the console of the program that runs; failures are diagnosed as in infer."""
        console, _ = self._running()
        try:
            return exchange(console)
        except MicoError as error:
            raise self._diagnosed(error) from error

    @property
    def port(self) -> Port:
        """The open byte stream; DeviceError while the target is closed."""
        return self._opened()

    # ---- details

    def _already(self, port: Port, program: Program) -> tuple[Console, dict[str, str]] | None:
        """The console of *program* where that runs already, as far as the device can tell; else None."""
        console = Console(port, timeout_s=self.timeout_s, watch=self._watch)
        try:
            if not console.answers(_ASK_S):
                return None
            info = console.info()
            self._check_identity(info, program)
        except MicoError:  # another image, another board, a trap, nothing: all of it is looked at when it is flashed
            return None
        return console, info

    def _load(self, port: Port, program: Program) -> tuple[Console, dict[str, str]]:
        """Restart the device, send the image, and ask what runs."""
        self._restart(port)
        port = self._opened()  # a restart may have opened another
        report = flash(
            port,
            program.image,
            base=program.load_address,
            entry=program.entry,
            timeout_s=self.flash_timeout_s,
            retries=self.flash_retries,
            baud=self.flash_baud,
            watch=self._watch,
        )
        console = Console(port, timeout_s=self.timeout_s, watch=self._watch)
        console.wait_boot(report.text)
        if report.resent:
            console.sync()  # a frame sent twice may have reached the program
        return console, console.info()

    def _opened(self) -> Port:
        if self._port is None:
            raise DeviceError("the target is not open", where=self.name, cure="call open(), or use it in a with block")
        return self._port

    def _running(self) -> tuple[Console, Program]:
        self._opened()
        if self._console is None or self._program is None:
            raise DeviceError("no program runs on the target", where=self.name, cure="call flash() first")
        return self._console, self._program

    def _check_identity(self, info: dict[str, str], program: Program) -> None:
        expected = {"image-bytes": str(len(program.image)), "image-crc32": f"{zlib.crc32(program.image):08x}"}
        found = {key: info.get(key, "missing") for key in expected}
        if found != expected:
            raise FlashError(
                f"the target runs another image than the one flashed: {found}, not {expected}",
                where=program.name,
                cure="an entry that jumps elsewhere, or RAM that does not keep its contents",
            )
        self._recognise(info)
        if info.get("fault") != "none":
            raise FlashError(f"the program refuses to work: {info.get('fault')}", where=program.name)

    def _check_laps(self, laps: int) -> None:
        if laps < 1 or laps > MAX_LAPS:
            raise UsageError(f"laps must be 1 to {MAX_LAPS}, not {laps}")

    def _logits(self, console: Console, program: Program) -> NDArray[np.int32]:
        logits = np.array(console.logits(), np.int32)
        if len(logits) != program.output_count:
            raise MeasurementError(f"{len(logits)} logits instead of {program.output_count}", where=program.name)
        return logits[list(program.output_order)] if program.output_order else logits

    def _diagnosed(self, error: MicoError) -> MicoError:
        """Of a failure on the line, the cause where the device knows it: that it has ended or hangs."""
        self._console = self._program = None
        try:
            self._watch()
        except MicoError as cause:
            return cause
        return error

    @staticmethod
    def _samples(x: NDArray[Any], program: Program) -> list[bytes]:
        """Each input as the bytes that the model reads: channel last."""
        dtype = np.int8 if program.input_signed else np.uint8
        if x.dtype != dtype or x.shape[1:] != program.input_shape:
            raise UsageError(
                f"inputs must be {np.dtype(dtype)} of shape (N, {', '.join(map(str, program.input_shape))}),"
                f" not {x.dtype} of shape {x.shape}",
                where=program.name,
            )
        if x.ndim == 4:
            x = x.transpose(0, 2, 3, 1)
        return [np.ascontiguousarray(sample).tobytes() for sample in x]


def sum_layers(layers: LayerResult, lap: int, program: str, samples: tuple[int, ...] = ()) -> tuple[LayerCycles, ...]:
    """Layers and glue of a lap of *lap* cycles; MeasurementError where they do not add up to it."""
    parts = (*(LayerCycles(name, cycles) for name, cycles in layers.layers), LayerCycles("glue", layers.glue))
    total = sum(part.cycles for part in parts)
    if layers.total != lap or abs(total - lap) > LAYERS_TOLERANCE * lap:
        raise MeasurementError(
            f"layers add up to {total} cycles of {layers.total}, the lap took {lap}", where=program, samples=samples
        )
    return parts
