"""A target that runs cases on the bench firmware: flashed once, then only sent what a case needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.bench_case import BenchFirmware, Case, LoadedCase, bench_hash, build_bench
from hil.link.console import LayerCounts
from hil.targets.base import LayerCycles, Program, Provenance, Run, Target
from hil.targets.console_target import ConsoleTarget
from mico.errors import DeviceError, MeasurementError, UsageError

__all__ = ["BenchTarget"]


class BenchTarget(Target):
    """Times cases on *inner*, which it opens and closes.

    What ``measure`` answers as outputs are the CRC-32 of every layer's output, in execution order, as int32; a target
    that computes others than Python raises MeasurementError.

    Parameters
    ----------
    inner
        The SoC, simulated or a board.
    simd
        Kernels to time: MICO_SIMD, 0 to 2; default: what the SoC has.
    case_timeout_s
        Longest wait for a case to be made, checked and timed.
    """

    def __init__(self, inner: ConsoleTarget, *, simd: int | None = None, case_timeout_s: float = 900.0) -> None:
        self.inner = inner
        self.name = inner.name
        self.simd = inner.simd if simd is None else simd
        self.case_timeout_s = case_timeout_s
        self._counts: tuple[LayerCounts, ...] = ()
        self._firmware: BenchFirmware | None = None
        self._ram_end = 0
        self._cases: dict[str, Case] = {}
        self._loaded: tuple[Program, LoadedCase, dict[str, int]] | None = None

    def program(self, case: Case) -> Program:
        """What stands for *case* in a measurement: its name and digest; it is linked when it is flashed."""
        tensors, model = case.model.tensors, case.model
        self._cases[case.digest] = case
        return Program(
            name=model.name,
            image=b"",
            load_address=0,
            entry=0,
            digest=case.digest,
            toolchain=self._bench().program.toolchain,
            flash_bytes=0,
            ram_bytes=0,
            input_shape=tensors[model.input].shape,
            input_signed=tensors[model.input].format.signed,
            output_count=len(model.ops),
        )

    def provenance(self, program: Program) -> Provenance:
        own = self.inner.provenance(program)
        return Provenance(
            kind=own.kind,
            parameters={**own.parameters, "simd_kernels": self.simd, "bench": 1},
            hardware=own.hardware,
            firmware=bench_hash(self.simd),
            program=program.digest,
            clock_hz=own.clock_hz,
        )

    def open(self) -> None:
        self.close()
        self.inner.open()

    def close(self) -> None:
        self._firmware = self._loaded = None
        self.inner.close()

    def flash(self, program: Program) -> None:
        """Send a case that :meth:`program` has announced; the bench firmware first, where it does not run yet."""
        case = self._cases[program.digest]
        self._loaded = None
        if self._firmware is None:
            firmware = self._bench()
            self.inner.flash(firmware.program)
            info = self.inner.info()
            self._ram_end = firmware.program.load_address + int(info["ram-bytes"])
            self._firmware = firmware
        loaded, expected = case.link(self._firmware, self._ram_end)
        base = self._firmware.case_base
        self._guarded(lambda: self.inner.talk(lambda console: console.receive(loaded.image, base)))
        self._loaded = program, loaded, expected

    def info(self) -> dict[str, str]:
        return self.inner.info()

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:  # noqa: ARG002
        raise UsageError("a case has one input of its own", where=self.name, cure="measure() checks and times it")

    def measure(self, x: NDArray[Any], *, laps: int = 1, warmup: int = 0) -> Run:  # noqa: ARG002
        """Time the case over *laps*; *x* is the case's own input, and warm-up is the lap that checks it."""
        if self._loaded is None:
            raise DeviceError("no case is loaded", where=self.name, cure="call flash() first")
        program, loaded, expected = self._loaded
        result = self._guarded(
            lambda: self.inner.talk(lambda console: console.bench(loaded.address, laps, self.case_timeout_s))
        )
        if result.crcs != expected:
            wrong = [name for name in expected if result.crcs.get(name) != expected[name]]
            raise MeasurementError(
                f"the target computes another output than Python in {', '.join(wrong) or 'other layers than expected'}",
                where=program.name,
                cure="a kernel, the generated code or the hardware is wrong; cycles of a wrong answer are not kept",
            )
        if len(set(result.laps)) != 1:
            raise MeasurementError(
                f"laps of {result.laps} cycles: on a simulator they must be equal", where=program.name
            )
        self._counts = result.counts
        total = result.laps[0]
        glue = total - sum(cycles for _, cycles in result.layers)
        layers = [LayerCycles(name, cycles) for name, cycles in (*result.layers, ("glue", glue))]
        outputs = np.array([[result.crcs[name] for name in expected]], np.uint32).view(np.int32)
        return Run(outputs, total, result.laps, tuple(layers))

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        """Of the case that was measured last."""
        return [(layer.name, layer.counts) for layer in self._counts]

    def _bench(self) -> BenchFirmware:
        return self._firmware or build_bench(self.simd)

    def _guarded(self, action: Any) -> Any:
        """After a failure nothing is known of what runs: the firmware is flashed anew for the next case."""
        try:
            return action()
        except BaseException:
            self._firmware = self._loaded = None
            raise
