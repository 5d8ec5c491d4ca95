"""Cycles: of a run, of a load, and of a whole program with both engines working side by side.

The constants of :class:`Timing` are the whole calibration against the RTL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from math import gcd

from mico.codegen.bitfusion.isa import SEMAPHORES, Mode, RunReg
from mico.codegen.bitfusion.link import Action, Fence, LoadAction, Mark, RunAction, Signal, Wait
from mico.codegen.bitfusion.machine import Machine

__all__ = ["Timeline", "Timing", "run_cycles", "simulate"]


@dataclass(frozen=True)
class Timing:
    """What the machine's parameters do not say.

    Attributes
    ----------
    bytes_per_cycle
        Of the memory, both directions together.
    start
        From the start to the first instruction.
    load_gap
        Cycles of the memory that a LOAD costs beside its data.
    read_latency, write_latency
        Cycles from a request to its first data, from the last data to its acknowledgement.
    instruction
        Cycles of an instruction that only sets a register.
    gather_latency
        From a RUN's start to its first chunk.
    drain
        From the last chunk of the last run to the last write.
    run_gap
        Cycles that the array loses between two runs.
    credits
        Cycles that the array may be ahead of the store unit.
    run_least
        Cycles between the starts of two runs: their registers have to be set.
    """

    bytes_per_cycle: float = 24.0
    start: float = 68.0
    load_gap: float = 2.5
    read_latency: float = 64.0
    write_latency: float = 64.0
    instruction: float = 1.0
    gather_latency: float = 16.0
    drain: float = 30.0
    run_gap: float = 2.0
    credits: float = 32.0
    run_least: float = 20.0


@dataclass(frozen=True)
class RunCost:
    """Of a run: cycles of the array, of the gather, of the store unit; beats that it writes."""

    issue: int
    gather: int
    store: int
    beats: float


def run_cycles(registers: Mapping[RunReg, int], offset: int, machine: Machine) -> RunCost:
    """Cost of a RUN by itself."""
    r = registers
    mode = Mode.decode(r[RunReg.MODE])
    outputs = r[RunReg.OX] * r[RunReg.OY] * r[RunReg.B]
    pixels = outputs * r[RunReg.PX] * r[RunReg.PY]
    patch_reads = r[RunReg.K] * r[RunReg.J] * -(-r[RunReg.SEG] // machine.line)
    slots = r[RunReg.NOCT] // r[RunReg.PO]
    vector = machine.cols * mode.out_bits // 8
    store, beats = 0, 0.0
    if mode.emit:
        store = outputs * ((slots - 1) * -(-vector // machine.beat) + -(-r[RunReg.OLAST] // machine.beat))
        beats = _written_beats(r, offset, slots, vector, machine.beat)
    if mode.vector is not None:
        reads = pixels * r[RunReg.NOCT] * patch_reads
        return RunCost(reads, reads, store, beats)
    issue = pixels * r[RunReg.NOCT] * r[RunReg.NCH]
    return RunCost(issue, pixels * max(patch_reads, r[RunReg.NCH]), store, beats)


def _written_beats(r: Mapping[RunReg, int], offset: int, slots: int, vector: int, beat: int) -> float:
    """Neighbours share beats; every stretch of them begins and ends with a beat of its own."""
    size, stretches, grain = r[RunReg.OLAST], 1, gcd(beat, offset)
    inner = ((slots, vector), *((r[n], r[step]) for n, step in _OUTPUT_LOOPS))
    for index, (count, step) in enumerate(inner):
        if index == 0:
            joined = r[RunReg.OSTEP_O] == vector
        else:
            joined = stretches == 1 and step == size
        if count == 1:
            continue
        if joined:
            size += (count - 1) * step
        else:
            stretches *= count
            grain = gcd(grain, step)
    return stretches * ((size - grain) / beat + 1)


_OUTPUT_LOOPS = (
    (RunReg.OX, RunReg.OSTEP_X),
    (RunReg.OY, RunReg.OSTEP_Y),
    (RunReg.B, RunReg.OSTEP_B),
)


@dataclass(frozen=True)
class Timeline:
    """When things happen, in cycles from the program's start.

    Attributes
    ----------
    loads, runs
        When each action of an engine starts.
    marks
        Of each MARK, in order.
    total
        The end.
    """

    loads: list[float]
    runs: list[float]
    marks: list[float]
    total: float


def simulate(
    loads: Sequence[Action], runs: Sequence[Action], machine: Machine, timing: Timing | None = None
) -> Timeline:
    """Play both engines' actions against each other."""
    t = timing or Timing()
    given: dict[int, list[float]] = defaultdict(list)  # when a semaphore was signalled
    taken = [0] * SEMAPHORES
    starts: tuple[list[float], list[float]] = ([], [])
    clock = [t.start, t.start]
    marks: list[float] = []
    position = [0, 0]
    queues = (loads, runs)
    memory = 0.0  # when the memory is free
    array = gather = stored = written = 0.0  # when array, gather and store unit are free, all results in memory
    cost: dict[tuple[int, ...], RunCost] = {}
    while True:
        moved = False
        for engine in (0, 1):
            queue = queues[engine]
            while position[engine] < len(queue):
                action = queue[position[engine]]
                now = clock[engine]
                if isinstance(action, Wait):
                    number = taken[action.semaphore]
                    if number >= len(given[action.semaphore]):
                        break
                    taken[action.semaphore] += 1
                    starts[engine].append(now)
                    clock[engine] = max(now + t.instruction, given[action.semaphore][number])
                elif isinstance(action, LoadAction):
                    starts[engine].append(now)
                    data = action.transfer.rows * action.transfer.beats * machine.beat
                    begin = max(now, memory)
                    memory = begin + data / t.bytes_per_cycle + t.load_gap
                    clock[0] = max(now + t.instruction, memory - t.read_latency)
                    if action.signal is not None:
                        given[action.signal].append(memory + t.read_latency)
                elif isinstance(action, RunAction):
                    starts[engine].append(now)
                    key = (*action.registers.values(), action.offset % machine.beat)
                    if key not in cost:
                        cost[key] = run_cycles(action.registers, action.offset, machine)
                    c = cost[key]
                    begin = max(now, gather)
                    gather = begin + c.gather
                    first = max(array + t.run_gap, begin + t.gather_latency)
                    array = max(first + c.issue, gather + 1)
                    writing = c.beats * machine.beat / t.bytes_per_cycle
                    memory += writing
                    stored = max(stored, first) + max(writing, c.store)
                    array = max(array, stored - t.credits)
                    written = max(array + t.drain, stored) + t.write_latency
                    if action.input is not None:
                        given[action.input].append(gather)
                    if action.weight is not None:
                        given[action.weight].append(array + t.drain / 2)
                    clock[1] = max(now + t.instruction, first)
                elif isinstance(action, Fence):
                    starts[engine].append(now)
                    clock[1] = max(now, written, array)
                elif isinstance(action, Mark):
                    starts[engine].append(now)
                    marks.append(now)
                    clock[1] = now + t.instruction
                elif isinstance(action, Signal):
                    starts[engine].append(now)
                    given[action.semaphore].append(now)
                    clock[engine] = now + t.instruction
                position[engine] += 1
                moved = True
        if not moved:
            break
    if position != [len(loads), len(runs)]:
        raise RuntimeError("the linked program deadlocks")  # a defect of the compiler, not of the model
    return Timeline(starts[0], starts[1], marks, max(clock))
