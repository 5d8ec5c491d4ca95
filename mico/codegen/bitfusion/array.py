"""Steps of an array layer: registers of its runs, units that they read, weights and parameters in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Buffer, Mode, RunReg
from mico.codegen.bitfusion.layers import ArrayLayer
from mico.codegen.bitfusion.layout import Place, pack_params, pack_weights
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.mapping import Block, Geometry, Mapping, Order, Piece, Run
from mico.codegen.bitfusion.steps import (
    Band,
    Constants,
    Step,
    Tile,
    Transfer,
    Unit,
    bands,
    image_tile,
    row_tiles,
    window_tile,
)
from mico.quant.integer import Format

__all__ = ["ArraySteps"]

_Made = TypeVar("_Made")


@dataclass(eq=False)
class ArraySteps:
    """Makes the steps of one array layer.

    Attributes
    ----------
    index
        Of the layer in the network.
    places, after
        Of its operands: where they lie, and the layers that write them.
    """

    layer: ArrayLayer
    index: int
    mapping: Mapping
    places: tuple[Place, ...]
    after: tuple[int, ...]
    out: Place
    batch: int
    machine: Machine
    constants: Constants
    stored: dict[tuple[int, int], int] = field(default_factory=dict)

    @cached_property
    def geometry(self) -> Geometry:
        return Geometry(self.layer, self.out, self.machine, self.mapping.unroll, self.mapping.pool_octets)

    def steps(self) -> Iterator[Step]:
        mapping = self.mapping
        match mapping.order:
            case Order.INPUTS:
                return self._inputs_outside()
            case Order.WEIGHTS:
                return self._weights_outside()
            case Order.PIECES:
                return self._pieces_outside()

    def _inputs_outside(self) -> Iterator[Step]:
        tiles = _Cache[list[Tile]]()
        weights = _Cache[Unit]()
        for grid in self._tiles():
            if not self.mapping.keep_weights:
                weights = _Cache()
            for block in self.mapping.blocks:
                for number in range(len(block.pieces)):
                    yield from self._runs(tiles, grid, block, number, weights)

    def _weights_outside(self) -> Iterator[Step]:
        tiles = _Cache[list[Tile]]()
        weights = _Cache[Unit]()
        for block in self.mapping.blocks:
            if not self.mapping.keep_inputs:
                tiles = _Cache()
            for grid in self._tiles():
                for number in range(len(block.pieces)):
                    yield from self._runs(tiles, grid, block, number, weights)

    def _pieces_outside(self) -> Iterator[Step]:
        for grid in self._tiles():
            for start in range(0, len(self.mapping.blocks), self.mapping.group):
                group = self.mapping.blocks[start : start + self.mapping.group]
                tiles = _Cache[list[Tile]]()
                for number in range(len(group[0].pieces)):
                    base = 0
                    for block in group:
                        yield from self._runs(tiles, grid, block, number, _Cache(), base)
                        rows = grid.band.stop - grid.band.start
                        base += self.geometry.entries(block, rows, grid.images, grid.columns)

    def _tiles(self) -> Iterator[_Grid]:
        """Every tile; bands in rows of the first operand."""
        width = self.out.width
        step = self.mapping.columns or width
        for first in range(0, self.batch, self.mapping.images):
            for band in self._bands(0):
                for column in range(0, width, step):
                    images = min(self.mapping.images, self.batch - first)
                    yield _Grid(first, images, band, (column, min(column + step, width)))

    def _bands(self, operand: int) -> list[Band]:
        source = self.layer.operands[operand]
        window = source.window
        return bands(
            source.height, window.kernel[0], window.stride[0], window.padding[0], self.out.height, self.layer.pool[0],
            self.mapping.rows,
        )  # fmt: skip

    def _tile(self, tiles: _Cache[list[Tile]], grid: _Grid, piece: Piece) -> Tile:
        """The tile that holds what *piece* reads."""
        source = self.layer.operands[piece.operand]
        place, after, beat = self.places[piece.operand], self.after[piece.operand], self.machine.beat
        first, images, band, columns = grid.first, grid.images, grid.band, grid.columns
        shape = (source.row, columns)

        def whole(own: Band, span: tuple[int, int]) -> list[Tile]:
            return [image_tile(place, first, images, own, span, beat, after, shape)]

        if source.height == 1 and source.width == 1:
            span = (piece.start, piece.stop) if self.mapping.order is Order.PIECES else (0, source.pixel)
            return tiles.get((piece.operand, first, span), lambda: whole(band, span))[0]
        cuts = self._bands(piece.operand)
        own = next(cut for cut in cuts if cut.start == band.start)
        if self.mapping.order is Order.PIECES:
            own = self.geometry.piece_band(source, piece, own)
        rows = (own.top * source.row, own.bottom * source.row)
        if own.top == own.bottom:  # nothing but padding
            return Tile(first, images, own, (), None, 0, 0, *shape)
        if self.mapping.columns or self.mapping.order is Order.PIECES:
            key = (piece.operand, piece.row, first, band.start, columns)
            span = self.geometry.span(source, columns)
            if own.bottom - own.top == 1:
                span = (rows[0] + span[0], rows[0] + span[1])
                return tiles.get(key, lambda: whole(own, span))[0]
            if source.row % beat:
                return tiles.get(key, lambda: whole(own, rows))[0]
            return tiles.get(key, lambda: [window_tile(place, first, own, span, beat, after, columns)])[0]
        if images > 1 or len(cuts) == 1:
            return tiles.get((piece.operand, first), lambda: whole(own, rows))[0]
        rolling = tiles.get(
            (piece.operand, first), lambda: list(row_tiles(place, source.row, first, cuts, beat, after, columns))
        )
        return rolling[cuts.index(own)]

    def _runs(
        self,
        tiles: _Cache[list[Tile]],
        grid: _Grid,
        block: Block,
        number: int,
        weights: _Cache[Unit],
        abase: int = 0,
    ) -> Iterator[Step]:
        """The runs of a piece of a block on a tile."""
        tile = self._tile(tiles, grid, block.pieces[number])
        unit = weights.get((block.first, number), lambda: self._weights(block, number))
        rows = grid.band.stop - grid.band.start
        for run in self.geometry.runs(block, grid.columns):
            yield self._step(tile, block, number, run, unit, abase)
            abase += self.geometry.pixels(run, rows, grid.images) * run.octets

    def _step(self, tile: Tile, block: Block, number: int, run: Run, weights: Unit, abase: int) -> Step:
        geometry, layer, out = self.geometry, self.layer, self.out
        piece = block.pieces[number]
        source = layer.operands[piece.operand]
        (sy, sx), (pad_y, pad_x) = source.window.stride, source.window.padding
        py, px = geometry.pool_steps
        pool_y, pool_x = layer.pool
        segments, size = geometry.segments(piece)
        vector = geometry.vector
        slots = run.octets // self.mapping.pool_octets
        place = block.first // self.mapping.pool_octets * vector  # of the first result in the unrolled pixel
        last = min(vector, run.pixels * out.pixel - place - (slots - 1) * vector)
        mode = Mode(
            source.format.bits, geometry.weight_bits(source), source.format.signed, True, out.format.bits,
            out.format.signed, None, number == 0, number == len(block.pieces) - 1, True,
        )  # fmt: skip
        registers = {
            RunReg.MODE: mode.encode(),
            RunReg.X0: (run.column * pool_x * sx - pad_x) * source.pixel + piece.start,
            RunReg.Y0: (tile.band.start * pool_y * sy - pad_y + piece.row) * tile.row,
            RunReg.XEND: source.row,
            RunReg.YEND: source.height * tile.row,
            RunReg.SEG: size,
            RunReg.J: segments,
            RunReg.JSTEP: source.pixel,
            RunReg.K: piece.rows,
            RunReg.KSTEP: tile.row,
            RunReg.PX: px,
            RunReg.PXSTEP: sx * source.pixel,
            RunReg.PY: py,
            RunReg.PYSTEP: sy * tile.row,
            RunReg.OX: run.groups,
            RunReg.OXSTEP: self.mapping.unroll * pool_x * sx * source.pixel,
            RunReg.OY: tile.band.stop - tile.band.start,
            RunReg.OYSTEP: pool_y * sy * tile.row,
            RunReg.B: tile.images,
            RunReg.BSTEP: tile.pitch,
            RunReg.NCH: geometry.chunks(piece),
            RunReg.NOCT: run.octets,
            RunReg.WSTEP: geometry.weight_rows(piece),
            RunReg.ABASE: abase,
            RunReg.OSTEP_X: self.mapping.unroll * out.pixel,
            RunReg.OSTEP_Y: out.row,
            RunReg.OSTEP_B: out.image,
            RunReg.OSTEP_O: vector,
            RunReg.OLAST: last,
            RunReg.PO: self.mapping.pool_octets,
        }
        offset = (
            out.offset + tile.first * out.image + tile.band.start * out.row + run.column * out.pixel + place
        )  # fmt: skip
        return Step(self.index, registers, offset, tile.units, tile.base, tile.shift, weights)

    def _weights(self, block: Block, number: int) -> Unit:
        """Weights of a piece, and with the last piece the parameters."""
        machine, geometry = self.machine, self.geometry
        piece = block.pieces[number]
        rows = block.octets * geometry.weight_rows(piece)
        whole, partial, width = geometry.weight_beats(block, piece)
        offset = self._stored(block, number)
        transfers = [Transfer(Buffer.WBUF, offset, 1, whole)] if whole else []
        if partial:  # columns without a channel keep what they hold: their results are not written
            count = partial * geometry.weight_rows(piece)
            transfers.append(
                Transfer(
                    Buffer.WBUF, offset + whole * machine.beat, count, width, width * machine.beat, whole,
                    machine.wbuf_row_beats,
                )
            )  # fmt: skip
        last = number == len(block.pieces) - 1
        if last:
            beats = block.octets * 3 * machine.param_row_beats
            transfers.append(Transfer(Buffer.PBUF, self._stored(block, -1), 1, beats))
        return Unit(True, tuple(transfers), rows, block.octets if last else 0)

    def _stored(self, block: Block, number: int) -> int:
        """Offset of the weights of a piece, or of the parameters (-1)."""
        key = (block.first, number)
        if key not in self.stored:
            beat, machine = self.machine.beat, self.machine
            if number < 0:
                size = block.octets * 3 * machine.param_row_beats * beat
                self.stored[key] = self.constants.add(size, lambda: self._make_params(block))
            else:
                piece = block.pieces[number]
                whole, partial, width = self.geometry.weight_beats(block, piece)
                size = (whole + partial * self.geometry.weight_rows(piece) * width) * beat
                self.stored[key] = self.constants.add(size, lambda: self._make_weights(block, piece))
        return self.stored[key]

    @cached_property
    def _matrices(self) -> tuple[NDArray[np.int8], ...]:
        return tuple(operand.weights() for operand in self.layer.operands)

    def _lanes(self, octet: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], int]:
        """Of each column of *octet*: unrolled pixel, channel, whether it has any; and the column in the pool window."""
        group, column = divmod(octet, self.mapping.pool_octets)
        bits = self.out.format.bits
        pixel, channel = np.divmod(group * self.machine.cols + np.arange(self.machine.cols), self.out.pixel * 8 // bits)
        return pixel, channel, (pixel < self.mapping.unroll) & (channel < self.layer.outputs), column

    def _make_weights(self, block: Block, piece: Piece) -> NDArray[np.uint8]:
        geometry, machine = self.geometry, self.machine
        operand = self.layer.operands[piece.operand]
        full = self._matrices[piece.operand]
        bits = operand.format.bits
        elements = slice(piece.start * 8 // bits, piece.stop * 8 // bits)
        part = full[:, piece.row : piece.row + piece.rows, :, elements]
        form = Format(geometry.weight_bits(operand), True)
        lanes = machine.lanes(bits, form.bits)
        subwords = machine.subwords(bits, form.bits)
        packed = []
        for octet in range(block.first, block.first + block.octets):
            pixel, channel, real, column = self._lanes(octet)
            wide = np.zeros((machine.cols, piece.rows, geometry.kernel_width(operand), part.shape[3]), np.int8)
            for number in np.unique(pixel[real]):
                own = real & (pixel == number)
                start = (int(number) * self.mapping.pool_octets + column) * operand.window.stride[1]
                wide[own, :, start : start + operand.window.kernel[1]] = part[channel[own]]
            flat = wide.reshape(machine.cols, -1)
            rows = pack_weights(flat, form, lanes, subwords, machine)
            if geometry.columns(octet) < machine.cols:
                rows = rows[:, : geometry.weight_beats(block, piece)[2] * machine.beat]
            packed.append(rows.reshape(-1))
        return np.concatenate(packed)

    def _make_params(self, block: Block) -> NDArray[np.uint8]:
        layer = self.layer
        columns: list[list[NDArray[np.int64]]] = [[], [], []]
        for octet in range(block.first, block.first + block.octets):
            _, channel, real, _ = self._lanes(octet)
            index = np.where(real, channel, 0)
            for rows, values in zip(columns, (layer.bias, layer.multiplier, layer.shift), strict=True):
                rows.append(np.where(real, values[index], 0))
        bias, multiplier, shift = (np.stack(rows) for rows in columns)
        return pack_params(bias, multiplier, shift, self.machine).reshape(-1)


@dataclass(frozen=True)
class _Grid:
    """A tile's outputs: images, a band of rows, columns."""

    first: int
    images: int
    band: Band
    columns: tuple[int, int]


class _Cache(Generic[_Made]):
    """Units or tiles by what they are for; made when first asked for."""

    def __init__(self) -> None:
        self._made: dict[object, _Made] = {}

    def get(self, key: object, make: Callable[[], _Made]) -> _Made:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
