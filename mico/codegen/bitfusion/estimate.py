"""Estimated cycles of an array layer under a mapping: from sums, not played.

The array or the gather for every run, the memory for everything that is moved, weights through a ring that holds only
so many of them, inputs that cannot be loaded meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, gcd

from mico.codegen.bitfusion.cycles import Timing
from mico.codegen.bitfusion.mapping import Block, Geometry, Mapping, Order, Run

__all__ = ["Estimator", "Tiling"]


@dataclass(frozen=True)
class Tiling:
    """Rows and images of a tile, with what follows from them.

    *bytes*: read in a pass; *first*: by the first tile; *live*: in IBUF at once; *double*: with the tile behind it;
    *piece_bytes*, *piece_live*: where tiles of a picture come piece by piece.
    """

    rows: int
    images: int
    columns: int
    tiles: int
    bytes: int
    first: int
    live: int
    double: int
    piece_bytes: int = 0
    piece_live: int = 0


@dataclass(frozen=True)
class _Work:
    """Of all blocks.

    *runs*: (cycles of all tiles, runs of a tile) of every kind of run; *units*: (rows, bytes, cycles of all tiles) of
    each piece of the first block; *weight_bytes* with parameters, and the loads that bring them; *written*: bytes of
    the beats that are written.
    """

    runs: list[tuple[int, int]]
    units: list[tuple[int, int, int]]
    weight_bytes: int
    weight_loads: int
    written: float


@dataclass
class Estimator:
    """Cycles of mappings of one geometry."""

    geometry: Geometry
    batch: int
    timing: Timing
    _last_work: tuple[tuple[Block, ...], _Work] | None = None

    def _work(self, blocks: tuple[Block, ...]) -> _Work:
        """Sums over the kinds of blocks; of the same blocks only once."""
        if self._last_work is not None and self._last_work[0] is blocks:
            return self._last_work[1]
        geometry, machine = self.geometry, self.geometry.machine
        kinds: dict[tuple[int, int, int], tuple[Block, list[int]]] = {}
        for block in blocks:
            narrow = geometry.columns(block.first + block.octets - 1) < machine.cols
            kind = (block.octets, id(block.pieces), block.first if geometry.unroll > 1 else int(narrow))
            kinds.setdefault(kind, (block, [0]))[1][0] += 1
        runs: list[tuple[int, int]] = []
        units: list[tuple[int, int, int]] = []
        size = loads = 0
        written = 0.0
        beat, vector = machine.beat, geometry.vector
        for number, (block, (many,)) in enumerate(kinds.values()):
            for index, piece in enumerate(block.pieces):
                chunks, reads = geometry.chunks(piece), geometry.reads(piece)
                last = index == len(block.pieces) - 1
                cycles = 0
                for run in geometry.runs(block):
                    pixels = geometry.pixels(run, geometry.out.height, self.batch)
                    busy = pixels * max(run.octets * chunks, reads)
                    if last:  # results of split reductions come all at once
                        busy = max(busy, self._store(run))
                    cycles += busy
                    runs.append((many * busy, many))
                rows = block.octets * geometry.weight_rows(piece)
                whole, partial, width = geometry.weight_beats(block, piece)
                moved = (whole + partial * geometry.weight_rows(piece) * width) * machine.beat
                params = block.octets * 3 * machine.param_row_beats * machine.beat if last else 0
                size += many * (moved + params)
                if number == 0:
                    units.append((rows, moved + params, cycles))
            loads += many * len(block.pieces)
            for run in geometry.runs(block):
                outputs = many * self.batch * geometry.out.height * run.groups
                length = min(run.octets // geometry.pool_octets * vector, run.pixels * geometry.out.pixel)
                if len(blocks) == 1:  # whole pixels, rows and images: beats are filled
                    written += outputs * length
                else:
                    grain = gcd(beat, vector, geometry.out.pixel * geometry.unroll)
                    written += outputs * (length - grain + beat)
        result = _Work(runs, units, size, loads, written)
        self._last_work = blocks, result
        return result

    def _store(self, run: Run) -> int:
        """Cycles of the store unit, and of the memory, for the results of *run* in all tiles."""
        geometry, beat = self.geometry, self.geometry.machine.beat
        slots, vector = run.octets // geometry.pool_octets, geometry.vector
        outputs = self.batch * geometry.out.height * run.groups
        last = min(vector, run.pixels * geometry.out.pixel - (slots - 1) * vector)
        length = (slots - 1) * vector + max(last, 1)
        unit = (slots - 1) * -(-vector // beat) + -(-max(last, 1) // beat)
        return ceil(outputs * max(unit, length / self.timing.bytes_per_cycle))

    def _weight_stream(self, mapping: Mapping, tiling: Tiling) -> float:
        """Cycles to load and use all weights through their ring, when nothing else stands in the way."""
        if mapping.keep_weights or len(mapping.blocks) * len(mapping.blocks[0].pieces) == 1:
            return 0.0
        t, blocks = self.timing, len(mapping.blocks)
        units = [
            (rows, size / t.bytes_per_cycle + 1.5 * t.load_gap, float(cycles))
            for rows, size, cycles in self._work(mapping.blocks).units
        ]
        rounds = blocks
        if mapping.order is Order.WEIGHTS and tiling.tiles > 1:  # all pieces of a block stay for all tiles
            units = [(sum(u[0] for u in units), sum(u[1] for u in units), sum(u[2] for u in units))]
        else:
            units = [(rows, load, max(cycles / tiling.tiles, t.run_least)) for rows, load, cycles in units]
            rounds = blocks * tiling.tiles
        return _ring_round(units, self.geometry.machine.wbuf_rows, t.read_latency) * rounds

    def cycles(self, mapping: Mapping, tiling: Tiling) -> tuple[float, float] | None:
        """Cycles, and those of them in which inputs are loaded while the array waits; None where tiles do not fit."""
        machine, t = self.geometry.machine, self.timing
        blocks = mapping.blocks
        work = self._work(blocks)
        compute = 0.0
        for cycles, runs_per_tile in work.runs:
            compute += max(cycles, tiling.tiles * runs_per_tile * t.run_least)
        runs = tiling.tiles * sum(count for _, count in work.runs)
        weight_bytes = work.weight_bytes
        weight_loads = 1
        input_passes = 1
        match mapping.order:
            case Order.INPUTS:
                weight_loads = 1 if mapping.keep_weights else tiling.tiles
            case Order.WEIGHTS:
                input_passes = 1 if mapping.keep_inputs else len(blocks)
            case Order.PIECES:
                weight_loads = tiling.tiles
                input_passes = -(-len(blocks) // mapping.group)
        input_bytes = tiling.bytes
        if mapping.order is Order.PIECES and tiling.piece_live:
            input_bytes = tiling.piece_bytes
        moved = input_bytes * input_passes + weight_bytes * weight_loads
        blocks_loads = len(blocks) * weight_loads  # parameters come in a LOAD of their own
        loads = work.weight_loads * weight_loads + blocks_loads + tiling.tiles * input_passes
        memory = (moved + work.written) / t.bytes_per_cycle + loads * t.load_gap
        stream = self._weight_stream(mapping, tiling)
        stall = 0.0
        if mapping.order is Order.PIECES:
            widest = tiling.piece_live
            if not widest:
                widest = max(p.stop - p.start + 2 * machine.beat for p in blocks[0].pieces) * mapping.images
            if widest > machine.ibuf_bytes:
                return None
            if 2 * widest > machine.ibuf_bytes:
                stall += tiling.bytes * input_passes / t.bytes_per_cycle
            first = widest
        else:
            if tiling.live > machine.ibuf_bytes:
                return None
            loads = tiling.tiles * (1 if mapping.keep_inputs else input_passes)
            if tiling.double > machine.ibuf_bytes and not mapping.keep_inputs and loads > 1:
                stall += tiling.bytes * input_passes / t.bytes_per_cycle + loads * t.read_latency
            first = tiling.first
        start = (first + work.units[0][1]) / t.bytes_per_cycle + t.read_latency + t.gather_latency
        few = 0.5 * runs  # of equals, the one with the fewest runs
        end = t.read_latency + self._tail(mapping, tiling)
        busy = max(compute + stall + runs * t.run_gap + start, memory + end, stream + stall + end)
        return ceil(busy + t.drain + few), stall

    def _tail(self, mapping: Mapping, tiling: Tiling) -> float:
        """Cycles of the runs that are left when the last weights or inputs have come."""
        units = self._work(mapping.blocks).units
        if mapping.keep_weights and tiling.tiles > 1:
            return sum(cycles for cycles, _ in self._work(mapping.blocks).runs) / tiling.tiles
        last = units[-1][2] / tiling.tiles
        if mapping.order is Order.WEIGHTS and tiling.tiles > 1:
            return last + sum(cycles for _, _, cycles in units) * (tiling.tiles - 1) / tiling.tiles
        return last


def _ring_round(units: Sequence[tuple[int, float, float]], size: int, latency: float) -> float:
    """Cycles of a round of *units* (rows, cycles to load, cycles to use) that follow each other through a ring."""
    live: deque[tuple[int, float]] = deque()
    head = 0
    loaded = used = 0.0
    ends = []
    for _ in range(7):
        for rows, load, run in units:
            start = head if head % size + rows <= size else -(-head // size) * size
            head = start + rows
            while live and live[0][0] < head - size:
                loaded = max(loaded, live.popleft()[1])
            loaded += load
            used = max(used, loaded + latency) + run
            live.append((start, used))
        ends.append(used)
    return (ends[-1] - ends[2]) / (len(ends) - 3)
