"""Units that are loaded and steps that are run: what a layer becomes before buffers and semaphores are given out.

A :class:`Unit` is something loaded into a buffer at once and freed at once, a :class:`Step` is a RUN. Which buffer
addresses units get is decided over the whole program (:mod:`mico.codegen.bitfusion.link`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Buffer, RunReg
from mico.codegen.bitfusion.layout import Place

__all__ = ["Band", "Constants", "Step", "Tile", "Transfer", "Unit", "bands", "image_tile", "row_tiles", "window_tile"]


@dataclass(frozen=True)
class Transfer:
    """A LOAD: *rows* of *beats* from *offset*, *mstride* bytes apart, to beat *at* of a unit, *dstride* beats apart."""

    buffer: Buffer
    offset: int
    rows: int
    beats: int
    mstride: int = 0
    at: int = 0
    dstride: int = 0

    @property
    def size(self) -> int:
        """Beats in all."""
        return self.rows * self.beats


@dataclass(eq=False)
class Unit:
    """Loaded at once, freed at once.

    Attributes
    ----------
    weights
        Whether it lies in WBUF and PBUF; else in IBUF.
    size
        Beats of IBUF, or rows of WBUF.
    params
        Entries of PBUF.
    after
        Index of the layer that must have written what it reads; -1: nothing has to be waited for.
    before, distance
        The unit that it continues, and beats from the image's start: pictures that are loaded band after band lie in
        IBUF in one piece.
    address, param
        Where it was placed: beat or row, entry; IBUF and both others counted on without wrapping.
    """

    weights: bool
    transfers: tuple[Transfer, ...]
    size: int
    params: int = 0
    after: int = -1
    before: Unit | None = None
    distance: int = 0
    address: int = -1
    param: int = -1


@dataclass(eq=False)
class Step:
    """A RUN with the units that it reads.

    ``registers`` are complete but for IBASE, WBASE and PBASE: IBASE is the address of ``base`` plus ``shift`` bytes.
    """

    layer: int
    registers: dict[RunReg, int]
    offset: int
    inputs: tuple[Unit, ...]
    base: Unit | None
    shift: int
    weights: Unit | None
    cycles: int = 0


@dataclass
class Constants:
    """Weights and parameters in memory: made when the image is asked for, not before."""

    offset: int
    parts: list[tuple[int, Callable[[], NDArray[np.uint8]]]] = field(default_factory=list)

    def add(self, size: int, make: Callable[[], NDArray[np.uint8]]) -> int:
        """Reserve *size* bytes (a multiple of a beat) for what *make* returns; their offset."""
        start = self.offset
        self.parts.append((start, make))
        self.offset += size
        return start


@dataclass(frozen=True)
class Band:
    """Rows ``[start, stop)`` of outputs, which read rows ``[top, bottom)`` of the picture."""

    start: int
    stop: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Tile:
    """Outputs of *images* images from *first*, a band of rows each, and the units that hold their inputs.

    The byte at coordinate (0, 0) of the first image is *shift* bytes behind the start of *base*; the next image's
    lies *pitch* bytes further, the next row *row* bytes. *columns*: of the (pooled) outputs.
    """

    first: int
    images: int
    band: Band
    units: tuple[Unit, ...]
    base: Unit | None
    shift: int
    pitch: int
    row: int
    columns: tuple[int, int]


def bands(height: int, kernel: int, stride: int, padding: int, outputs: int, pool: int, rows: int) -> list[Band]:
    """Cut *outputs* (pooled) rows into bands of *rows*; the picture has *height* rows."""
    made = []
    for start in range(0, outputs, rows):
        stop = min(start + rows, outputs)
        top = max(0, start * pool * stride - padding)
        bottom = min(height, (stop * pool - 1) * stride - padding + kernel)
        made.append(Band(start, stop, min(top, height), max(bottom, min(top, height))))
    return made


def image_tile(
    place: Place,
    first: int,
    images: int,
    band: Band,
    span: tuple[int, int],
    beat: int,
    after: int,
    shape: tuple[int, tuple[int, int]],
) -> Tile:
    """A tile of whole images: bytes ``[span[0], span[1])`` of each are loaded.

    *shape*: bytes of a row, output columns.
    """
    start, stop = span[0] // beat, -(-span[1] // beat)
    beats = stop - start
    offset = place.offset + first * place.image + start * beat
    if beats * beat == place.image:
        transfer = Transfer(Buffer.IBUF, offset, 1, beats * images)
    else:
        transfer = Transfer(Buffer.IBUF, offset, images, beats, place.image, 0, beats)
    unit = Unit(False, (transfer,), beats * images, after=after)
    return Tile(first, images, band, (unit,), unit, -start * beat, beats * beat, *shape)


def window_tile(
    place: Place, image: int, band: Band, span: tuple[int, int], beat: int, after: int, columns: tuple[int, int]
) -> Tile:
    """Bytes ``[span[0], span[1])`` of each row of a band of an image whose rows are whole beats."""
    start, stop = span[0] // beat, -(-span[1] // beat)
    beats, rows = stop - start, band.bottom - band.top
    offset = place.offset + image * place.image + band.top * place.row + start * beat
    unit = Unit(False, (Transfer(Buffer.IBUF, offset, rows, beats, place.row, 0, beats),), rows * beats, after=after)
    return Tile(image, 1, band, (unit,), unit, -(start + band.top * beats) * beat, 0, beats * beat, columns)


def row_tiles(
    place: Place, row: int, image: int, cuts: Sequence[Band], beat: int, after: int, columns: tuple[int, int]
) -> Iterator[Tile]:
    """The bands of one image; rows that two bands share are loaded once, so bands roll through IBUF."""
    edges = sorted({edge for band in cuts for edge in (band.top, band.bottom)})
    units: list[tuple[int, int, Unit]] = []
    for top, bottom in pairwise(edges):
        if not any(band.top <= top and bottom <= band.bottom for band in cuts):
            continue
        start, stop = top * row // beat, -(-bottom * row // beat)  # a shared beat is loaded again: it may be freed
        transfer = Transfer(Buffer.IBUF, place.offset + image * place.image + start * beat, 1, stop - start)
        before = units[-1][2] if units else None
        units.append((top, bottom, Unit(False, (transfer,), stop - start, after=after, before=before, distance=start)))
    for band in cuts:
        used = tuple(unit for top, bottom, unit in units if band.top <= top and bottom <= band.bottom)
        base = used[0] if used else None
        yield Tile(image, 1, band, used, base, -base.distance * beat if base else 0, 0, row, columns)
