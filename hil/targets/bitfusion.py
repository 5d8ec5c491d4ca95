"""The simulated BitFusion accelerator: programs of the compiler, run on the RTL by cocotb and Verilator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.harness.bf_sim import Build, Job, Memory, Report, describe, run_jobs
from hil.targets.base import LayerCycles, Program, Provenance, Run, Target
from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.program import BitFusionProgram
from mico.errors import DeviceError, FlashError, MeasurementError, UsageError
from mico.quant.integer import IntegerModel

__all__ = ["AcceleratorProgram", "BitFusionSim", "check_report", "job", "layer_cycles", "outputs"]

CLOCK_HZ = 500_000_000
"""Of the published configuration; cycles do not depend on it."""


@dataclass(frozen=True, kw_only=True)
class AcceleratorProgram(Program):
    """A program of the BitFusion compiler; *image* is its memory window without inputs."""

    compiled: BitFusionProgram = field(compare=False)


class BitFusionSim(Target):
    """The simulated accelerator, one image an inference.

    Parameters
    ----------
    machine
        Sizes of the accelerator.
    memory
        Bandwidth, latencies and stalls of the memory model: cycles depend on them, results never do.
    build
        Of the RTL; the structural and the functional one compute, the timing one only counts.
    cycle_limit
        A run ends in an error there, with the state of the control unit.
    """

    name = "bitfusion-sim"

    def __init__(
        self,
        *,
        machine: Machine | None = None,
        memory: Memory | None = None,
        build: Build = Build.FUNCTIONAL,
        cycle_limit: int = 200_000_000,
    ) -> None:
        if build is Build.TIMING:
            raise UsageError("the timing build computes nothing", where=self.name, cure="use the functional build")
        self.machine = machine or Machine()
        self.memory = memory or Memory()
        self.rtl = build
        self.cycle_limit = cycle_limit
        self._program: AcceleratorProgram | None = None
        self._open = False

    # ---- the contract of Target

    def open(self) -> None:
        """Nothing to hold: the simulation is started for each measurement."""
        self._open = True

    def close(self) -> None:
        self._open = False
        self._program = None

    def build(self, model: IntegerModel) -> AcceleratorProgram:
        """Compile *model*, batch 1."""
        compiled = compile_model(model, batch=1, machine=self.machine)
        image = compiled.memory()
        constants = sum(len(data) for _, data in compiled.segments())
        return AcceleratorProgram(
            name=model.name,
            image=image.tobytes(),
            load_address=0,
            entry=0,
            digest=compiled.digest(),
            toolchain=f"mico-hil {metadata.version('mico-hil')}, mico.codegen.bitfusion",
            flash_bytes=constants,
            ram_bytes=len(image) - constants,
            input_shape=compiled.input_tensor.shape,
            input_signed=compiled.input_tensor.format.signed,
            output_count=int(np.prod(model.tensors[model.output].shape)),
            compiled=compiled,
        )

    def provenance(self, program: Program) -> Provenance:
        memory = self.memory
        return Provenance(
            kind=self.name,
            parameters={
                **self.machine.parameters(),
                "bandwidth": memory.bandwidth,
                "read_latency": memory.read_latency,
                "write_latency": memory.write_latency,
                "stall": memory.stall,
                "stall_seed": memory.seed,
                "build": self.rtl.name.lower(),
            },
            hardware=describe(self.machine, self.rtl),
            firmware="none",
            program=program.digest,
            clock_hz=CLOCK_HZ,
        )

    def flash(self, program: Program) -> None:
        if not self._open:
            raise DeviceError("the target is not open", where=self.name, cure="call open(), or use it in a with block")
        if not isinstance(program, AcceleratorProgram):
            raise FlashError("not a program of the BitFusion compiler", where=program.name, cure="use target.build()")
        if program.compiled.machine != self.machine:
            raise FlashError(
                f"compiled for {program.compiled.machine}, this is {self.machine}",
                where=program.name,
                cure="compile it for this machine: target.build()",
            )
        self._program = program

    def info(self) -> dict[str, str]:
        program = self._running()
        return {
            "name": self.name,
            "program": program.digest,
            **{key: str(value) for key, value in self.machine.parameters().items()},
        }

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        program = self._running()
        reports = self._run(program, [x[index : index + 1] for index in range(len(x))])
        return np.concatenate([_outputs(program, report) for report in reports])

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        """As :meth:`Target.measure`. Every lap starts from reset, so there is nothing to warm up.

        Raises
        ------
        MeasurementError
            An error state, a hang at the cycle limit (with the state of the control unit), or laps that differ.
        """
        if laps < 1 or warmup < 0:
            raise UsageError(f"laps must be positive, not {laps}")
        program = self._running()
        reports = self._run(program, [x[:1]] * laps)
        samples = tuple(report.counters["cycles"] for report in reports)
        if len(set(samples)) != 1:
            what = f"{laps} laps took {samples} cycles: they must be equal"
            raise MeasurementError(what, where=program.name, samples=samples)
        return Run(_outputs(program, reports[0]), samples[0], samples, layer_cycles(program.compiled, reports[0]))

    # ---- details

    def _running(self) -> AcceleratorProgram:
        if self._program is None:
            raise DeviceError("no program on the target", where=self.name, cure="call flash() first")
        return self._program

    def _simulate(self, jobs: Sequence[Job]) -> list[Report]:
        return run_jobs(self.machine, jobs, build=self.rtl)

    def _run(self, program: AcceleratorProgram, inputs: Sequence[NDArray[Any]]) -> list[Report]:
        compiled = program.compiled
        image = np.frombuffer(program.image, np.uint8)
        jobs = []
        for x in inputs:
            memory = image.copy()
            packed = compiled.pack_inputs(x)
            memory[compiled.input.offset : compiled.input.offset + len(packed)] = packed
            jobs.append(job(compiled, memory, self.memory, self.cycle_limit))
        reports = self._simulate(jobs)
        for report in reports:
            check_report(report, compiled)
        return reports


def job(compiled: BitFusionProgram, memory: NDArray[np.uint8], model: Memory, cycle_limit: int) -> Job:
    """The job that runs *compiled* on the window's content *memory* and brings its outputs back."""
    beat = compiled.machine.beat
    start = compiled.output.offset // beat * beat
    end = -(-(compiled.output.offset + compiled.batch * compiled.output.image) // beat) * beat
    return Job(
        image=memory.tobytes(),
        program=0,
        instructions=len(compiled.instructions),
        mem_bytes=compiled.memory_bytes,
        cycle_limit=cycle_limit,
        dump=(start, end - start),
        memory=model,
    )


def outputs(compiled: BitFusionProgram, report: Report) -> NDArray[np.int32]:
    """Logits ``(batch, outputs)`` in a report of :func:`job`."""
    memory = np.zeros(compiled.memory_bytes + compiled.machine.beat, np.uint8)
    start = compiled.output.offset // compiled.machine.beat * compiled.machine.beat
    memory[start : start + len(report.data)] = np.frombuffer(report.data, np.uint8)
    return compiled.unpack_outputs(memory)


def _outputs(program: AcceleratorProgram, report: Report) -> NDArray[np.int32]:
    return outputs(program.compiled, report)


def layer_cycles(compiled: BitFusionProgram, report: Report) -> tuple[LayerCycles, ...]:
    """Cycles between the marks, by layer; ``glue`` is what lies behind the last."""
    layers: list[LayerCycles] = []
    before = 0
    for name, mark in zip(compiled.marks, report.marks, strict=True):
        layers.append(LayerCycles(name, mark.cycles - before))
        before = mark.cycles
    return (*layers, LayerCycles("glue", report.counters["cycles"] - before))


def check_report(report: Report, compiled: BitFusionProgram) -> None:
    """Raise a MeasurementError that tells where the accelerator stood, unless the program reached its end."""
    if report.error is None and not report.hung and not report.escapes:
        return
    where = f"{compiled.name}, instruction {report.index}"
    if report.index < len(compiled.instructions):
        where += f" ({compiled.instructions[report.index]})"
    stopped = "no error" if report.error is None else report.error.name
    what = "the accelerator never ended" if report.hung else f"the accelerator stopped with {stopped}"
    if report.escapes:
        what = f"{report.escapes} bursts left the program's memory"
    reached = compiled.marks[len(report.marks)] if len(report.marks) < len(compiled.marks) else "the end"
    raise MeasurementError(
        f"{what} after {report.counters['cycles']} cycles in {reached}; {blocked_text(report.blocked)}",
        where=where,
        cure="a wrong program, a broken design, or a cycle limit that is too low",
    )


def blocked_text(blocked: int) -> str:
    """What register BLOCKED says, in words."""
    parts = []
    if blocked >> 4 & 1:
        parts.append(f"load waits for semaphore {blocked & 15}")
    if blocked >> 12 & 1:
        parts.append(f"exec waits for semaphore {blocked >> 8 & 15}")
    names = ("exec is in FENCE", "array busy", "gather busy", "stores outstanding", "loads outstanding")
    parts += [name for bit, name in enumerate(names, 16) if blocked >> bit & 1]
    return "; ".join(parts) or "nothing is waited for"
