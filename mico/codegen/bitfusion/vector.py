"""Steps of a vector layer: pools, additions, requantisation, copies; one window of M elements a cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import lcm

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Buffer, Mode, RunReg, Vector
from mico.codegen.bitfusion.layers import VectorLayer
from mico.codegen.bitfusion.layout import Place, pack_params
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.steps import Band, Constants, Step, Tile, Transfer, Unit, bands, image_tile, row_tiles
from mico.errors import CompileError

__all__ = ["VectorSteps"]


@dataclass(eq=False)
class VectorSteps:
    """Makes the steps of one vector layer.

    *places*, *after*: where its operands lie, and the layers that write them; *out*: the whole output.
    """

    layer: VectorLayer
    index: int
    places: tuple[Place, ...]
    after: tuple[int, ...]
    out: Place
    batch: int
    machine: Machine
    constants: Constants

    def steps(self) -> Iterator[Step]:
        weights = self._params()
        if len(self.places) == 2:
            for tile, distance in self._pairs():
                yield self._step(tile, distance, weights)
            return
        rows = self._rows()
        if rows == 0:
            yield from self._sliced(weights)
            return
        for tile in self._tiles(rows):
            yield self._step(tile, 0, weights)

    def _step(self, tile: Tile, distance: int, weights: Unit | None) -> Step:
        window = self.layer.window
        flat = window.kernel == (1, 1) == window.stride and self._flat()
        registers = self._registers(tile, distance)
        registers |= self._flat_grid(tile) if flat else self._grid(tile)
        offset = (
            self.out.offset + tile.first * self.out.image + tile.band.start * self.out.row
            + self.layer.channel * self.out.format.bits // 8
        )  # fmt: skip
        return Step(self.index, registers, offset, tile.units, tile.base, tile.shift, weights)

    def _flat(self) -> bool:
        """Whether elements can be taken M at a time without regard to pixels."""
        return self.out.dense and all(p.dense and p.channels == self.out.channels for p in self.places)

    @property
    def _vector(self) -> tuple[int, int]:
        """Bytes of M elements read, written."""
        columns = self.machine.cols
        return columns * self.places[0].format.bits // 8, columns * self.out.format.bits // 8

    def _registers(self, tile: Tile, distance: int) -> dict[RunReg, int]:
        layer, place, out = self.layer, self.places[0], self.out
        kernel, padding = layer.window.kernel, layer.window.padding
        read, _ = self._vector
        mode = Mode(
            place.format.bits, 8, place.format.signed, place.format.signed != layer.mixed, out.format.bits,
            out.format.signed, layer.operation, True, True, layer.multiplier is not None,
        )  # fmt: skip
        pair = layer.operation is Vector.MAC
        return {
            RunReg.MODE: mode.encode(),
            RunReg.X0: -padding[1] * place.pixel,
            RunReg.Y0: (tile.band.start * layer.window.stride[0] - padding[0]) * place.row,
            RunReg.XEND: place.row,
            RunReg.YEND: 1 << 30 if pair else place.size,
            RunReg.SEG: read,
            RunReg.J: kernel[1],
            RunReg.JSTEP: place.pixel,
            RunReg.K: 2 if pair else kernel[0],
            RunReg.KSTEP: distance if pair else place.row,
            RunReg.PX: 1,
            RunReg.PY: 1,
            RunReg.PO: 1,
            RunReg.NCH: 1,
            RunReg.B: tile.images,
            RunReg.BSTEP: tile.pitch,
            RunReg.OSTEP_B: out.image,
        }

    def _grid(self, tile: Tile) -> dict[RunReg, int]:
        """Pixel by pixel, groups of M channels."""
        place, out, stride = self.places[0], self.out, self.layer.window.stride
        read, written = self._vector
        groups = -(-place.channels // self.machine.cols)
        own = -(-place.channels * out.format.bits // 8)
        return {
            RunReg.OX: out.width,
            RunReg.OXSTEP: stride[1] * place.pixel,
            RunReg.OY: tile.band.stop - tile.band.start,
            RunReg.OYSTEP: stride[0] * place.row,
            RunReg.NOCT: groups,
            RunReg.GSTEP: read,
            RunReg.OSTEP_X: out.pixel,
            RunReg.OSTEP_Y: out.row,
            RunReg.OSTEP_O: written,
            RunReg.OLAST: own - (groups - 1) * written,
        }

    def _flat_grid(self, tile: Tile) -> dict[RunReg, int]:
        read, written = self._vector
        rows = tile.band.stop - tile.band.start
        elements = rows * self.out.width * self.out.channels
        groups = -(-elements // self.machine.cols)
        return {
            RunReg.X0: 0,
            RunReg.XEND: 1 << 30,
            RunReg.YEND: 1 << 30,
            RunReg.OX: 1,
            RunReg.OXSTEP: 0,
            RunReg.OY: 1,
            RunReg.OYSTEP: 0,
            RunReg.NOCT: groups,
            RunReg.GSTEP: read,
            RunReg.OSTEP_X: 0,
            RunReg.OSTEP_Y: 0,
            RunReg.OSTEP_O: written,
            RunReg.OLAST: elements * self.out.format.bits // 8 - (groups - 1) * written,
        }

    def _params(self) -> Unit | None:
        layer, machine = self.layer, self.machine
        if layer.multiplier is None:
            return None
        entries = len(layer.multiplier)
        rows = machine.param_row_beats

        def make() -> NDArray[np.uint8]:
            assert layer.multiplier is not None
            multiplier = np.repeat(np.array(layer.multiplier, np.int64)[:, None], machine.cols, axis=1)
            zero = np.zeros_like(multiplier)
            return pack_params(zero, multiplier, zero + layer.shift, machine).reshape(-1)

        offset = self.constants.add(entries * 3 * rows * machine.beat, make)
        return Unit(True, (Transfer(Buffer.PBUF, offset, 1, entries * 3 * rows),), 0, entries)

    @property
    def _shape(self) -> tuple[int, tuple[int, int]]:
        return self.places[0].row, (0, self.out.width)

    def _cuts(self, rows: int) -> list[Band]:
        place, window = self.places[0], self.layer.window
        return bands(
            place.height, window.kernel[0], window.stride[0], window.padding[0], self.out.height, 1, rows
        )  # fmt: skip

    def _room(self) -> int:
        """Bytes of IBUF for a tile: a quarter, so that loads run ahead by more than a tile."""
        return self.machine.ibuf_bytes // 4

    def _tiles(self, rows: int) -> Iterator[Tile]:
        place, beat = self.places[0], self.machine.beat
        per_image = place.image
        if per_image <= self._room():
            images = max(1, min(self.batch, self._room() // per_image, 65535))
            (whole,) = self._cuts(self.out.height)
            for first in range(0, self.batch, images):
                count = min(images, self.batch - first)
                yield image_tile(place, first, count, whole, (0, place.size), beat, self.after[0], self._shape)
            return
        cuts = self._cuts(rows)
        for image in range(self.batch):
            yield from row_tiles(place, place.row, image, cuts, beat, self.after[0], (0, self.out.width))

    def _rows(self) -> int:
        """Output rows of a band: as many as fit when bands behind it are loaded meanwhile; 0 where not one does."""
        beat, row = self.machine.beat, self.places[0].row
        for share in (2, 1):
            for rows in range(self.out.height, 0, -1):
                cuts = self._cuts(rows)
                spans = [(b.bottom - a.top) * row + 2 * beat for a, b in pairwise(cuts)]
                if max(spans, default=1 << 62) * share <= self.machine.ibuf_bytes:
                    return rows
        return 1 if self._tallest() * row + 2 * beat <= self.machine.ibuf_bytes else 0

    def _tallest(self) -> int:
        """Rows of the picture that a row of results reads."""
        return max(cut.bottom - cut.top for cut in self._cuts(1))

    def _sliced(self, weights: Unit | None) -> Iterator[Step]:
        """A row of results at a time, some of the channels at a time: they are loaded pixel by pixel."""
        place, beat, pixels = self.places[0], self.machine.beat, self._tallest() * self.places[0].width
        grain = lcm(self._vector[0], beat)
        most = next((n for share in (4, 2, 1) if (n := self.machine.ibuf_bytes // share // pixels // grain)), 0) * grain
        if place.pixel % beat or not most:
            raise CompileError(
                f"a row of its results reads {pixels * place.pixel} bytes, the input buffer holds "
                f"{self.machine.ibuf_bytes}, and {grain} bytes of each pixel do not fit or pixels are not whole beats",
                where=self.layer.name,
                cure="a larger input buffer",
            )
        for start in range(0, place.pixel, most):
            size = min(most, place.pixel - start)
            first, bits = start * 8 // place.format.bits, place.format.bits
            channels = min(size * 8 // bits, place.channels - first)
            view = replace(place, channels=channels, pixel=size)
            part = replace(self, layer=replace(self.layer, channel=self.layer.channel + first), places=(view,))
            for image in range(self.batch):
                for band in self._cuts(1):
                    yield part._step(part._slice(place, start, image, band), 0, weights)

    def _slice(self, whole: Place, start: int, image: int, band: Band) -> Tile:
        """Of each pixel of a band of *whole*, the bytes of this layer's picture from *start* on."""
        beat, view = self.machine.beat, self.places[0]
        beats, pixels = view.pixel // beat, (band.bottom - band.top) * view.width
        offset = whole.offset + image * whole.image + band.top * whole.row + start
        unit = Unit(
            False, (Transfer(Buffer.IBUF, offset, pixels, beats, whole.pixel, 0, beats),), pixels * beats,
            after=self.after[0],
        )  # fmt: skip
        return Tile(image, 1, band, (unit,), unit, -band.top * view.row, 0, *self._shape)

    def _pairs(self) -> Iterator[tuple[Tile, int]]:
        """Tiles of both operands of an addition, side by side: the second operand's distance in bytes."""
        a, beat = self.places[0], self.machine.beat
        room = self._room() // 2
        if a.image <= room:
            images = max(1, min(self.batch, room // a.image))
            for first in range(0, self.batch, images):
                count = min(images, self.batch - first)
                yield self._joined(first, count, Band(0, a.height, 0, a.height)), count * a.image
            return
        rooms = (room, 2 * room, self.machine.ibuf_bytes // 2)  # of four tiles, two, one
        rows = next((n for n in ((space - 2 * beat) // a.row for space in rooms) if n > 0), 0)
        if rows == 0:
            raise CompileError(
                f"rows of {a.row} bytes do not fit the input buffer twice",
                where=self.layer.name,
                cure="a larger input buffer",
            )
        for image in range(self.batch):
            for start in range(0, a.height, rows):
                stop = min(start + rows, a.height)
                tile = self._joined(image, 1, Band(start, stop, start, stop))
                yield tile, tile.units[0].size // 2 * beat

    def _joined(self, first: int, images: int, band: Band) -> Tile:
        beat = self.machine.beat
        span = (band.top * self.places[0].row, band.bottom * self.places[0].row)
        tiles = [
            image_tile(place, first, images, band, span, beat, after, self._shape)
            for place, after in zip(self.places, self.after, strict=True)
        ]
        half = tiles[0].units[0].size
        transfers = [replace(tile.units[0].transfers[0], at=i * half) for i, tile in enumerate(tiles)]
        unit = Unit(False, tuple(transfers), 2 * half, after=max(self.after))
        return replace(tiles[0], units=(unit,), base=unit)
