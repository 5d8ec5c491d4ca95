"""The whole accelerator: random chains of runs against the model, builds against each other, damaged programs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.harness.bf_sim import Build, Job, Memory, Report, run_jobs
from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.codegen.bitfusion.isa import Instruction, Opcode, encode
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import Code, MachineError, execute
from tests.rtl.bitfusion.top.programs import RESULTS, Chain

SMALL = Machine(rows=8, cols=8, bus_bits=128, ibuf_bytes=4096, wbuf_bytes=8192, obuf_bytes=1024)
SMALLER = Machine(rows=4, cols=4, bus_bits=128, wbuf_bytes=2048, obuf_bytes=512, ibuf_bytes=2048, param_depth=16)
ODD = Machine(rows=3, cols=5, bus_bits=64, wbuf_bytes=960, obuf_bytes=320, ibuf_bytes=2048, param_depth=16)
BASE = 0x4_0000
RTL = ROOT / "rtl" / "bitfusion"
MEMORIES = (Memory(), Memory(4096, 2, 2), Memory(64, 200, 100), Memory(192, 20, 20, 60, 5), Memory(512, 5, 50, 180, 6))


def simulate(machine: Machine, jobs: Sequence[Job], build: Build) -> list[Report]:
    reports = run_jobs(machine, jobs, build=build)
    for number, report in enumerate(reports):
        assert not report.hung, (number, hex(report.blocked))
        assert report.escapes == 0, number
    return reports


def job(chain: Chain, memory: Memory) -> Job:
    window = chain.memory.tobytes()
    return Job(window, chain.program, len(chain.code), BASE, cycle_limit=400_000, dump=(0, len(window)), memory=memory)


def check_chains(machine: Machine, seeds: Sequence[int], builds: Sequence[Build]) -> None:
    """Results are the model's whatever the memory; every build takes the same cycles."""
    chains = [Chain(seed, machine) for seed in seeds]
    jobs = [job(chain, MEMORIES[chain.seed % len(MEMORIES)]) for chain in chains]
    by_build = {build: simulate(machine, jobs, build) for build in builds}
    for number, chain in enumerate(chains):
        reports = {build: reports[number] for build, reports in by_build.items()}
        expected = chain.after().tobytes()
        for build, report in reports.items():
            assert report.error is None, (chain.seed, build, report.error, report.index, hex(report.blocked))
            assert build is Build.TIMING or report.data == expected, (chain.seed, build)
        assert len({repr(replace(report, data=b"")) for report in reports.values()}) == 1, (chain.seed, "cycles")


def test_chains_on_an_8x8_array() -> None:
    check_chains(SMALL, range(1, 41), (Build.FUNCTIONAL, Build.TIMING))


@pytest.mark.slow
def test_structural_build() -> None:
    check_chains(SMALLER, range(1000, 1060), (Build.STRUCTURAL, Build.FUNCTIONAL))


@pytest.mark.slow
def test_sizes_that_divide_nothing() -> None:
    check_chains(ODD, range(2000, 2100), (Build.FUNCTIONAL, Build.TIMING))


@pytest.mark.slow
def test_the_full_array() -> None:
    check_chains(Machine(obuf_bytes=4096), range(3000, 3020), (Build.FUNCTIONAL, Build.TIMING))


@pytest.mark.slow
@pytest.mark.parametrize("stalls", [False, True])
def test_on_cocotbext_axi(stalls: bool) -> None:
    bench = Path(__file__).parents[1] / "control"
    run_cocotb(
        Path(__file__).with_name("top_cocotb.py"),
        top="control_bench",
        sources=[*read_file_list(RTL / "bf.f"), bench / "control_bench.sv", bench / "control_bench.vlt"],
        env={"STALLS": str(int(stalls))},
        public=False,
    )


def _damage(rng: random.Random, code: list[Instruction]) -> list[Instruction]:
    """One field of one instruction changed, not of those that synchronise."""
    while True:
        number = rng.randrange(len(code))
        old = code[number]
        if old.opcode not in (Opcode.SETL, Opcode.SETX, Opcode.LOAD, Opcode.RUN):
            continue
        kind = rng.randrange(4)
        if kind == 0:
            new = replace(old, arg=old.arg ^ 1 << rng.randrange(8) if old.opcode != Opcode.RUN else old.arg | 8)
        elif kind == 1:
            new = replace(old, imm=old.imm ^ 1 << rng.randrange(32))
        else:
            new = replace(old, imm=rng.choice([0, 1, 65535, 65536, 0xFFFFFFFF, old.imm + 1, rng.getrandbits(12)]))
        if new != old and not (old.opcode == Opcode.LOAD and (new.arg ^ old.arg) & 0xF0):
            return [*code[:number], new, *code[number + 1 :]]


def _model(code: list[Instruction], chain: Chain) -> tuple[Code | None, bytes]:
    memory = chain.memory.copy()
    try:
        execute(code, memory, chain.machine)
    except MachineError as error:
        return error.code, b""
    return None, memory.tobytes()


def test_damaged_programs_end_as_in_the_model() -> None:
    """One register or field changed: the same end as in the model, and the same memory where that is END. Seed 7."""
    rng, jobs, cases = random.Random(7), [], []
    chains = [Chain(seed, SMALL, 3) for seed in range(4000, 4010)]
    for number in range(200):
        chain = chains[number % len(chains)]
        code = _damage(rng, chain.code)
        image = chain.memory.copy()
        image[chain.program : chain.program + 8 * len(code)] = np.frombuffer(encode(code), np.uint8)
        memory = MEMORIES[number % len(MEMORIES)]
        jobs.append(
            Job(image.tobytes(), chain.program, len(code), BASE, cycle_limit=60_000, dump=(0, RESULTS), memory=memory)
        )
        cases.append((chain, code))
    for number, ((chain, code), report) in enumerate(zip(cases, simulate(SMALL, jobs, Build.FUNCTIONAL), strict=True)):
        if report.error is Code.LIMIT:
            continue  # counts too large to wait for
        error, memory = _model(code, chain)
        assert report.error == error, (number, report.index)
        assert error is not None or report.data == memory[:RESULTS], number


def test_malformed_programs_end() -> None:
    """Runs with random registers, random words, and damaged, truncated chains; seeds 1..300."""
    jobs = []
    for seed in range(1, 301):
        rng = random.Random(seed)
        chain = Chain(5000 + seed % 10, SMALL, 3)
        if seed % 3 == 0:
            code = [
                Instruction(rng.choice([2, 3, 4, 0x10, 0x11, 0x20, 0x21]), rng.getrandbits(9), rng.getrandbits(10))
                for _ in range(80)
            ]
        elif seed % 3 == 1:
            code = chain.code
            for _ in range(rng.randrange(1, 8)):
                code = _damage(rng, code)
        else:
            code = chain.code[: rng.randrange(1, len(chain.code))]
            code[rng.randrange(len(code))] = Instruction(rng.getrandbits(8), rng.getrandbits(24), rng.getrandbits(32))
        image = chain.memory.copy()
        image[chain.program : chain.program + 8 * len(code)] = np.frombuffer(encode(code), np.uint8)
        memory = MEMORIES[seed % len(MEMORIES)]
        jobs.append(Job(image.tobytes(), chain.program, len(code), BASE, cycle_limit=20_000, memory=memory))
    simulate(SMALL, jobs, Build.FUNCTIONAL)
