"""Weighted layers on the streaming engine: what it can do, the registers of a layer, its weight rows.

``rtl/simd/stream/README.md`` defines registers and rows; ``firmware/kernels/stream`` is the code that uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import TensorLayout, pack_words
from mico.graph import OpKind
from mico.quant.integer import Format, IntegerOp

__all__ = [
    "BUFFER_WORDS",
    "LANES",
    "StreamKernel",
    "StreamLayer",
    "StreamShape",
    "Window",
    "plan_stream",
    "plan_weightless",
    "shape_stream",
]

BUFFER_WORDS = 2048
"""Words of a lane buffer: what start-up of the firmware demands (MICO_STREAM_BUFFER_WORDS of mico_stream.h)."""
LANES = 4
"""Lanes that cost estimates reckon with; the kernels ask the engine."""

_MAX_ELEMENTS = 65536
_MAX_ROWS = 65535
_MAX_BITS = (1 << 31) - 1
_PAIR_CYCLES = 32
"""Cycles of a GATHER and a RUN beyond their words, measured on the convolutions of LeNet-5."""


@dataclass(frozen=True)
class StreamLayer:
    """A layer for ``mico_stream_conv2d``.

    Attributes
    ----------
    config
        C expression of the register CONFIG.
    fields
        Of ``struct mico_stream_conv2d``, name to integer, without pointers and config.
    rows
        Weight streams of all groups: for each output channel bias, multiplier and shift, if needed, and packed weights.
    notes
        What was decided and why, a line each.
    """

    config: str
    fields: dict[str, int]
    rows: NDArray[np.uint32]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class StreamKernel:
    """An operation without weights whose descriptor is that of the other builds; *note* says what the engine does."""

    note: str


def plan_weightless(op: IntegerOp, inputs: list[TensorLayout], out: TensorLayout) -> StreamKernel | str:
    """How the engine computes *op*, which has no weights, or why it cannot."""
    first = inputs[0]
    channels = first.shape[0] if len(first.shape) == 3 else first.elements
    match op.kind:
        case OpKind.MAX_POOL:
            string = out.shape[2] * channels * first.format.bits
            note = "maximum over the lanes, a line of results at a time"
        case OpKind.AVG_POOL | OpKind.GLOBAL_AVG_POOL:
            kernel = op.pair("kernel") if op.kind is OpKind.AVG_POOL else first.shape[1:]
            expand = op.kind is OpKind.AVG_POOL and first.format.binary and any(op.pair("padding"))
            string = int(np.prod(kernel)) * channels * (2 if expand else first.format.bits)
            note = "weighted sums over lanes and strings"
        case OpKind.ADD:
            string = first.format.bits
            note = "weighted sum of two lanes"
            if inputs[1].format.bits != first.format.bits:
                return f"its lanes hold {first.format} and {inputs[1].format}: one width at a time"
        case OpKind.CONCAT:
            string = max((i.shape[0] if len(i.shape) == 3 else i.elements) * i.format.bits for i in inputs)
            note = "the channels of a pixel at a time"
        case _:
            string = first.format.bits
            note = "a lane buffer of elements at a time"
    if string > 32 * BUFFER_WORDS:
        return f"strings of {string} bits exceed the engine's buffer of {BUFFER_WORDS} words"
    if max(first.elements * first.format.bits, out.elements * out.format.bits) > _MAX_BITS:
        return "places in the tensors exceed the engine's 32-bit offsets"
    return StreamKernel(f"streaming engine: {note}")


@dataclass(frozen=True)
class Window:
    """A layer as a convolution: a linear layer is one pixel under a 1x1 window."""

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int
    out: tuple[int, int]
    outputs: int

    @classmethod
    def of(cls, op: IntegerOp, source: TensorLayout, out: TensorLayout) -> Window:
        assert op.weight is not None
        if op.kind is OpKind.LINEAR:
            return cls(1, 1, source.elements, (1, 1), (1, 1), (0, 0), 1, (1, 1), out.elements)
        channels, height, width = source.shape
        outputs, kernel_height, kernel_width = len(op.weight), op.weight.shape[2], op.weight.shape[3]
        stride, padding, groups = op.pair("stride"), op.pair("padding"), op.number("groups")
        if (kernel_height, kernel_width, *stride, *padding) == (1, 1, 1, 1, 0, 0):  # one long line: no lane is idle
            pixels = height * width
            return cls(1, pixels, channels, (1, 1), (1, 1), (0, 0), groups, (1, pixels), outputs)
        kernel = (kernel_height, kernel_width)
        return cls(height, width, channels, kernel, stride, padding, groups, (out.shape[1], out.shape[2]), outputs)

    @property
    def whole(self) -> bool:
        """Whether a line of a window is one run of bits in memory."""
        return self.groups == 1

    @property
    def rows(self) -> int:
        """Rows of weights of a group."""
        return self.outputs // self.groups

    @property
    def columns(self) -> int:
        return self.kernel[0] * self.kernel[1] * self.channels // self.groups

    def merged(self, groups: int, pixels: int) -> Window:
        """The same with *groups* groups made one, and *pixels* neighbouring output pixels one of more channels."""
        return replace(
            self,
            kernel=(self.kernel[0], self.kernel[1] + (pixels - 1) * self.stride[1]),
            stride=(self.stride[0], pixels * self.stride[1]),
            groups=self.groups // groups,
            out=(self.out[0], self.out[1] // pixels),
            outputs=self.outputs * pixels,
        )


@dataclass(frozen=True)
class StreamShape:
    """A layer as the engine walks it.

    Attributes
    ----------
    plain, window
        As it is, and with *groups* groups and *pixels* neighbouring output pixels made one.
    weight_bits
        Of stored weights.
    expand
        Activations are widened to 2 bits.
    """

    plain: Window
    window: Window
    groups: int
    pixels: int
    weight_bits: int
    expand: bool


def plan_stream(
    op: IntegerOp,
    source: TensorLayout,
    out: TensorLayout,
    matrices: list[NDArray[Any]],
    scales: list[tuple[int, int]],
) -> StreamLayer | str:
    """How the engine computes *op*, or why it cannot.

    Parameters
    ----------
    matrices
        Weights ``(outputs, columns)`` of each group, columns in (kernel height, kernel width, channels) order.
    scales
        Multiplier and shift of each output channel.
    """
    assert op.weight_format is not None
    bias = np.zeros(len(scales), np.int64) if op.bias is None else op.bias
    header = _header_words(out.format, bias, scales)
    shape = shape_stream(op, source, out, header)
    if isinstance(shape, str):
        return shape
    plain, window, groups, pixels = shape.plain, shape.window, shape.groups, shape.pixels
    form = Format(shape.weight_bits, True)
    merged = [
        _beside(_block_diagonal(matrices[i : i + groups], plain), plain, window, pixels)
        for i in range(0, len(matrices), groups)
    ]
    notes = [
        f"streaming engine: {source.format} by {op.weight_format} activations and weights, {window.rows} rows of "
        f"{window.columns}, {32 // form.bits} products a lane and cycle"
    ]
    if shape.expand:
        notes.append("{-1, +1} has no zero: activations are widened to 2 bits, where padding is 0")
    if groups > 1:
        notes.append(f"{groups} groups at a time, weights between them zero: fewer and longer operations")
    if pixels > 1:
        notes.append(f"{pixels} output pixels a lane, from one wider window: fewer and longer operations")
    if form.bits != op.weight_format.bits:
        notes.append("weights held in 2 bits: {-1, +1} has no zero for what the wider window adds")
    if header < 3:
        notes.append("results are the accumulators: no requantisation" + (", no bias" if header == 0 else ""))
    rows = [_rows(m, form, np.tile(b, pixels), s * pixels, header) for m, b, s in _per_group(merged, bias, scales)]
    return StreamLayer(
        _config(source.format, form.bits, out.format, header, expand=shape.expand),
        _fields(window, source.format.bits, form.bits, out.format.bits, header),
        np.concatenate(rows),
        tuple(notes),
    )


def shape_stream(op: IntegerOp, source: TensorLayout, out: TensorLayout, header: int) -> StreamShape | str:
    """How the engine computes *op* with rows of *header* words of constants, or why it cannot: values do not matter."""
    assert op.weight_format is not None
    plain = Window.of(op, source, out)
    # {-1, +1} has no zero: the engine makes two bits of each, and padding 0.
    expand = source.format.binary and any(plain.padding)
    held = 2 if expand else source.format.bits
    if reason := _refused(plain, held, source, out):
        return reason
    groups, pixels = _best_merge(plain, source.format.bits, held, op.weight_format.bits, header)
    stored = _stored_bits(op.weight_format.bits, groups, pixels)
    return StreamShape(plain, plain.merged(groups, pixels), groups, pixels, stored, expand)


def _per_group(
    merged: list[NDArray[Any]], bias: NDArray[Any], scales: list[tuple[int, int]]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], list[tuple[int, int]]]]:
    """Matrix, bias and scales of each group of output channels."""
    count = len(bias) // len(merged)
    for group, matrix in enumerate(merged):
        part = slice(group * count, (group + 1) * count)
        yield matrix, bias[part], scales[part]


def _refused(window: Window, held: int, source: TensorLayout, out: TensorLayout) -> str | None:
    columns = window.columns
    if columns > _MAX_ELEMENTS or columns * held > 32 * BUFFER_WORDS:
        return f"rows of {columns} activations of {held} bits exceed the engine's buffer of {BUFFER_WORDS} words"
    if window.rows > _MAX_ROWS:
        return f"{window.rows} output channels exceed a RUN of the engine"
    padded = (window.height + 2 * window.padding[0]) * (window.width + 2 * window.padding[1]) * window.channels
    if max(padded * source.format.bits, out.elements * out.format.bits) > _MAX_BITS:
        return "places in the tensors exceed the engine's 32-bit offsets"
    return None


def _header_words(out: Format, bias: NDArray[Any], scales: list[tuple[int, int]]) -> int:
    """Words in front of a row's weights: bias, multiplier, shift; int32 results scaled by 1 do without."""
    if out.bits == 32 and all(multiplier == 1 << shift for multiplier, shift in scales):
        return int(bool(np.any(bias)))
    return 3


def _stored_bits(weight_bits: int, groups: int, pixels: int) -> int:
    """Width of stored weights: where zeros come between them, {-1, +1} takes 2 bits."""
    return 2 if weight_bits == 1 and groups * pixels > 1 else weight_bits


def _best_merge(window: Window, bits: int, held: int, weight_bits: int, header: int) -> tuple[int, int]:
    """Groups to compute as one and output pixels to compute in a lane: the fewest cycles of the engine."""

    def cycles(choice: tuple[int, int]) -> float:
        merged, stored = window.merged(*choice), _stored_bits(weight_bits, *choice)
        pixel = window.channels * bits
        run = merged.kernel[1] * pixel if merged.whole else merged.channels // merged.groups * bits
        runs = merged.kernel[0] * (1 if merged.whole else merged.kernel[1])
        grain = gcd(32, pixel, run)
        gather = LANES * runs * (1 + (run - grain) / 32)
        words = -(-merged.columns * stored // 32)
        steps = -(-merged.columns // 16) if stored == 1 and held > 1 else words
        pixels, width = merged.out[0] * merged.out[1], merged.out[1]
        pair = gather + merged.rows * max(header + words, steps) + _PAIR_CYCLES
        across = sum((first % width) + LANES > width for first in range(0, pixels, LANES))
        return merged.groups * (-(-pixels // LANES) * pair + across * (gather + _PAIR_CYCLES))

    def fits(choice: tuple[int, int]) -> bool:
        merged = window.merged(*choice)
        return merged.columns * held <= 32 * BUFFER_WORDS and merged.rows <= _MAX_ROWS

    choices = [(n, 1) for n in range(1, min(window.groups, 64) + 1) if window.groups % n == 0]
    if window.groups <= 64:  # pixels lie side by side in memory only where all groups are one
        choices += [(window.groups, n) for n in range(2, min(window.out[1], 16) + 1) if window.out[1] % n == 0]
    return min([choice for choice in choices if fits(choice)], key=cycles)


def _block_diagonal(matrices: list[NDArray[Any]], window: Window) -> NDArray[Any]:
    """One matrix that computes several groups: columns (kernel height, kernel width, group, channel)."""
    if len(matrices) == 1:
        return matrices[0]
    taps = window.kernel[0] * window.kernel[1]
    rows, columns = matrices[0].shape
    whole = np.zeros((len(matrices), rows, taps, len(matrices), columns // taps), matrices[0].dtype)
    for group, matrix in enumerate(matrices):
        whole[group, :, :, group] = matrix.reshape(rows, taps, -1)
    return whole.reshape(len(matrices) * rows, -1)


def _beside(matrix: NDArray[Any], window: Window, merged: Window, pixels: int) -> NDArray[Any]:
    """Rows of *pixels* neighbouring output pixels over the window that holds all of theirs."""
    if pixels == 1:
        return matrix
    lines = matrix.reshape(len(matrix), window.kernel[0], -1)
    pixel, width = window.channels, window.kernel[1] * window.channels
    wide = np.zeros((pixels, len(matrix), window.kernel[0], merged.kernel[1] * pixel), matrix.dtype)
    for index in range(pixels):
        start = index * window.stride[1] * pixel
        wide[index, :, :, start : start + width] = lines
    return wide.reshape(pixels * len(matrix), -1)


def _rows(
    matrix: NDArray[Any], form: Format, bias: NDArray[Any], scales: list[tuple[int, int]], header: int
) -> NDArray[np.uint32]:
    """Words of the engine's rows: as much of bias, multiplier and shift as *header* says, weights."""
    constants = np.empty((len(matrix), 3), np.uint32)
    constants[:, 0] = bias.astype(np.int64) & 0xFFFFFFFF
    constants[:, 1:] = scales
    return np.concatenate([constants[:, :header], pack_words(matrix, form)], axis=1).reshape(-1)


def _config(source: Format, weight_bits: int, out: Format, header: int, *, expand: bool) -> str:
    parts = [f"MICO_STREAM_A({2 if expand else source.bits})", f"MICO_STREAM_W({weight_bits})"]
    parts += [] if source.signed else ["MICO_STREAM_AU"]
    parts += ["MICO_STREAM_EXPAND"] if expand else []
    if header < 3:
        return " | ".join([*parts, "MICO_STREAM_INT32", *(["MICO_STREAM_BIAS"] if header else [])])
    parts.append("MICO_STREAM_LOGIT" if out.bits == 32 else f"MICO_STREAM_PACK({out.bits})")
    parts += [] if out.signed else ["MICO_STREAM_OU"]
    parts += ["MICO_STREAM_TAIL_ZERO"] if out.bits < 8 else []
    return " | ".join(parts)


def _fields(window: Window, bits: int, weight_bits: int, out_bits: int, header: int) -> dict[str, int]:
    pixel, group_in = window.channels * bits, window.channels // window.groups * bits
    return {
        "k": window.columns,
        "n": window.rows,
        "rows": window.kernel[0],
        "cols": 1 if window.whole else window.kernel[1],
        "len": window.kernel[1] * pixel if window.whole else group_in,
        "line": window.width * pixel,
        "pixel": pixel,
        "image_rows": window.height,
        "out_width": window.out[1],
        "out_height": window.out[0],
        "out_pixel": window.outputs * out_bits,
        "top": -window.padding[0],
        "left": -window.padding[1] * pixel,
        "step_lines": window.stride[0],
        "step": window.stride[1] * pixel,
        "groups": window.groups,
        "group_in": group_in,
        "group_out": window.rows * out_bits,
        "group_weights": window.rows * 4 * (header + -(-window.columns * weight_bits // 32)),
    }
