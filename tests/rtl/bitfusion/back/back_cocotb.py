"""The back end against the instruction-level model: values of random runs, its rate, its errors."""

from __future__ import annotations

import os
import random

import cocotb
import numpy as np
from back_tb import Stalls, Status, Tb, expected
from numpy.typing import NDArray
from runs import Run, fill_obuf, random_params, random_run, tokens

from mico.codegen.bitfusion.isa import NO_SEMAPHORE, Buffer, Mode, RunReg, Vector
from mico.codegen.bitfusion.loopnest import Buffers, Loops
from mico.codegen.bitfusion.machine import Machine

MACHINE = Machine(**{name: int(value) for name, value in (item.split("=") for item in os.environ["MACHINE"].split())})
COUNT = int(os.environ.get("RUNS", "40"))
SEED = int(os.environ.get("SEED", "1"))
MEMORY = 1 << 14

STALLS = {
    "none": Stalls(),
    "chunks": Stalls(chunk=0.4, run=0.2),
    "bus": Stalls(aw=0.6, w=0.5, latency=(1, 40)),
    "all": Stalls(chunk=0.2, run=0.3, aw=0.5, w=0.7, latency=(1, 90)),
}


async def _bench(dut: object, name: str, stalls: Stalls) -> tuple[Tb, Buffers, random.Random]:
    rng = random.Random(f"{SEED} {name}")
    data = np.random.default_rng(rng.randrange(1 << 32))
    buffers = Buffers.empty(MACHINE)
    buffers.ibuf[:] = data.integers(0, 256, buffers.ibuf.shape)
    buffers.wbuf[:] = data.integers(0, 256, buffers.wbuf.shape)
    buffers.pbuf[:, :, : MACHINE.cols] = random_params(rng, MACHINE)
    tb = Tb(dut, MACHINE, data.integers(0, 256, MEMORY, dtype=np.uint8), stalls, rng)
    await tb.start()
    tb.load(Buffer.WBUF, buffers.wbuf)
    tb.load(Buffer.PBUF, buffers.pbuf.view(np.uint8))
    first = fill_obuf(rng, MACHINE)
    while tb.loads:
        await tb.cycle()
    tb.offer([first], buffers)
    expected([first], buffers, MACHINE, tb.memory)
    await tb.finish()
    return tb, buffers, rng


def _difference(runs: list[Run], wrong: NDArray[np.int64], got: NDArray[np.uint8], want: NDArray[np.uint8]) -> str:
    at = int(wrong[0])
    near = [f"{run.loops.mode} {run.loops.registers}" for run in runs if 0 <= at - run.loops.offset < 400]
    return f"{len(wrong)} bytes differ, the first at {at}: {got[wrong[:8]]}, not {want[wrong[:8]]}; {near}"


async def _random_runs(dut: object, name: str) -> None:
    tb, buffers, rng = await _bench(dut, name, STALLS[name])
    memory = tb.memory.copy()
    done = 0
    while done < COUNT:
        runs: list[Run] = []
        for _ in range(rng.choice([1, 4, 12])):
            runs += random_run(rng, MACHINE, MEMORY)
        semaphores = [run.sem_weight for run in runs if run.sem_weight != NO_SEMAPHORE]
        tb.semaphores.clear()
        start = len(tb.log)
        tb.offer(runs, buffers)
        expected(runs, buffers, MACHINE, memory)
        await tb.finish()
        wrong = np.flatnonzero(tb.memory != memory)
        assert not len(wrong), _difference(runs, wrong, tb.memory, memory)
        assert tb.semaphores == semaphores, "a signal a run, in order"
        assert not tb.errors
        assert sum(status.token for status in tb.log[start:]) == sum(tokens(run.loops) for run in runs)
        done += len(runs)


@cocotb.test()
@cocotb.parametrize(name=list(STALLS))
async def random_runs(dut: object, name: str) -> None:
    """Values, semaphores and number of tokens of random runs."""
    await _random_runs(dut, name)


def _plain(mode: Mode, offset: int, **registers: int) -> Run:
    """A run of single chunks, counts 1 and steps 0 unless given."""
    names = ("J", "K", "PX", "PY", "OX", "OY", "B", "NCH", "NOCT", "PO", "SEG")
    values = dict.fromkeys(RunReg, 0) | {RunReg[name]: 1 for name in names}
    values |= {RunReg.XEND: 1 << 20, RunReg.YEND: 1, RunReg.OLAST: MACHINE.cols * mode.out_bits // 8}
    values |= {RunReg[name.upper()]: value & 0xFFFFFFFF for name, value in registers.items()}
    return Run(Loops(values, mode, offset))


def _tokens_and_gaps(tb: Tb, start: int) -> tuple[int, list[Status]]:
    """Tokens since *start*, and the cycles without one between the first and the last."""
    times = [i for i, status in enumerate(tb.log[start:], start) if status.token]
    return len(times), [status for status in tb.log[times[0] : times[-1]] if not status.token]


@cocotb.test()
async def a_token_a_cycle_through_runs_and_modes(dut: object) -> None:
    """No cycle is lost between the runs of a chain, whatever their modes; only a full store unit holds back a token."""
    tb, buffers, rng = await _bench(dut, "rate", Stalls())
    for _ in range(max(1, COUNT // 20)):
        runs = [run for _ in range(20) for run in random_run(rng, MACHINE, MEMORY)]
        start = len(tb.log)
        tb.offer(runs, buffers)
        await tb.finish()
        count, gaps = _tokens_and_gaps(tb, start)
        assert count == sum(tokens(run.loops) for run in runs)
        assert all(status.wait_store for status in gaps)


@cocotb.test()
@cocotb.parametrize(shift=[0, 3])
async def a_vector_a_cycle(dut: object, shift: int) -> None:
    """A vector of 8-bit outputs a cycle where a beat holds one, neighbours in memory, at any address."""
    vector = MACHINE.cols
    tb, buffers, _ = await _bench(dut, "vectors", Stalls())
    run = _plain(Mode(), 64 + shift, ox=200, ostep_x=vector)
    start, beats = len(tb.log), tb.beats
    tb.offer([run], buffers)
    await tb.finish()
    count, gaps = _tokens_and_gaps(tb, start)
    assert count == 200
    assert tb.beats - beats == -(-(200 * vector + (64 + shift) % MACHINE.beat) // MACHINE.beat), "every beat once"
    if vector <= MACHINE.beat:
        assert not gaps


@cocotb.test()
async def latency(dut: object) -> None:
    """From a token to its semaphore, to rest, and to the bus: as README.md states."""
    tb, buffers, _ = await _bench(dut, "latency", Stalls())
    run = _plain(Mode(), 0)
    run.sem_weight = 3
    start = len(tb.log)
    tb.offer([run], buffers)
    await tb.finish()
    log = tb.log[start:]
    first = {name: next(i for i, s in enumerate(log) if getattr(s, name)) for name in ("token", "sem_valid", "awvalid")}
    accumulate = 3 + -(-(MACHINE.rows - 1).bit_length() // 2)
    assert first["token"] == 2, "run accepted in 0, in hand in 1"
    assert first["sem_valid"] - first["token"] == accumulate
    rest = next(i for i in range(first["token"], len(log)) if log[i].runs_idle)
    assert rest - first["token"] == accumulate + 9
    whole_beats = MACHINE.cols // MACHINE.beat
    assert first["awvalid"] - first["token"] == accumulate + (11 if whole_beats else 12)


@cocotb.test()
@cocotb.parametrize(name=["none", "chunks"])
async def a_partial_sum_that_has_just_been_written(dut: object, name: str) -> None:
    """Runs of one token that add to one entry of OBUF, in consecutive cycles and with gaps."""
    tb, buffers, rng = await _bench(dut, f"bypass {name}", STALLS[name])
    runs = [_plain(Mode(emit=False), 0, abase=entry, seg=MACHINE.rows) for entry in (2, 3)]
    for _ in range(60):
        entry, ibase = rng.choice([2, 2, 3]), rng.randrange(1000)
        runs.append(_plain(Mode(init=False, emit=False), 0, abase=entry, seg=MACHINE.rows, ibase=ibase))
    out = Mode(init=False, out_bits=32, out_signed=True, requant=False)
    runs.append(_plain(out, 0, abase=2, ox=2, ostep_x=4 * MACHINE.cols))
    memory = tb.memory.copy()
    tb.offer(runs, buffers)
    expected(runs, buffers, MACHINE, memory)
    await tb.finish()
    assert (tb.memory == memory).all()


async def _stop(tb: Tb) -> None:
    """As the control unit does: stop until everything is at rest."""
    tb.stop = True
    tb.runs.clear()
    for count in range(400):
        status = await tb.cycle()
        tb.chunks.clear()
        if count > 8 and status.runs_idle and status.stores_idle:
            break
    else:
        raise AssertionError("not at rest")
    tb.stop = False


async def _works(tb: Tb, buffers: Buffers, rng: random.Random) -> None:
    """Random runs are right."""
    memory = tb.memory.copy()
    fill = fill_obuf(rng, MACHINE)
    runs = [fill] + [run for _ in range(4) for run in random_run(rng, MACHINE, MEMORY)]
    tb.offer(runs, buffers)
    expected(runs, buffers, MACHINE, memory)
    await tb.finish()
    assert (tb.memory == memory).all()


BUFFER, MEMORY_ERROR, BUS = 4, 3, 8


@cocotb.test()
async def errors(dut: object) -> None:
    """Every error is reported, nothing is written outside, and after the stop runs are right again."""
    tb, buffers, rng = await _bench(dut, "errors", Stalls(latency=(1, 20)))
    vector, partial = Mode(vector=Vector.MAC), Mode(init=False)
    width = MACHINE.cols
    many = MACHINE.obuf_entries
    wrong = {
        "the window's end": (_plain(Mode(), MEMORY - width + 1), MEMORY_ERROR),
        "far beyond": (_plain(Mode(), 0xFFFF_FFFE), MEMORY_ERROR),
        "below the window": (_plain(Mode(), 5, ox=3, ostep_x=-4), MEMORY_ERROR),
        "rows of WBUF": (_plain(Mode(), 0, wbase=MACHINE.wbuf_rows), BUFFER),
        "rows of a later octet": (_plain(Mode(), 0, wbase=1, noct=2, wstep=0xFFFF), BUFFER),
        "entries of PBUF": (_plain(Mode(), 0, pbase=MACHINE.param_depth), BUFFER),
        "multipliers": (_plain(vector, 0, seg=width, pbase=MACHINE.param_depth - 1, k=2), BUFFER),
        "entries of OBUF": (_plain(partial, 0, abase=many - 1, ox=2), BUFFER),
        "partial sums": (_plain(Mode(emit=False), 0, abase=many), BUFFER),
    }
    for name, (run, code) in wrong.items():
        tb.offer([run], buffers)
        tb.errors.clear()
        for _ in range(60):
            await tb.cycle()
        assert set(tb.errors) == {code}, f"{name}: {tb.errors}"
        await _stop(tb)
        await _works(tb, buffers, rng)
    for buffer, beats in ((Buffer.WBUF, MACHINE.wbuf_rows * MACHINE.wbuf_row_beats),
                          (Buffer.PBUF, MACHINE.param_depth * 3 * MACHINE.param_row_beats)):  # fmt: skip
        tb.errors.clear()
        tb.load(buffer, np.zeros(MACHINE.beat, np.uint8), beats)
        await tb.cycle()
        await tb.cycle()
        assert tb.errors == [BUFFER]
    for response in (2, 3):
        tb.errors.clear()
        tb.bresp = response
        tb.offer([_plain(Mode(), 0)], buffers)
        for _ in range(60):
            await tb.cycle()
        tb.bresp = 0
        assert set(tb.errors) == {BUS}
        await _stop(tb)
        await _works(tb, buffers, rng)


@cocotb.test()
async def stop_at_any_time(dut: object) -> None:
    """A stop in the middle of anything ends at rest, AXI keeps to its rules, and what comes after is right."""
    tb, buffers, rng = await _bench(dut, "stop", STALLS["all"])
    for _ in range(max(4, COUNT // 4)):
        tb.offer([run for _ in range(6) for run in random_run(rng, MACHINE, MEMORY)], buffers)
        for _ in range(rng.randint(1, 200)):
            await tb.cycle()
        await _stop(tb)
        await _works(tb, buffers, rng)
