"""bf_front against the model of its chunks; both builds run side by side in the bench. Sizes come in ``BENCH``."""

from __future__ import annotations

import json
import os
import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np
from chunk_model import NO_SEMAPHORE, Run, chunk_stream, random_run
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

BENCH = json.loads(os.environ["BENCH"])
ROWS, BUS, IBUF, DEPTH = BENCH["Rows"], BENCH["BusBits"], BENCH["IbufBytes"], BENCH["PatchDepth"]
SEED, BATCHES = BENCH.get("seed", 1), BENCH.get("batches", 6)


class Front:
    """Drives the bench behind falling edges and checks what it gives before the rising ones."""

    def __init__(self, dut: Any, seed: int) -> None:
        self.dut, self.rng = dut, random.Random(seed)
        self.numpy = np.random.default_rng(seed)
        self.ibuf = np.zeros(IBUF, np.uint8)
        self.cycle = 0
        self.runs_timed = 0

    async def start(self) -> None:
        for name in ("rst_ni", "stop_i", "run_valid_i", "ibuf_we_i", "chunk_ready_i"):
            getattr(self.dut, name).value = 0
        Clock(self.dut.clk_i, 10, unit="ns").start()
        await ClockCycles(self.dut.clk_i, 3)
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def fill(self) -> None:
        """New random contents of IBUF; half the beats at addresses beyond its end, which wrap."""
        self.ibuf = self.numpy.integers(0, 256, IBUF, dtype=np.uint8)
        beat = BUS // 8
        for i in range(IBUF // beat):
            await FallingEdge(self.dut.clk_i)
            self.dut.ibuf_we_i.value = 1
            self.dut.ibuf_addr_i.value = i + (IBUF // beat) * self.rng.randrange(3)
            self.dut.ibuf_data_i.value = int.from_bytes(self.ibuf[i * beat :][:beat].tobytes(), "little")
        await FallingEdge(self.dut.clk_i)
        self.dut.ibuf_we_i.value = 0

    async def play(
        self, runs: Sequence[Run], *, ready: float = 1.0, offer: float = 1.0, overwrite: bool = False
    ) -> list[int]:
        """Runs until all chunks are there, and checks them; the cycle of each chunk.

        Parameters
        ----------
        ready, offer
            Parts of the cycles in which a chunk is taken, and in which a waiting run is offered.
        overwrite
            IBUF gets new contents as soon as the last run has signalled its semaphore, while chunks still come.
        """
        if overwrite:
            runs[-1].sem = 5
        filling = None
        dut, rng = self.dut, self.rng
        expected = deque((i, c) for i, run in enumerate(runs) for c in chunk_stream(run, self.ibuf, ROWS))
        semaphores = deque(run.sem for run in runs if run.sem != NO_SEMAPHORE)
        waiting = deque(runs)
        cycles: list[int] = []
        idle, patience = 0, 0
        taken = True
        while idle < 3 or semaphores or expected or waiting:
            if waiting and taken and rng.random() < offer:
                dut.run_valid_i.value = 1
                dut.run_i.value = waiting[0].bits()
                taken = False
            elif taken:
                dut.run_valid_i.value = 0
            now_ready = rng.random() < ready
            dut.chunk_ready_i.value = int(now_ready)
            await ReadOnly()
            if not taken and dut.run_ready_o.value:
                waiting.popleft()
                taken = True
            if dut.sem_input_valid_o.value:
                assert int(dut.sem_input_o.value) == semaphores.popleft()
                if overwrite and not semaphores:
                    filling = cocotb.start_soon(self.fill())
            patience += 1
            if dut.chunk_valid_o.value:
                patience = 0
                assert expected, "a chunk too many"
                index, chunk = expected[0]
                got = int(dut.chunk_o.value)
                assert got == chunk, f"chunk {len(cycles)} is {got:x}, not {chunk:x} in {runs[index]}"
                if now_ready:
                    expected.popleft()
                    cycles.append(self.cycle)
            assert patience < 2000, f"nothing comes: {len(expected)} chunks left of {runs}"
            idle = idle + 1 if dut.idle_o.value else 0
            self.cycle += 1
            await FallingEdge(dut.clk_i)
        if filling:
            await filling
        assert not dut.differ_o.value, "functional and timing build differ"
        return cycles


async def bench(dut: Any) -> Front:
    front = Front(dut, SEED)
    await front.start()
    await front.fill()
    return front


def start_cycles() -> int:
    """From the offer of a run to an idle machine to its first chunk, where that needs one read."""
    line = (4 * ROWS - 1).bit_length()
    return 12 + (line + 1) // 2 + ((line + 1) // 2 if 1 << line != 4 * ROWS else 0)


def lone_run_cycles(run: Run) -> int:
    """The README's cycles of a run that an idle machine takes, until its last chunk is delivered."""
    if run.vector:
        return start_cycles() + limiting_cycles(run)
    gathered, passes = max(run.reads(ROWS), run.nch), run.noct * run.nch
    return start_cycles() + (run.pixels - 1) * max(gathered, passes) + gathered + passes - run.nch


def limiting_cycles(run: Run) -> int:
    """Reads, or chunks delivered: the README's cycles of a run in the steady state."""
    return max(run.pixels * run.reads(ROWS) * (run.noct if run.vector else 1), run.chunks())


@cocotb.test()
async def random_runs_back_to_back(dut: Any) -> None:
    front = await bench(dut)
    for batch in range(BATCHES):
        runs = [random_run(front.rng, ROWS, DEPTH, IBUF) for _ in range(12)]
        ready, offer = ((1.0, 1.0), (0.6, 1.0), (0.95, 0.1))[batch % 3]
        await front.play(runs, ready=ready, offer=offer, overwrite=True)


@cocotb.test()
async def a_run_takes_its_reads_or_its_chunks(dut: Any) -> None:
    front = await bench(dut)
    while front.runs_timed < 8 * BATCHES:
        run = random_run(front.rng, ROWS, DEPTH, IBUF)
        if not run.vector and run.nch != run.natural_nch(ROWS):
            continue
        start = front.cycle
        cycles = await front.play([run])
        more = cycles[-1] + 1 - start - lone_run_cycles(run)
        assert 0 <= more <= 2, f"{more} cycles more than {lone_run_cycles(run)}: {run}"
        front.runs_timed += 1


@cocotb.test()
async def a_long_patch_leaves_little_room_for_the_next(dut: Any) -> None:
    """More reads than chunks, and patches of more than half of the FIFO: the README's formula with S."""
    front = await bench(dut)
    for nch, noct, seg, weights in ((3 * DEPTH // 4, 20, 1, 2), (DEPTH, 9, 2, 2), (5 * DEPTH // 8, 30, 1, 4)):
        run = Run(wgt_bits=weights, seg=seg, jstep=seg, kstep=3, k=4, nch=nch, noct=noct, ox=3, oxstep=1)
        run.j = nch * run.chunk_bytes(ROWS) // (seg * run.k)
        assert run.natural_nch(ROWS) == nch
        start = front.cycle
        took = (await front.play([run]))[-1] + 1 - start
        reads, room = run.reads(ROWS), DEPTH - nch + 8 * ROWS // run.chunk_bytes(ROWS)
        patch = max(reads, (noct - 2) * nch + max(2 * nch, (nch - room) * reads / nch + 10))
        wanted = start_cycles() + reads + (noct - 1) * nch + (run.pixels - 1) * patch
        assert abs(took - wanted) <= 0.01 * wanted, f"{took} cycles, not {wanted}: {run}"


@cocotb.test()
async def runs_follow_without_a_gap(dut: Any) -> None:
    front = await bench(dut)
    for _ in range(BATCHES):
        runs = [random_run(front.rng, ROWS, DEPTH, IBUF) for _ in range(20)]
        runs = [run for run in runs if run.vector or run.nch == run.natural_nch(ROWS)]
        start = front.cycle
        cycles = await front.play(runs)
        lost = cycles[-1] + 1 - start - sum(map(limiting_cycles, runs))
        assert lost <= 25 + len(runs) // 2, f"{lost} cycles lost in {len(runs)} runs"


@cocotb.test()
async def stop_forgets_all_runs(dut: Any) -> None:
    front = await bench(dut)
    for _ in range(8 * BATCHES):
        run = random_run(front.rng, ROWS, DEPTH, IBUF)
        dut.run_i.value = run.bits()
        dut.run_valid_i.value = 1
        dut.chunk_ready_i.value = front.rng.randrange(2)
        for _ in range(front.rng.randrange(1, 60)):
            await FallingEdge(dut.clk_i)
        dut.stop_i.value = 1
        for _ in range(front.rng.randrange(1, 4)):
            await FallingEdge(dut.clk_i)
            assert dut.idle_o.value
            assert not dut.chunk_valid_o.value
            assert not dut.run_ready_o.value
        dut.stop_i.value = 0
        dut.run_valid_i.value = 0
        await front.play([random_run(front.rng, ROWS, DEPTH, IBUF, limit=60)])
