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
    weight_free
        From a run's last token to its weight semaphore.
    run_gap
        Cycles that the array loses between two runs.
    credits
        Vectors that the array may be ahead of the store unit.
    run_next
        Least cycles between the first tokens of two runs.
    run_least
        The same while the memory is busy, which then delays instructions: what the choice of mappings reckons with.
    """

    bytes_per_cycle: float = 24.0
    start: float = 68.0
    load_gap: float = 2.5
    read_latency: float = 64.0
    write_latency: float = 64.0
    instruction: float = 1.0
    gather_latency: float = 16.0
    drain: float = 30.0
    weight_free: float = 6.0
    run_gap: float = 2.0
    credits: float = 32.0
    run_next: float = 6.0
    run_least: float = 24.0


@dataclass(frozen=True)
class RunCost:
    """Of a run: cycles of the array, of the gather, of the store unit; beats that it writes, vectors of results.

    *held*: most cycles of the array for patches that wait in the patch FIFO.
    """

    issue: int
    gather: int
    held: int
    store: int
    beats: float
    vectors: int


def run_cycles(registers: Mapping[RunReg, int], offset: int, machine: Machine) -> RunCost:
    """Cost of a RUN by itself."""
    r = registers
    mode = Mode.decode(r[RunReg.MODE])
    outputs = r[RunReg.OX] * r[RunReg.OY] * r[RunReg.B]
    pixels = outputs * r[RunReg.PX] * r[RunReg.PY]
    patch_reads = r[RunReg.K] * r[RunReg.J] * -(-r[RunReg.SEG] // machine.line)
    slots = r[RunReg.NOCT] // r[RunReg.PO]
    vector = machine.cols * mode.out_bits // 8
    store, beats, vectors = 0, 0.0, 0
    if mode.emit:
        store = outputs * ((slots - 1) * -(-vector // machine.beat) + -(-r[RunReg.OLAST] // machine.beat))
        vectors = outputs * slots
        beats = _written_beats(r, offset, slots, vector, machine.beat)
    if mode.vector is not None:
        reads = pixels * r[RunReg.NOCT] * patch_reads
        return RunCost(reads, reads, machine.patch_depth, store, beats, vectors)
    issue = pixels * r[RunReg.NOCT] * r[RunReg.NCH]
    held = (
        machine.patch_depth // r[RunReg.NCH] * r[RunReg.NCH] * r[RunReg.NOCT]
        if r[RunReg.NOCT] > 1
        else machine.patch_depth
    )
    return RunCost(issue, pixels * max(patch_reads, r[RunReg.NCH]), held, store, beats, vectors)


def _written_beats(r: Mapping[RunReg, int], offset: int, slots: int, vector: int, beat: int) -> float:
    """Neighbours share beats; every stretch of them begins and ends with a beat of its own."""
    size, stretches, grain = r[RunReg.OLAST], 1, gcd(beat, offset)
    inner = ((slots, vector), *((r[n], r[step]) for n, step in _OUTPUT_LOOPS))
    for index, (count, step) in enumerate(inner):
        joined = r[RunReg.OSTEP_O] == vector if index == 0 else stretches == 1 and step == size
        if count == 1:
            continue
        if joined:
            size += (count - 1) * step
        else:
            stretches *= count
            grain = gcd(grain, step)
    return stretches * ((-(-size // grain) - 1) * grain / beat + 1)  # on average over the places where they may begin


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
    moved
        When the memory is done with each action of the load engine.
    marks
        Of each MARK, in order.
    total
        The end.
    """

    loads: list[float]
    moved: list[float]
    runs: list[float]
    marks: list[float]
    total: float


class _Player:
    """Both engines, the array with its gather, the store unit and the memory; times in cycles."""

    def __init__(self, loads: Sequence[Action], runs: Sequence[Action], machine: Machine, timing: Timing) -> None:
        self.queues, self.machine, self.timing = (loads, runs), machine, timing
        self.given: dict[int, list[float]] = defaultdict(list)  # when each semaphore was signalled
        self.taken = [0] * SEMAPHORES
        self.position = [0, 0]
        self.clock = [timing.start, timing.start]
        self.starts: tuple[list[float], list[float]] = ([], [])
        self.marks: list[float] = []
        self.moved: list[float] = []
        self.memory = 0.0  # free from then on
        self.array = self.first = self.gather = self.stored = self.accepted = self.written = 0.0
        self.costs: dict[tuple[int, ...], RunCost] = {}

    def play(self) -> Timeline:
        while True:
            ahead = 0 if self.clock[0] <= self.clock[1] else 1
            if not (self._step(ahead) or self._step(1 - ahead)):
                break
        if self.position != [len(queue) for queue in self.queues]:
            raise RuntimeError("the linked program deadlocks")  # a defect of the compiler, not of the model
        return Timeline(self.starts[0], self.moved, self.starts[1], self.marks, max(self.clock))

    def _step(self, engine: int) -> bool:
        """Start the next action of *engine*; False where it has none or waits."""
        if self.position[engine] == len(self.queues[engine]):
            return False
        action, now, t = self.queues[engine][self.position[engine]], self.clock[engine], self.timing
        then = now + t.instruction
        match action:
            case Wait():
                number = self.taken[action.semaphore]
                if number >= len(self.given[action.semaphore]):
                    return False
                self.taken[action.semaphore] += 1
                then = max(then, self.given[action.semaphore][number])
            case LoadAction():
                then = max(then, self._load(action, now))
            case RunAction():
                then = self._run(action, now)
            case Fence():
                then = max(now, self.written, self.array)
            case Mark():
                self.marks.append(now)
            case Signal():
                self.given[action.semaphore].append(now)
        self.starts[engine].append(now)
        if engine == 0:
            self.moved.append(self.memory)
        self.clock[engine] = then
        self.position[engine] += 1
        return True

    def _load(self, action: LoadAction, now: float) -> float:
        t = self.timing
        data = action.transfer.rows * action.transfer.beats * self.machine.beat
        self.memory = max(now, self.memory) + data / t.bytes_per_cycle + t.load_gap
        if action.signal is not None:
            self.given[action.signal].append(self.memory + t.read_latency)
        return self.memory - t.read_latency

    def _run(self, action: RunAction, now: float) -> float:
        t = self.timing
        key = (*action.registers.values(), action.offset % self.machine.beat)
        if key not in self.costs:
            self.costs[key] = run_cycles(action.registers, action.offset, self.machine)
        cost = self.costs[key]
        entered = max(now, self.accepted)  # the engine holds one RUN while the gather is busy
        self.accepted = begin = max(entered + t.instruction, self.gather)
        self.gather = begin + cost.gather
        first = max(self.array + t.run_gap, begin + t.gather_latency, self.first + t.run_next)
        self.first = first
        self.array = max(first + cost.issue, self.gather + 1)
        self.gather = max(self.gather, self.array - cost.held)
        if cost.vectors:
            writing = cost.beats * self.machine.beat / t.bytes_per_cycle
            start = max(self.stored, first)
            loading = max(0.0, self.memory - start)  # reads and writes take turns
            self.stored = start + max(writing + min(writing, loading), cost.store)
            self.memory += writing
            self.array = max(self.array, self.stored - t.credits * (self.stored - start) / cost.vectors)
        self.written = max(self.array + t.drain, self.stored) + t.write_latency
        if action.input is not None:
            self.given[action.input].append(self.gather)
        if action.weight is not None:
            self.given[action.weight].append(self.array + t.weight_free)
        return entered + t.instruction


def simulate(
    loads: Sequence[Action], runs: Sequence[Action], machine: Machine, timing: Timing | None = None
) -> Timeline:
    """Play both engines' actions against each other."""
    return _Player(loads, runs, machine, timing or Timing()).play()
