"""The back end against the instruction-level model: values of random runs, its rate, its errors."""

from __future__ import annotations

import os
import random

import cocotb
import numpy as np
from back_tb import Stalls, Tb, expected
from numpy.typing import NDArray
from runs import Run, fill_obuf, random_params, random_run, tokens

from mico.codegen.bitfusion.isa import NO_SEMAPHORE, Buffer
from mico.codegen.bitfusion.loopnest import Buffers
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
