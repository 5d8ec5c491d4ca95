"""The compiler's cycle model: runs by themselves, both engines together, and against the RTL."""

from __future__ import annotations

import numpy as np
import pytest

from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.cycles import Timing, run_cycles, simulate
from mico.codegen.bitfusion.isa import Buffer, Mode, RunReg, encode
from mico.codegen.bitfusion.link import Fence, LoadAction, Mark, RunAction, Wait
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.steps import Transfer

MACHINE = Machine()


def registers(**values: int) -> dict[RunReg, int]:
    ones = ("J", "K", "PX", "PY", "OX", "OY", "B", "NCH", "NOCT", "PO")
    made = {register: 1 if register.name in ones else 0 for register in RunReg}
    return made | {RunReg[name]: value for name, value in values.items()}


def test_a_run_takes_a_chunk_or_a_line_a_cycle() -> None:
    mode = Mode(act_bits=4, wgt_bits=4, out_bits=4).encode()
    base = dict(MODE=mode, OX=10, OY=3, NCH=5, K=3, SEG=48, OLAST=16, OSTEP_X=16, OSTEP_Y=160)
    cost = run_cycles(registers(**base), 0, MACHINE)
    assert (cost.issue, cost.gather, cost.store, cost.vectors) == (150, 150, 30, 30)
    assert cost.beats == 15  # 30 neighbours of 16 bytes
    assert run_cycles(registers(**base | {"OSTEP_X": 64}), 0, MACHINE).beats == 30
    assert run_cycles(registers(**base | {"NCH": 1}), 0, MACHINE).gather == 90


def test_loads_and_runs_overlap() -> None:
    """Two tiles: the second is loaded while the first is computed, and the third waits for nobody."""
    run = RunAction(registers(MODE=Mode().encode(), OX=1000, OLAST=32, OSTEP_X=32), 0, None, None, 0)
    load = LoadAction(Transfer(Buffer.IBUF, 0, 1, 300), 0, 0)
    timing = Timing()
    timeline = simulate([load, load], [Wait(0), run, Wait(0), run, Fence(), Mark(0)], MACHINE, timing)
    loading = 300 * MACHINE.beat / timing.bytes_per_cycle
    least = loading + 2 * max(1000, 1000 * MACHINE.beat / timing.bytes_per_cycle)
    assert least < timeline.marks[0] < least + loading + 400


@pytest.mark.slow
def test_within_two_percent_of_the_rtl() -> None:
    """200 random layers on the timing build: 2 % mean, none off by more than 10 %."""
    from hil.harness.bf_sim import Build, Job, run_jobs
    from tests.bench.bitfusion_layers import random_cases

    programs = [compile_model(case.model(), weights=False) for case in random_cases(200, seed=11)]
    jobs = [Job(encode(p.instructions), 0, len(p.instructions), mem_bytes=p.memory_bytes) for p in programs]
    reports = run_jobs(MACHINE, jobs, build=Build.TIMING, mem_bytes=256 << 20)
    assert all(report.error is None for report in reports)
    errors = np.array([p.predicted[-1] / r.counters["cycles"] - 1 for p, r in zip(programs, reports, strict=True)])
    assert np.abs(errors).mean() < 0.02
    assert np.abs(errors).max() < 0.10
