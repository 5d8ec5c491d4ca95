"""Buffer addresses and semaphores for the steps of a whole program: two lists of actions, one for each engine.

Loads are put in the order of their first use, so that a load never waits for a run that waits for a later load; weights
of a layer go in front of its inputs as far as they fit, so that they are loaded while the layer before ends: no more of
them than *ahead* says, because inputs that could be loaded wait behind them.
Buffers are rings: a unit's place is counted on without end, and it may be loaded when all units that it overwrites
are freed. Units of a ring are freed in the order in which they are loaded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from mico.codegen.bitfusion.isa import RunReg
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.steps import Step, Transfer, Unit
from mico.errors import CompileError

__all__ = ["Action", "Ending", "Fence", "Linked", "LoadAction", "Mark", "RunAction", "Signal", "Wait", "link"]

INPUT_READY, INPUT_FREE, WEIGHT_READY, WEIGHT_FREE, LAYER_DONE = range(5)
_AHEAD = 100  # units of a ring that may be loaded or freed ahead: semaphores count to 255
_LEAST_AHEAD = 16  # beats of a part of a load that are worth an instruction
_EVERYTHING = 1 << 62


@dataclass(frozen=True)
class Wait:
    semaphore: int


@dataclass(frozen=True)
class Signal:
    semaphore: int


@dataclass(frozen=True)
class Fence:
    pass


@dataclass(frozen=True)
class Mark:
    number: int


@dataclass(frozen=True)
class LoadAction:
    """*transfer* to beat *destination* of its buffer."""

    transfer: Transfer
    destination: int
    signal: int | None


@dataclass(frozen=True)
class RunAction:
    registers: dict[RunReg, int]
    offset: int
    input: int | None
    weight: int | None
    layer: int


Action = Wait | Signal | Fence | Mark | LoadAction | RunAction


@dataclass(frozen=True)
class Linked:
    """Actions of both engines; *hoisted*: for each layer, which loads are its weights in front of its first inputs."""

    loads: list[Action]
    runs: list[Action]
    hoisted: dict[int, slice]


@dataclass(frozen=True)
class Ending:
    """What follows the last run of a layer: the id of a MARK, whether loads wait for it."""

    mark: int | None
    awaited: bool


@dataclass
class _Ring:
    """Units in the order of their loads, and how many of the signals that free them have been waited for."""

    size: int
    free: int
    wraps: bool
    head: int = 0
    live: deque[tuple[int, Unit]] = field(default_factory=deque)

    def fit(self, count: int) -> int:
        """Where *count* entries go next."""
        return self.behind(self.head, count)

    def behind(self, head: int, count: int) -> int:
        """Where *count* entries go when the ring is filled up to *head*."""
        if not self.wraps and head % self.size + count > self.size:
            return -(-head // self.size) * self.size
        return head


class _Linker:
    def __init__(
        self,
        steps: Sequence[Step],
        endings: Sequence[Ending],
        names: Sequence[str],
        machine: Machine,
        ahead: Mapping[int, int],
    ) -> None:
        self.steps, self.endings, self.names, self.machine = steps, endings, names, machine
        self.ahead, self.hoisted = ahead, dict[int, slice]()
        self.rest: dict[Unit, list[Action]] = {}
        self.loads: list[Action] = []
        self.runs: list[Action] = []
        self.first: dict[Unit, int] = {}
        self.last: dict[Unit, int] = {}
        for number, step in enumerate(steps):
            for unit in (*step.inputs, *([step.weights] if step.weights else [])):
                self.first.setdefault(unit, number)
                self.last[unit] = number
        self.signals: dict[bool, list[int]] = {False: [], True: []}  # steps that signal a ring's semaphore
        self.ordinal: dict[Unit, int] = {}
        for weights in (False, True):
            ends = sorted({n for unit, n in self.last.items() if unit.weights == weights})
            numbers = {n: i + 1 for i, n in enumerate(ends)}
            self.signals[weights] = ends
            self.ordinal |= {unit: numbers[n] for unit, n in self.last.items() if unit.weights == weights}
        self.ending = {weights: set(self.signals[weights]) for weights in (False, True)}
        self.waited = {False: 0, True: 0}
        self.rings = {
            "input": _Ring(machine.ibuf_bytes // machine.beat, INPUT_FREE, True),
            "weight": _Ring(machine.wbuf_rows, WEIGHT_FREE, False),
            "param": _Ring(machine.param_depth, WEIGHT_FREE, False),
        }
        self.done_waited = -1
        self.loaded: set[Unit] = set()
        self.weights = sorted((u for u in self.first if u.weights), key=lambda u: self.first[u])
        self.turn = {unit: turn for turn, unit in enumerate(self.weights)}

    def run(self) -> Linked:
        layer = -1
        upcoming = deque(self.weights)
        for number, step in enumerate(self.steps):
            if step.layer != layer:
                if layer >= 0:
                    self._end(layer, step.layer)
                layer = step.layer
                start = len(self.loads)
                self._hoist(number, layer, upcoming)
                self.hoisted[layer] = slice(start, len(self.loads))
                if layer in self.ahead:
                    self._load_inputs(number)
            if step.weights is not None and step.weights not in self.loaded:
                self._load(step.weights, number)
            if step.weights is not None:
                self.loads += self.rest.pop(step.weights, [])
            self._load_inputs(number)
            self._run(number, step)
        self._end(layer, None)
        return Linked(self.loads, self.runs, self.hoisted)

    def _load_inputs(self, number: int) -> None:
        for unit in self.steps[number].inputs:
            if unit not in self.loaded:
                self._load(unit, number)

    def _hoist(self, number: int, layer: int, upcoming: deque[Unit]) -> None:
        """Weights of *layer* that only overwrite what earlier layers are done with; as much of them as may go ahead."""
        room = self.ahead.get(layer, _EVERYTHING)
        while upcoming and self.first[upcoming[0]] < number:
            upcoming.popleft()
        for unit in upcoming:
            if self.steps[self.first[unit]].layer != layer or len(self.rings["weight"].live) > _AHEAD:
                break
            self._align(unit)
            if any(self.last[old] >= number for old in self._overwritten(unit)):
                break
            beats = sum(transfer.size for transfer in unit.transfers)
            if min(beats, room) < _LEAST_AHEAD and beats > room:
                break
            self._load(unit, number, room)
            room -= beats
            if room <= 0:
                break

    def _spans(self, unit: Unit) -> list[tuple[_Ring, int, int]]:
        """(ring, start, entries) of the places that *unit* takes next."""
        if unit.weights:
            rings = ((self.rings["weight"], unit.size), (self.rings["param"], unit.params))
            return [(ring, ring.fit(count), count) for ring, count in rings if count]
        ring = self.rings["input"]
        before = unit.before
        start = ring.head if before is None else before.address + unit.distance - before.distance
        return [(ring, start, unit.size)]

    def _align(self, unit: Unit) -> None:
        """Go on at the start of a ring if, from its head, *unit* and those that are used beside it do not fit: what is
        left at the ring's end, too little for the next unit, is lost."""
        for name in ("weight", "param") if unit.weights else ():
            ring = self.rings[name]
            first = head = -1
            for other in islice(self.weights, self.turn[unit], None):
                count = other.size if name == "weight" else other.params
                if self.first[other] > self.last[unit]:
                    break
                if not count:
                    continue
                start = ring.behind(ring.head if first < 0 else head, count)
                first, head = start if first < 0 else first, start + count
                if head - first > ring.size:
                    ring.head = -(-ring.head // ring.size) * ring.size
                    break

    def _overwritten(self, unit: Unit) -> list[Unit]:
        return [
            old for ring, start, count in self._spans(unit) for at, old in ring.live if at < start + count - ring.size
        ]

    def _load(self, unit: Unit, number: int, room: int = _EVERYTHING) -> None:
        """Load *unit*; what exceeds *room* beats is kept for later."""
        self._align(unit)
        old = self._overwritten(unit)
        late = [u for u in old if self.last[u] >= self.first[unit]]
        too_large = any(count > ring.size for ring, _, count in self._spans(unit))
        if late or too_large:
            name = self.names[self.steps[number].layer]
            raise CompileError("its tiles do not fit the buffers", where=name, cure="larger buffers")
        wanted = max((self.ordinal[u] for u in old), default=0)
        limit = [u for _, u in self.rings["weight" if unit.weights else "input"].live]
        if len(limit) > _AHEAD and self.last[limit[-_AHEAD]] < self.first[unit]:
            wanted = max(wanted, self.ordinal[limit[-_AHEAD]])
        ready, free = (WEIGHT_READY, WEIGHT_FREE) if unit.weights else (INPUT_READY, INPUT_FREE)
        for _ in range(self.waited[unit.weights], wanted):
            self.loads.append(Wait(free))
        self.waited[unit.weights] = max(self.waited[unit.weights], wanted)
        awaited = [i for i, ending in enumerate(self.endings) if ending.awaited and self.done_waited < i <= unit.after]
        self.loads += [Wait(LAYER_DONE)] * len(awaited)
        self.done_waited = max(self.done_waited, unit.after)
        for ring, start, count in self._spans(unit):
            if ring is self.rings["param"]:
                unit.param = start
            else:
                unit.address = start
            ring.head = max(ring.head, start + count)
            ring.live.append((start, unit))
            while ring.live and self.ordinal[ring.live[0][1]] <= self.waited[unit.weights]:
                ring.live.popleft()
        machine = self.machine
        for index, transfer in enumerate(unit.transfers):
            signal = ready if index == len(unit.transfers) - 1 else None
            action = LoadAction(transfer, self._destination(unit, transfer), signal)
            if transfer.size <= room:
                self.loads.append(action)
            elif room >= _LEAST_AHEAD and transfer.rows == 1:
                first, second = _halves(action, room, machine.beat)
                self.loads.append(first)
                self.rest[unit] = [second]
            else:
                self.rest.setdefault(unit, []).append(action)
            room = max(0, room - transfer.size)
        self.loaded.add(unit)

    def _destination(self, unit: Unit, transfer: Transfer) -> int:
        machine = self.machine
        if not unit.weights:
            return (unit.address + transfer.at) % self.rings["input"].size
        if transfer.buffer.name == "WBUF":
            return unit.address % machine.wbuf_rows * machine.wbuf_row_beats + transfer.at
        return unit.param % machine.param_depth * 3 * machine.param_row_beats

    def _run(self, number: int, step: Step) -> None:
        machine, registers = self.machine, dict(step.registers)
        for unit in step.inputs:
            if self.first[unit] == number:
                self.runs.append(Wait(INPUT_READY))
        if step.weights is not None and self.first[step.weights] == number:
            self.runs.append(Wait(WEIGHT_READY))
        base = 0 if step.base is None else step.base.address * machine.beat + step.shift
        registers[RunReg.IBASE] = base % machine.ibuf_bytes
        if step.weights is not None:
            if step.weights.size:
                registers[RunReg.WBASE] = step.weights.address % machine.wbuf_rows
            if step.weights.params:
                registers[RunReg.PBASE] = step.weights.param % machine.param_depth
        self.runs.append(
            RunAction(
                registers, step.offset, INPUT_FREE if number in self.ending[False] else None,
                WEIGHT_FREE if number in self.ending[True] else None, step.layer,
            )
        )  # fmt: skip

    def _end(self, layer: int, following: int | None) -> None:
        """Behind the runs of *layer*."""
        for index in range(layer, len(self.endings) if following is None else following):
            ending = self.endings[index]
            if ending.mark is not None or ending.awaited or following is None:
                self.runs.append(Fence())
            if ending.awaited:
                self.runs.append(Signal(LAYER_DONE))
            if ending.mark is not None:
                self.runs.append(Mark(ending.mark))


def _halves(load: LoadAction, beats: int, beat: int) -> tuple[LoadAction, LoadAction]:
    """*load*, of one row, in two: *beats*, then the rest."""
    transfer = load.transfer
    rest = replace(transfer, offset=transfer.offset + beats * beat, beats=transfer.beats - beats)
    return (
        LoadAction(replace(transfer, beats=beats), load.destination, None),
        LoadAction(rest, load.destination + beats, load.signal),
    )


def link(
    steps: Sequence[Step],
    endings: Sequence[Ending],
    names: Sequence[str],
    machine: Machine,
    ahead: Mapping[int, int] | None = None,
) -> Linked:
    """Actions of the load engine and of the exec engine.

    Parameters
    ----------
    endings, names
        For each layer.
    ahead
        Most beats of weights that are loaded in front of the first inputs, for some layers.

    Raises
    ------
    CompileError
        Units that are needed at the same time do not fit a buffer; names the layer.
    """
    return _Linker(steps, endings, names, machine, ahead or {}).run()
