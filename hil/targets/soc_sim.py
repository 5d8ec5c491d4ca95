"""The verilated SoC as a local process with its console on a pty: opened, flashed and read as a board would be."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.link.console import Console
from hil.link.flash import flash
from hil.link.port import Port, open_port
from hil.targets.base import LayerCycles, Program, Provenance, Run, Target
from hil.targets.sim_process import SimProcess
from hil.toolchain import build_boot_rom, build_program, firmware_hash
from hil.verilate import DEFAULT_RAM_BYTES, SocBuild, build_soc, describe_soc
from mico.errors import DeviceError, FlashError, MeasurementError, MicoError, UsageError
from mico.quant.integer import IntegerModel

__all__ = ["SocSim"]

_LAYERS_TOLERANCE = 0.01
_T = TypeVar("_T")


class SocSim(Target):
    """The simulated SoC.

    Parameters
    ----------
    ram_latency, cpu, ram_bytes, simd, lanes, netlist, pgo
        As of :func:`hil.verilate.build_soc`.
    timeout_s
        Longest wait for the simulator or the console, inferences aside.
    infer_timeout_s
        Longest wait for one ``infer`` command. A simulator that dies or hangs meanwhile is noticed within *timeout_s*.
    max_cycles
        The simulator ends there; 0: never.
    """

    name = "soc-sim"

    def __init__(
        self,
        *,
        ram_latency: int = 0,
        cpu: str = "vexriscv",
        ram_bytes: int = DEFAULT_RAM_BYTES,
        simd: int = 2,
        lanes: int = 4,
        netlist: Path | None = None,
        pgo: bool = False,
        timeout_s: float = 20.0,
        infer_timeout_s: float = 900.0,
        max_cycles: int = 0,
    ) -> None:
        self.ram_latency = ram_latency
        self.cpu = cpu
        self.ram_bytes = ram_bytes
        self.simd = simd
        self.lanes = lanes
        self.netlist = netlist
        self.pgo = pgo
        self.timeout_s = timeout_s
        self.infer_timeout_s = infer_timeout_s
        self.max_cycles = max_cycles
        self._build: SocBuild | None = None
        self._process: SimProcess | None = None
        self._port: Port | None = None
        self._console: Console | None = None
        self._program: Program | None = None

    # ---- the contract of Target

    def open(self) -> None:
        self.close()
        build = self._soc()
        command = [str(build.path), "--boot-rom", str(build_boot_rom())]
        if self.max_cycles:
            command += ["--max-cycles", str(self.max_cycles)]
        try:
            self._process = SimProcess(command, self.timeout_s)
            ready = self._process.ready
            if ready.get("build_id") != build.build_id:
                raise DeviceError(
                    f"the simulator says it is build {ready.get('build_id')}, not {build.build_id}",
                    where=str(build.path),
                    cure="remove build/ and build again",
                )
            self._port = open_port(str(ready["pty"]))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._console = self._program = None
        if self._port is not None:
            self._port.close()
            self._port = None
        if self._process is not None:
            self._process.close()
            self._process = None

    def provenance(self, program: Program) -> Provenance:
        build = self._build or describe_soc(**self._parameters())
        return Provenance(
            kind=self.name,
            parameters=build.parameters,
            hardware=build.hardware_hash,
            firmware=firmware_hash(simd=self.simd),
            program=program.digest,
            clock_hz=build.clock_hz,
        )

    def flash(self, program: Program) -> None:
        self._console = self._program = None
        process, port = self._opened()
        try:
            process.request("reset")
            port.drain(limit_s=self.timeout_s)  # what the program before still had to say, and the loader's greeting
            report = flash(port, program.image, base=program.load_address, entry=program.entry, watch=process.check)
            console = Console(port, timeout_s=self.timeout_s, watch=process.check)
            console.wait_boot(report.text)
            if report.resent:
                console.sync()  # a frame sent twice may have reached the program
            self._check_identity(console.info(), program)
        except MicoError as error:
            raise self._diagnosed(error) from error
        self._console = console
        self._program = program

    def info(self) -> dict[str, str]:
        console, _ = self._running()
        try:
            return console.info()
        except MicoError as error:
            raise self._diagnosed(error) from error

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        console, program = self._running()
        samples = _samples(x, program)
        outputs = np.empty((len(samples), program.output_count), np.int32)
        try:
            for row, sample in zip(outputs, samples, strict=True):
                console.load(sample)
                console.infer(1, 0, self.infer_timeout_s)
                row[:] = self._logits(console, program)
        except MicoError as error:
            raise self._diagnosed(error) from error
        return outputs

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        """As :meth:`Target.measure`; MeasurementError where laps differ or layers do not add up."""
        console, program = self._running()
        if laps < 1 or laps > 256:
            raise UsageError(f"laps must be 1 to 256, not {laps}")
        sample = _samples(x[:1], program)[0]
        try:
            console.load(sample)
            console.infer(laps, warmup, self.infer_timeout_s)
            samples = console.laps()
            layers = console.layers()
            outputs = np.array([self._logits(console, program)], np.int32)
        except MicoError as error:
            raise self._diagnosed(error) from error
        if len(samples) != laps or len(set(samples)) != 1:
            raise MeasurementError(
                f"{laps} laps of the simulator took {samples} cycles: they must be {laps} equal numbers",
                where=program.name,
                cure="a bug of the simulator or the firmware: simulated time is exact",
            )
        total = samples[0]
        parts = [*(LayerCycles(name, cycles) for name, cycles in layers.layers), LayerCycles("glue", layers.glue)]
        if layers.total != total or abs(sum(part.cycles for part in parts) - total) > _LAYERS_TOLERANCE * total:
            raise MeasurementError(
                f"layers add up to {sum(part.cycles for part in parts)} cycles of {layers.total}, the lap took {total}",
                where=program.name,
            )
        return Run(outputs, total, samples, tuple(parts))

    def build(self, model: IntegerModel) -> Program:
        """Firmware with the kernels for the SIMD unit that it has: :func:`hil.toolchain.build_program`."""
        return build_program(model, simd=self.simd)

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        counted = self.talk(lambda console: console.counters(self.infer_timeout_s))
        return [(layer.name, layer.counts) for layer in counted]

    # ---- details

    def talk(self, exchange: Callable[[Console], _T]) -> _T:
        """What *exchange* answers with the console of the program that runs; failures are diagnosed as in infer."""
        console, _ = self._running()
        try:
            return exchange(console)
        except MicoError as error:
            raise self._diagnosed(error) from error

    def stats(self) -> dict[str, Any]:
        """What the simulator counts since its start: cycles, seconds, cpu_seconds (hil/README.md)."""
        return self._opened()[0].request("stats")

    @property
    def pid(self) -> int:
        """Process id of the simulator."""
        return self._opened()[0].pid

    def _soc(self) -> SocBuild:
        if self._build is None:
            self._build = build_soc(**self._parameters())
        return self._build

    def _parameters(self) -> dict[str, Any]:
        names = ("cpu", "ram_latency", "ram_bytes", "simd", "lanes", "netlist", "pgo")
        return {name: getattr(self, name) for name in names}

    def _opened(self) -> tuple[SimProcess, Port]:
        if self._process is None or self._port is None:
            raise DeviceError("the target is not open", where=self.name, cure="call open(), or use it in a with block")
        return self._process, self._port

    def _running(self) -> tuple[Console, Program]:
        self._opened()
        if self._console is None or self._program is None:
            raise DeviceError("no program runs on the target", where=self.name, cure="call flash() first")
        return self._console, self._program

    def _check_identity(self, info: dict[str, str], program: Program) -> None:
        expected = {
            "image-bytes": str(len(program.image)),
            "image-crc32": f"{zlib.crc32(program.image):08x}",
            "build-id": self._soc().build_id[:8],
        }
        found = {key: info.get(key, "missing") for key in expected}
        if found != expected:
            raise FlashError(
                f"the target runs another image than the one flashed: {found}, not {expected}",
                where=program.name,
                cure="an entry that jumps elsewhere, or RAM that does not keep its contents",
            )
        if info.get("fault") != "none":
            raise FlashError(f"the program refuses to work: {info.get('fault')}", where=program.name)

    def _logits(self, console: Console, program: Program) -> NDArray[np.int32]:
        logits = np.array(console.logits(), np.int32)
        if len(logits) != program.output_count:
            raise MeasurementError(f"{len(logits)} logits instead of {program.output_count}", where=program.name)
        return logits[list(program.output_order)] if program.output_order else logits

    def _diagnosed(self, error: MicoError) -> MicoError:
        """Of a failure on the line, the cause where the simulator knows it: that it has ended or hangs."""
        self._console = self._program = None
        if self._process is not None:
            try:
                self._process.check()
            except MicoError as cause:
                return cause
        return error


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
