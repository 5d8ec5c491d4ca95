"""Chooses the mapping of an array layer: search over unrolling, octets, pieces, tiles and loop order.

A candidate's cycles are estimated (:mod:`mico.codegen.bitfusion.estimate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from mico.codegen.bitfusion.cycles import Timing
from mico.codegen.bitfusion.estimate import Estimator, Tiling
from mico.codegen.bitfusion.layers import ArrayLayer, Operand
from mico.codegen.bitfusion.layout import Place
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.mapping import Block, Geometry, Mapping, Order, Piece
from mico.codegen.bitfusion.steps import Band, bands
from mico.errors import CompileError

__all__ = ["choose"]

_UNROLLS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64)
_STALL = 0.02  # share of the cycles: with more, tiles of a part of the width are tried
_KEEP = 4  # unrollings whose tiles are searched
_MAX_COUNT = 65535
_MOST_KNOWN = 10_000
_known: dict[object, Mapping] = {}


def choose(layer: ArrayLayer, out: Place, batch: int, machine: Machine, timing: Timing) -> Mapping:
    """The mapping with the fewest estimated cycles; found once for layers of the same shape and bits.

    Raises
    ------
    CompileError
        There is none; says what does not fit.
    """
    _check(layer, machine)
    operands = tuple(
        (o.height, o.width, o.pixel, o.format, o.window, o.weight_bits, o.channels, o.groups, o.zeros)
        for o in layer.operands
    )
    shape = (operands, layer.outputs, layer.conv, layer.pool, out.at(0), batch, machine, timing)
    if shape not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[shape] = _search(layer, out, batch, machine, timing)
    return _known[shape]


def _search(layer: ArrayLayer, out: Place, batch: int, machine: Machine, timing: Timing) -> Mapping:
    best: tuple[float, Mapping, float] | None = None
    reasons: dict[str, int] = {}
    geometries = _geometries(layer, out, machine)
    for narrow in (False, True):  # tiles of a part of the width only where others do not fit twice
        for geometry in geometries:
            search = _Search(geometry, batch, Estimator(geometry, batch, timing), reasons, narrow, best is None)
            for cost, mapping, stall in search.candidates():
                if best is None or cost < best[0]:
                    best = cost, mapping, stall
        if best is not None and best[2] < _STALL * best[0]:
            break
    if best is None:
        why = max(reasons, key=lambda r: reasons[r]) if reasons else "no tiling"
        raise CompileError(f"cannot be mapped: {why}", where=layer.name, cure="larger buffers, or fewer bits")
    return best[1]


def _check(layer: ArrayLayer, machine: Machine) -> None:
    for operand in layer.operands:
        elements = machine.chunk_elements(operand.format.bits, operand.weight_bits)
        if elements * operand.format.bits % 8:
            raise CompileError(
                f"{elements} activations of {operand.format.bits} bits, which the array takes in a cycle, are not "
                "whole bytes",
                where=layer.name,
                cure="more activation bits, or a multiple of 4 rows",
            )


def _geometries(layer: ArrayLayer, out: Place, machine: Machine) -> list[Geometry]:
    """Unrollings with the fewest cycles of array and gather."""
    width = layer.pool[1]
    found: list[tuple[int, int, Geometry]] = []
    for unroll in sorted({u for u in (*_UNROLLS, out.width) if u <= out.width}):
        splits = {width} if width in (1, 2, 4) else set()  # columns of the pooling window in octets of their own
        if unroll == 1:
            splits.add(1)
        for pool_octets in sorted(splits):
            geometry = Geometry(layer, out, machine, unroll, pool_octets)
            if geometry.octets * unroll > 4096:
                continue
            py, px = geometry.pool_steps
            cycles = 0
            for index, operand in enumerate(layer.operands):
                piece = Piece(index, 0, operand.window.kernel[0], 0, operand.pixel, True)
                for run in geometry.runs(Block(0, geometry.octets, ())):
                    issue, reads = run.octets * geometry.chunks(piece), geometry.reads(piece)
                    cycles += run.groups * py * px * max(issue, reads)
            found.append((cycles, geometry.octets, geometry))
    found.sort(key=lambda entry: entry[:2])
    kept = [geometry for _, _, geometry in found[:_KEEP]]
    return kept + [g for _, _, g in found[_KEEP:] if g.unroll == 1]


@dataclass(frozen=True)
class _Windows:
    """Bytes of all windows of a tiling, of the largest and of the first."""

    total: int
    most: int
    first: int


@dataclass
class _Search:
    geometry: Geometry
    batch: int
    estimator: Estimator
    reasons: dict[str, int]
    narrow: bool = False
    thorough: bool = True
    known: dict[object, _Windows] = field(default_factory=dict)

    @property
    def layer(self) -> ArrayLayer:
        return self.geometry.layer

    @property
    def machine(self) -> Machine:
        return self.geometry.machine

    def _refuse(self, why: str) -> None:
        self.reasons[why] = self.reasons.get(why, 0) + 1

    def candidates(self) -> Iterator[tuple[float, Mapping, float]]:
        """Estimated cycles, mapping, and the cycles in which neither array nor memory works for want of buffers."""
        for pieces_of in self._splits():
            for blocks in self._blocks(pieces_of):
                for tiling in self._tilings(len(blocks[0].pieces) > 1, blocks):
                    for mapping in self._orders(blocks, tiling):
                        found = self.estimator.cycles(mapping, tiling)
                        if found is not None:
                            yield found[0], mapping, found[1]

    # Pieces of the reduction: a function from an octet to its pieces.

    def _splits(self) -> list[list[tuple[Piece, ...]]]:
        """Ways to cut the reduction, each as the pieces of every octet."""
        operands, geometry = self.layer.operands, self.geometry
        if len(operands) > 1:
            whole = tuple(Piece(i, 0, o.window.kernel[0], 0, o.pixel, True) for i, o in enumerate(operands))
            return [[whole] * geometry.octets] if all(self._fits(p) for p in whole) else []
        (operand,) = operands
        ways = [pieces for pieces in _cut(operand, geometry) if all(map(self._fits, pieces))]
        ways.sort(key=lambda pieces: (sum(geometry.chunks(p) for p in pieces), len(pieces)))
        if not ways:
            self._refuse("the weights of an octet exceed the weight buffer in every cut")
        if not self.thorough:
            ways = ways[:4]
        made = [[pieces] * geometry.octets for i, pieces in enumerate(ways) if i < 8 or i % 4 == 0]
        if geometry.pool_octets * geometry.unroll == 1 and operand.groups > 1:
            sliced = self._group_slices(operand)
            if all(map(self._fits, sliced)):
                made.append([(piece,) for piece in sliced])
        return made

    def _group_slices(self, operand: Operand) -> list[Piece]:
        """For grouped convolutions: each octet reads only its groups' channels."""
        per_out, share = self.layer.outputs // operand.groups, operand.channels // operand.groups
        bits = operand.format.bits
        pieces = []
        for octet in range(self.geometry.octets):
            low = octet * self.machine.cols
            high = min(low + self.machine.cols, self.layer.outputs) - 1
            first = low // per_out * share
            last = min((high // per_out + 1) * share, operand.channels)
            start, stop = first * bits // 8, -(-last * bits // 8)
            pieces.append(Piece(0, 0, operand.window.kernel[0], start, stop, stop - start == operand.pixel))
        return pieces

    def _fits(self, piece: Piece) -> bool:
        geometry = self.geometry
        _, size = geometry.segments(piece)
        return geometry.weight_rows(piece) <= self.machine.wbuf_rows and size <= _MAX_COUNT

    def _blocks(self, pieces_of: Sequence[tuple[Piece, ...]]) -> Iterator[tuple[Block, ...]]:
        """Octets grouped: as many as buffers hold, and fewer."""
        geometry, machine = self.geometry, self.machine
        step = geometry.pool_octets
        rows = max(geometry.weight_rows(p) for pieces in pieces_of for p in pieces)
        most = min(machine.wbuf_rows // rows, machine.param_depth, geometry.octets)
        if self.layer.pool != (1, 1):
            most = min(most, 32 * step)
        if any(geometry.chunks(p) > machine.patch_depth for pieces in pieces_of for p in pieces):
            most = min(most, 1)
        most -= most % step
        if most < step:
            self._refuse("the octets of a pooling window exceed the buffers")
            return
        sizes = {most, step}
        for share in (2, 3, 4):
            sizes.add(max(step, most // share // step * step))
        total = geometry.octets
        sizes |= {max(step, -(-total // -(-total // size)) // step * step) for size in list(sizes)}
        for size in sorted(sizes):
            blocks = []
            first = 0
            while first < total:
                count = 1
                while count < size and first + count < total and pieces_of[first + count] == pieces_of[first]:
                    count += 1
                blocks.append(Block(first, count, pieces_of[first]))
                first += count
            if all(block.octets % step == 0 for block in blocks):
                yield tuple(blocks)

    # Tiles

    def _cuts(self, operand: Operand, rows: int) -> list[Band]:
        window = operand.window
        return bands(
            operand.height, window.kernel[0], window.stride[0], window.padding[0], self.geometry.out.height,
            self.layer.pool[0], rows,
        )  # fmt: skip

    def _tilings(self, split: bool, blocks: Sequence[Block]) -> list[Tiling]:
        """Tiles that fit: several images, an image, bands; few of each kind."""
        geometry, machine, out = self.geometry, self.machine, self.geometry.out
        limit = machine.obuf_entries if split else 1 << 60

        kinds = self._kinds(blocks)

        def entries(rows: int, images: int) -> int:
            return max(geometry.entries(block, rows, images) for block in kinds)

        if self.narrow:
            return self._narrow_tilings(kinds, limit)
        made: list[Tiling] = []
        whole = self._tiling(out.height, 1)
        if whole.live <= machine.ibuf_bytes and entries(out.height, 1) <= limit:
            most = min(self.batch, limit // max(entries(out.height, 1), 1), machine.ibuf_bytes // max(whole.live, 1))
            for images in sorted({1, 2, 4, 8, 16, 32, most, most // 2, -(-self.batch // -(-self.batch // most))}):
                if 0 < images <= most:
                    made.append(self._tiling(out.height, images))
        found = 0
        for rows in range(out.height - 1, 0, -1):
            if -(-out.height // rows) == -(-out.height // (rows + 1)) and found:
                continue  # the same number of bands, less even
            if entries(rows, 1) > limit:
                continue
            rows = max(-(-out.height // -(-out.height // rows)), 1)
            tiling = self._tiling(rows, 1)
            if tiling.live <= machine.ibuf_bytes:
                made.append(tiling)
                found += 1
                if found >= 6 and tiling.double <= machine.ibuf_bytes:
                    break
        operand = self.layer.operands[0]
        if split and (operand.height, operand.width) == (1, 1):  # inputs come in pieces: they need not fit
            images = min(self.batch, limit // max(entries(1, 1), 1))
            if images and all(tiling.images != images for tiling in made):
                made.append(self._tiling(1, images))
        if not made:
            if entries(1, 1) > limit:
                self._refuse("the partial sums of a row of results exceed the accumulator buffer")
            else:
                self._refuse("the rows that a row of results reads exceed the input buffer")
        return made

    def _kinds(self, blocks: Sequence[Block]) -> list[Block]:
        """Blocks that differ in their runs."""
        unrolled = self.geometry.unroll > 1
        return list({(block.octets, block.first if unrolled else 0): block for block in reversed(blocks)}.values())[
            ::-1
        ]

    def _narrow_tilings(self, blocks: Sequence[Block], limit: int) -> list[Tiling]:
        """Tiles of a part of the width: rows of outputs by columns."""
        geometry, machine = self.geometry, self.machine
        out, unroll = geometry.out, geometry.unroll
        made: list[Tiling] = []
        pieces = blocks[0].pieces
        for parts in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128) if self.thorough else (2, 4, 8):
            columns = -(-out.width // parts // unroll) * unroll
            if columns == 0 or (columns >= out.width and parts > 1):
                continue
            starts = range(0, out.width, columns)
            ends = {(0, min(columns, out.width)), (starts[-1], out.width)}
            for rows in sorted({1, 2, 3, 4, 6, 8, out.height} if self.thorough else {1, 2, 4}):
                if rows > out.height or max(geometry.entries(b, rows, 1, r) for b in blocks for r in ends) > limit:
                    continue
                total = live = first = piece_total = piece_live = 0
                for index in range(len(self.layer.operands)):
                    whole = self._windows(index, rows, columns, None)
                    total += whole.total * self.batch
                    live += whole.most
                    first += whole.first
                    for piece in pieces:
                        if piece.operand == index:
                            own = self._windows(index, rows, columns, piece)
                            piece_total += own.total * self.batch
                            piece_live = max(piece_live, own.most)
                tiles = self.batch * -(-out.height // rows) * len(starts)
                if min(live, piece_live) <= machine.ibuf_bytes:
                    given = columns if columns < out.width else 0
                    made.append(Tiling(rows, 1, given, tiles, total, first, live, 2 * live, piece_total, piece_live))
        return made

    def _windows(self, index: int, rows: int, columns: int, piece: Piece | None) -> _Windows:
        """Bytes of IBUF that each range of *columns* of each band of *rows* takes, all rows or those of a piece."""
        key = (index, rows, columns, None if piece is None else (piece.row, piece.rows))
        if key not in self.known:
            operand, beat, width = self.layer.operands[index], self.machine.beat, self.geometry.out.width
            cuts = self._cuts(operand, rows)
            if piece is not None:
                cuts = [self.geometry.piece_band(operand, piece, band) for band in cuts]
            spans = [self.geometry.span(operand, (c, min(c + columns, width))) for c in range(0, width, columns)]
            narrow = [stop - start + 2 * beat for start, stop in spans]
            wide = [operand.row + 2 * beat] * len(spans)  # rows that begin anywhere in a beat are loaded whole
            sizes = []
            for band in cuts:
                height = band.bottom - band.top
                sizes += [height * size for size in (wide if height > 1 and operand.row % beat else narrow)]
            self.known[key] = _Windows(sum(sizes), max(sizes), sizes[0])
        return self.known[key]

    def _tiling(self, rows: int, images: int) -> Tiling:
        beat = self.machine.beat
        total = first = live = double = 0
        height = self.geometry.out.height
        for operand in self.layer.operands:
            cuts = self._cuts(operand, rows)
            sizes = [-(-(c.bottom - c.top) * operand.row // beat) * beat + (beat if c.top else 0) for c in cuts]
            used = (cuts[-1].bottom - cuts[0].top) * operand.row
            total += used * self.batch
            first += sizes[0] * images
            live += max(sizes) * images
            if len(cuts) > 1:
                pairs = [(b.bottom - a.top) * operand.row + 2 * beat for a, b in pairwise(cuts)] + [
                    sizes[-1] + sizes[0] + beat
                ]
                double += max(pairs)
            else:
                double += 2 * sizes[0] * images
        tiles = -(-self.batch // images) * -(-height // rows)
        return Tiling(rows, images, 0, tiles, total, first, live, double)

    def _orders(self, blocks: tuple[Block, ...], tiling: Tiling) -> Iterator[Mapping]:
        geometry, machine = self.geometry, self.machine
        rows = [sum(b.octets * geometry.weight_rows(p) for p in b.pieces) for b in blocks]
        plain = Mapping(
            geometry.unroll, geometry.pool_octets, blocks, Order.INPUTS, tiling.rows, tiling.images,
            columns=tiling.columns,
        )  # fmt: skip
        if sum(rows) <= machine.wbuf_rows and sum(b.octets for b in blocks) <= machine.param_depth:
            yield replace(plain, keep_weights=True)
            return
        yield plain
        if max(rows) <= machine.wbuf_rows:
            yield replace(plain, order=Order.WEIGHTS)
            if self._resident(tiling):
                yield replace(plain, order=Order.WEIGHTS, keep_inputs=True)
        operand = self.layer.operands[0]
        split = len(blocks[0].pieces) > 1 and len(self.layer.operands) == 1
        if split and ((operand.height, operand.width) == (1, 1) or tiling.piece_live):
            columns = (0, tiling.columns or geometry.out.width)
            entries = geometry.entries(blocks[0], tiling.rows, tiling.images, columns)
            group = min(len(blocks), machine.obuf_entries // entries)
            if group:
                yield replace(plain, order=Order.PIECES, group=group)

    def _resident(self, tiling: Tiling) -> bool:
        beat = self.machine.beat
        tiles = tiling.tiles + 1
        return tiling.bytes + 2 * tiles * beat * len(self.layer.operands) <= self.machine.ibuf_bytes


def _cut(operand: Operand, geometry: Geometry) -> Iterator[tuple[Piece, ...]]:
    """Cuts of a reduction by kernel rows and bytes of a pixel."""
    height, size = operand.window.kernel[0], operand.pixel
    chunk, per_row = geometry.chunk_bytes[0], geometry.subwords[0]
    counts = sorted({c for c in (*range(1, 17), 20, 24, 32, 40, 48, 64, 80, 96, 128) if c == 1 or size >= c * chunk})
    seen: set[tuple[int, int]] = set()
    for rows in range(height, 0, -1):
        for count in counts:
            grain = chunk * per_row if size >= 4 * count * chunk * per_row else chunk
            share = -(-size // count // grain) * grain if count > 1 else size
            if (rows, share) in seen:
                continue
            seen.add((rows, share))
            bounds = [*range(0, size, share), size]
            yield tuple(
                Piece(0, row, min(rows, height - row), a, b, count == 1)
                for row in range(0, height, rows)
                for a, b in pairwise(bounds)
            )
