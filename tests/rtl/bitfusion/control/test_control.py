"""Control unit with a stand-in datapath: on cocotbext-axi, and on the simulation's memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hil.harness.bf_sim import Job, Memory, Report, run_jobs
from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.codegen.bitfusion.isa import Buffer, Engine, Instruction, LoadReg, encode
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import Code
from tests.rtl.bitfusion.control.programs import MACHINE, PROGRAM, WINDOW, RandomProgram

HERE = Path(__file__).parent
RTL = ROOT / "rtl" / "bitfusion"
STAND_IN = HERE / "bf_exec.sv"
BASE = 0x1_0000


@pytest.mark.parametrize("stalls", [False, True])
def test_on_cocotbext_axi(stalls: bool) -> None:
    sources = [*read_file_list(RTL / "control" / "control.f"), STAND_IN, RTL / "bf_top.sv"]
    run_cocotb(
        HERE / "control_cocotb.py",
        top="control_bench",
        sources=[*sources, HERE / "control_bench.sv", HERE / "control_bench.vlt"],
        env={"STALLS": str(int(stalls))},
        public=False,
    )


def simulate(machine: Machine, jobs: Sequence[Job]) -> list[Report]:
    reports = run_jobs(machine, jobs, sources=[STAND_IN], mem_bytes=1 << 20)
    for number, report in enumerate(reports):
        assert not report.hung, number
        assert report.escapes == 0, number
    return reports


def job(
    code: Sequence[Instruction], memory: Memory, seed: int = 0, *, words: bytes | None = None, count: int | None = None
) -> Job:
    image = np.random.default_rng(seed).integers(0, 256, WINDOW, np.uint8)
    program = encode(code) if words is None else words
    image[PROGRAM : PROGRAM + len(program)] = np.frombuffer(program, np.uint8)
    return Job(
        image.tobytes(), PROGRAM, len(program) // 8 if count is None else count, BASE, cycle_limit=50_000, memory=memory
    )


def test_random_programs_with_every_memory() -> None:
    """Seeds 100..139: the same memory afterwards whatever bandwidth, latency and stalls."""
    jobs, programs = [], []
    for seed in range(100, 140):
        program = RandomProgram(seed)
        rng = program.rng
        memory = Memory(
            rng.choice([16, 64, 192]), rng.choice([2, 10, 200]), rng.choice([2, 80]), rng.choice([0, 40, 200]), seed
        )
        jobs.append(Job(program.memory.tobytes(), PROGRAM, len(program.code), BASE, memory=memory, dump=(0, WINDOW)))
        programs.append(program)
    for program, report in zip(programs, simulate(MACHINE, jobs), strict=True):
        assert report.error is None, program.seed
        assert report.data == program.after.tobytes(), program.seed
        assert [mark.number for mark in report.marks] == program.marks
        assert sorted(report.marks, key=lambda mark: mark.cycles) == list(report.marks)


_SYNCHRONISATION = [
    instruction.word
    for engine in Engine
    for number in (0, 1)
    for instruction in (
        Instruction.wait(engine, number),
        *[Instruction.signal(engine, number)] * 2,
        Instruction.fence(),
    )
]


def test_malformed_programs_end() -> None:
    """Random words, random fields, random waits and signals, truncated and damaged programs; seeds 1..400.

    Each ends (in an error, or at an END that it has by chance), within the window.
    """
    jobs = []
    opcodes = [1, 2, 3, 4, 5, 0x10, 0x11, 0x20, 0x21]
    for seed in range(1, 401):
        rng = np.random.default_rng(seed)
        memory = Memory(192, 30, 30, int(rng.choice([0, 100])), seed)
        kind = seed % 5
        if kind == 0:
            words = rng.integers(0, 1 << 64, 40, np.uint64)
        elif kind == 1:
            fields = rng.integers(0, 1 << 9, 60, np.uint64) << np.uint64(32) | rng.integers(
                0, 1 << 7, 60, np.uint64
            ) * np.uint64(8)
            words = rng.choice(np.array(opcodes[1:], np.uint64), 60) << np.uint64(56) | fields
        elif kind == 2:
            words = np.array([1 << 56, *rng.choice(_SYNCHRONISATION, 50)], np.uint64)[::-1]
        else:
            words = np.array([instruction.word for instruction in RandomProgram(seed, length=20).code], np.uint64)
            if kind == 3:
                words = words[: rng.integers(1, len(words))]
            else:
                for _ in range(3):
                    words[rng.integers(0, len(words))] ^= np.uint64(1) << np.uint64(rng.integers(0, 64))
        jobs.append(job([], memory, seed, words=words.tobytes()))
    seen = {report.error for report in simulate(MACHINE, jobs)}
    assert {Code.OPCODE, Code.FIELD, Code.MEMORY, Code.NO_END, Code.DEADLOCK} <= seen


def test_bus_errors() -> None:
    """A window that is larger than the memory: instructions, loads and results behind its end answer with an error."""
    jobs = [
        Job(bytes(64), 0x2_0000, 8, mem_base=(1 << 20) - 0x1_0000, mem_bytes=0x4_0000),
        Job(encode(_load(0x2_0000, 5)), 0, 4, mem_base=(1 << 20) - 0x1_0000, mem_bytes=0x4_0000),
    ]
    reports = simulate(MACHINE, jobs)
    assert [report.error for report in reports] == [Code.BUS, Code.BUS]
    assert reports[1].index == 2


def _load(offset: int, beats: int) -> list[Instruction]:
    return [
        Instruction.setl(LoadReg.ROWS, 1),
        Instruction.setl(LoadReg.BEATS, beats),
        Instruction.load(Buffer.IBUF, offset),
        Instruction.end(),
    ]


@pytest.mark.parametrize("bus_bits", [64, pytest.param(256, marks=pytest.mark.slow)])
def test_loads_keep_the_bus_busy(bus_bits: int) -> None:
    """At latencies up to 200, loads of all shapes take 2 % more cycles than their beats, and the first latency."""
    machine = MACHINE if bus_bits == MACHINE.bus_bits else Machine(16, 4, bus_bits, 16384, 4096, 4096)
    shapes = [(1, 4000, 1), (32, 16, 8), (100, 3, 14), (500, 1, 8), (1, 48, 90), (4, 8, 130)]
    jobs, expected = [], []
    for bandwidth in (bus_bits, bus_bits * 3 // 4):
        for latency in (2, 100, 200):
            for rows, beats, times in shapes:
                code = [Instruction.setl(LoadReg.ROWS, rows), Instruction.setl(LoadReg.BEATS, beats)]
                code += [Instruction.setl(LoadReg.MSTRIDE, (beats + 1) * machine.beat if rows > 1 else 0)]
                for number in range(times):
                    code += [Instruction.setl(LoadReg.DST, number), Instruction.load(Buffer.IBUF, 0, 0)]
                    code += [Instruction.wait(Engine.EXEC, 0)]
                jobs.append(job([*code, Instruction.end()], Memory(bandwidth, latency)))
                fetched = -(-8 * len(code) // machine.beat)
                expected.append(
                    ((rows * beats * times + fetched) * bus_bits / bandwidth, 2 * latency + 40, rows, beats)
                )
    for (ideal, fixed, rows, beats), report in zip(expected, simulate(machine, jobs), strict=True):
        assert report.error is None
        assert report.counters["cycles"] <= 1.02 * ideal + fixed, (rows, beats, report.counters["cycles"], ideal)


def test_instructions_do_not_wait_behind_loads() -> None:
    """While loads fill the bus, a fetch answers after its latency: 300 instructions cost 2 % of the loads' time."""
    code = _load(0, 4000)[:-1] * 6 + [Instruction.fence()] * 300 + [Instruction.end()]
    (report,) = simulate(MACHINE, [job(code, Memory(64, 100))])
    assert report.error is None
    assert report.counters["cycles"] <= 1.02 * (24000 + 320) + 240
