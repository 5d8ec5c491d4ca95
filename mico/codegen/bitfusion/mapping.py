"""How an array layer lies on the array: unrolled pixels, octets, pieces of the reduction, tiles, loop order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from mico.codegen.bitfusion.layers import ArrayLayer, Operand
from mico.codegen.bitfusion.layout import Place
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.steps import Band

__all__ = ["Block", "Geometry", "Mapping", "Order", "Piece", "Run"]


class Order(StrEnum):
    """Loops around the runs, outermost first."""

    INPUTS = "inputs"
    """Tiles, blocks, pieces: inputs are loaded once."""
    WEIGHTS = "weights"
    """Blocks, tiles, pieces: weights are loaded once."""
    PIECES = "pieces"
    """Tiles, groups of blocks, pieces, blocks: where even a row's inputs exceed IBUF, they come piece by piece."""


@dataclass(frozen=True)
class Piece:
    """Part of the reduction: kernel rows ``[row, row + rows)`` and bytes ``[start, stop)`` of each pixel of an operand.

    *whole*: all bytes, so that a kernel row is one segment.
    """

    operand: int
    row: int
    rows: int
    start: int
    stop: int
    whole: bool


@dataclass(frozen=True)
class Block:
    """Octets ``[first, first + octets)`` that share patches and a load of weights for each of their pieces."""

    first: int
    octets: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Mapping:
    """Everything that is decided about an array layer.

    Attributes
    ----------
    unroll
        D: neighbouring (pooled) output pixels that are computed as one with D times the channels.
    pool_octets
        PO: columns of the pooling window that lie in octets of their own.
    rows, images, columns
        Of a tile: pooled output rows; images (more than one only where a tile has all rows); pooled output columns,
        0 for all of them.
    group
        Blocks whose partial sums OBUF holds at a time (order PIECES).
    keep_weights, keep_inputs
        Loaded once for all tiles, for all blocks.
    """

    unroll: int
    pool_octets: int
    blocks: tuple[Block, ...]
    order: Order
    rows: int
    images: int
    group: int = 1
    keep_weights: bool = False
    keep_inputs: bool = False
    columns: int = 0


@dataclass(frozen=True)
class Run:
    """The runs of a tile: *groups* unrolled pixels a row from pooled column *column*, *octets* of a block."""

    column: int
    groups: int
    pixels: int
    octets: int


@dataclass(frozen=True)
class Geometry:
    """Sizes that follow from a layer, its output's place and the unrolling."""

    layer: ArrayLayer
    out: Place
    machine: Machine
    unroll: int
    pool_octets: int

    @property
    def vector(self) -> int:
        """Bytes of a whole octet of results."""
        return self.machine.cols * self.out.format.bits // 8

    @property
    def octets(self) -> int:
        """Octets of unrolled pixels."""
        return self.octets_of(self.unroll)

    def octets_of(self, pixels: int) -> int:
        """Octets of *pixels* unrolled (pooled) pixels."""
        return self.pool_octets * -(-pixels * self.out.pixel // self.vector)

    @property
    def pool_steps(self) -> tuple[int, int]:
        """(PY, PX): conv pixels of a pooling window that are computed one after the other."""
        return (self.layer.pool[0], self.layer.pool[1] // self.pool_octets)

    def kernel_width(self, operand: Operand) -> int:
        """Pixels in a row of the patch of unrolled pixels."""
        return operand.window.kernel[1] + (self.unroll * self.pool_octets - 1) * operand.window.stride[1]

    def weight_bits(self, operand: Operand) -> int:
        """Bits of the weights in memory: 1-bit weights have no zero, where there must be one they take 2 bits."""
        zeros = operand.zeros or self.unroll * self.pool_octets > 1
        return 2 if zeros and operand.weight_bits == 1 else operand.weight_bits

    @cached_property
    def chunk_bytes(self) -> tuple[int, ...]:
        """Bytes of activations of a chunk (CB), for each operand."""
        return tuple(
            self.machine.chunk_elements(o.format.bits, o.weight_bits) * o.format.bits // 8 for o in self.layer.operands
        )

    @cached_property
    def subwords(self) -> tuple[int, ...]:
        """Chunks that share a row of WBUF (R), for each operand."""
        return tuple(self.machine.subwords(o.format.bits, self.weight_bits(o)) for o in self.layer.operands)

    @cached_property
    def _widths(self) -> tuple[tuple[int, int], ...]:
        return tuple((self.kernel_width(operand), operand.pixel) for operand in self.layer.operands)

    def segments(self, piece: Piece) -> tuple[int, int]:
        """(segments in a kernel row, bytes of one)."""
        width, pixel = self._widths[piece.operand]
        return (1, width * pixel) if piece.whole else (width, piece.stop - piece.start)

    def chunks(self, piece: Piece) -> int:
        """NCH."""
        count, size = self.segments(piece)
        return -(-piece.rows * count * size // self.chunk_bytes[piece.operand])

    def weight_rows(self, piece: Piece) -> int:
        """WBUF rows of an octet."""
        return -(-self.chunks(piece) // self.subwords[piece.operand])

    def columns(self, octet: int) -> int:
        """Columns that have a channel: fewer than M in a last octet."""
        elements = self.unroll * self.out.elements
        return min(self.machine.cols, elements - octet // self.pool_octets * self.machine.cols)

    def weight_beats(self, block: Block, piece: Piece) -> tuple[int, int, int]:
        """Beats of whole octets' weights; octets behind them of which not all columns have a channel, and the beats of
        one of their rows."""
        full = next((i for i in range(block.octets) if self.columns(block.first + i) < self.machine.cols), block.octets)
        last = 4 * self.machine.rows * self.columns(block.first + block.octets - 1)
        whole = full * self.weight_rows(piece) * self.machine.wbuf_row_beats
        return whole, block.octets - full, -(-last // self.machine.beat)

    def reads(self, piece: Piece) -> int:
        """Lines of IBUF that a patch takes."""
        count, size = self.segments(piece)
        return piece.rows * count * -(-size // self.machine.line)

    def runs(self, block: Block, columns: tuple[int, int] | None = None) -> Iterator[Run]:
        """Runs of a block in a tile (of these pooled columns): whole groups of unrolled pixels, then the rest."""
        start, stop = columns or (0, self.out.width)
        groups, rest = divmod(stop - start, self.unroll)
        if groups:
            yield Run(start, groups, self.unroll, block.octets)
        if rest:
            octets = min(block.first + block.octets, self.octets_of(rest)) - block.first
            if octets > 0:
                yield Run(start + groups * self.unroll, 1, rest, octets)

    def pixels(self, run: Run, rows: int, images: int) -> int:
        """Patches of *run* in a tile."""
        py, px = self.pool_steps
        return images * rows * run.groups * py * px

    def entries(self, block: Block, rows: int, images: int, columns: tuple[int, int] | None = None) -> int:
        """OBUF entries of a block in a tile."""
        return sum(self.pixels(run, rows, images) * run.octets for run in self.runs(block, columns))

    def span(self, operand: Operand, columns: tuple[int, int]) -> tuple[int, int]:
        """Bytes ``[start, stop)`` of a row of an operand that pooled output columns read."""
        window, pool = operand.window, self.layer.pool[1]
        start = columns[0] * pool * window.stride[1] - window.padding[1]
        stop = (columns[1] * pool - 1) * window.stride[1] - window.padding[1] + window.kernel[1]
        left = min(max(start, 0), operand.width - 1)
        return left * operand.pixel, min(max(stop, left + 1), operand.width) * operand.pixel

    def piece_band(self, operand: Operand, piece: Piece, band: Band) -> Band:
        """*band* with only the rows of the picture that a piece's kernel rows meet."""
        stride, padding, pool = operand.window.stride[0], operand.window.padding[0], self.layer.pool[0]
        top = band.start * pool * stride - padding + piece.row
        bottom = (band.stop * pool - 1) * stride - padding + piece.row + piece.rows
        top = min(max(top, 0), operand.height)
        return Band(band.start, band.stop, top, max(min(bottom, operand.height), top))
