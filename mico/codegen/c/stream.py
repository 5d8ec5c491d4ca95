"""Weighted layers on the streaming engine: what it can do, the registers of a layer, its weight rows.

``rtl/simd/stream/README.md`` defines registers and rows; ``firmware/kernels/stream`` is the code that uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import TensorLayout, pack_words
from mico.graph import OpKind
from mico.quant.integer import Format, IntegerOp

__all__ = ["BUFFER_WORDS", "LANES", "StreamLayer", "plan_stream"]

BUFFER_WORDS = 2048
"""Words of a lane buffer: what start-up of the firmware demands (MICO_STREAM_BUFFER_WORDS of mico_stream.h)."""
LANES = 4
"""Lanes that cost estimates reckon with; the kernels ask the engine."""

_MAX_ELEMENTS = 65536
_MAX_BITS = (1 << 31) - 1
_PAIR_CYCLES = 20


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
        Weight streams of all groups: bias, multiplier, shift and packed weights of each output channel.
    notes
        What was decided and why, a line each.
    """

    config: str
    fields: dict[str, int]
    rows: NDArray[np.uint32]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Window:
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
    def of(cls, op: IntegerOp, source: TensorLayout, out: TensorLayout) -> _Window:
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

    def merged(self, count: int) -> _Window:
        """The same with *count* groups made one; weights between them are zero."""
        return _Window(**{**vars(self), "groups": self.groups // count})


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
    window, width = _Window.of(op, source, out), op.weight_format.bits
    # {-1, +1} has no zero: the engine makes two bits of each, and padding 0.
    expand = source.format.binary and any(window.padding)
    held = 2 if expand else source.format.bits
    merge = _best_merge(window, source.format.bits, width)
    window = window.merged(merge)
    columns = window.kernel[0] * window.kernel[1] * window.channels // window.groups
    if reason := _refused(window, columns, held, source, out):
        return reason
    matrices = [_block_diagonal(matrices[i : i + merge], window) for i in range(0, len(matrices), merge)]
    bias = np.zeros(window.outputs, np.int64) if op.bias is None else op.bias
    notes = [
        f"streaming engine: {source.format} by {op.weight_format} activations and weights, rows of {columns}, "
        f"{32 // width} products a lane and cycle"
    ]
    if expand:
        notes.append("{-1, +1} has no zero: activations are widened to 2 bits, where padding is 0")
    if merge > 1:
        notes.append(f"{merge} groups at a time, weights between them zero: fewer and longer operations")
    return StreamLayer(
        _config(source.format, width, out.format, expand=expand),
        _fields(window, columns, source.format.bits, width, out.format.bits),
        np.concatenate([_rows(np.concatenate(matrices), op.weight_format, bias, scales)]),
        tuple(notes),
    )


def _refused(window: _Window, columns: int, held: int, source: TensorLayout, out: TensorLayout) -> str | None:
    if columns > _MAX_ELEMENTS or columns * held > 32 * BUFFER_WORDS:
        return f"rows of {columns} activations of {held} bits exceed the engine's buffer of {BUFFER_WORDS} words"
    if window.outputs // window.groups > 65535:
        return f"{window.outputs} output channels exceed a RUN of the engine"
    padded = (window.height + 2 * window.padding[0]) * (window.width + 2 * window.padding[1]) * window.channels
    if max(padded * source.format.bits, out.elements * out.format.bits) > _MAX_BITS:
        return "places in the tensors exceed the engine's 32-bit offsets"
    return None


def _best_merge(window: _Window, activation_bits: int, weight_bits: int) -> int:
    """Groups to compute as one: the count with the fewest cycles of the engine for a group."""
    if window.groups == 1 or weight_bits == 1:  # {-1, +1} weights have no zero
        return 1
    channels, outputs = window.channels // window.groups, window.outputs // window.groups
    taps = window.kernel[0] * window.kernel[1]

    def cycles(count: int) -> float:
        bits = count * channels * activation_bits
        words = bits / 32 if bits % 32 == 0 else bits // 32 + 1.5
        if count == window.groups:
            words = bits / 32 + 1 / window.kernel[1]  # a whole line of the window is one run
        gather = LANES * taps * words
        run = count * outputs * (3 + -(-taps * count * channels * weight_bits // 32))
        return (gather + run + _PAIR_CYCLES) / count

    longest = min(_MAX_ELEMENTS, 32 * BUFFER_WORDS // 8) // (taps * channels)
    counts = [n for n in range(1, min(window.groups, 64) + 1) if window.groups % n == 0 and n <= max(1, longest)]
    return min(counts, key=cycles)


def _block_diagonal(matrices: list[NDArray[Any]], window: _Window) -> NDArray[Any]:
    """One matrix that computes several groups: columns (kernel height, kernel width, group, channel)."""
    if len(matrices) == 1:
        return matrices[0]
    taps = window.kernel[0] * window.kernel[1]
    rows, columns = matrices[0].shape
    whole = np.zeros((len(matrices), rows, taps, len(matrices), columns // taps), matrices[0].dtype)
    for group, matrix in enumerate(matrices):
        whole[group, :, :, group] = matrix.reshape(rows, taps, -1)
    return whole.reshape(len(matrices) * rows, -1)


def _rows(matrix: NDArray[Any], form: Format, bias: NDArray[Any], scales: list[tuple[int, int]]) -> NDArray[np.uint32]:
    """Words of the engine's rows: bias, multiplier, shift, weights."""
    header = np.empty((len(matrix), 3), np.uint32)
    header[:, 0] = bias.astype(np.int64) & 0xFFFFFFFF
    header[:, 1:] = scales
    return np.concatenate([header, pack_words(matrix, form)], axis=1).reshape(-1)


def _config(source: Format, weight_bits: int, out: Format, *, expand: bool) -> str:
    parts = [f"MICO_STREAM_A({2 if expand else source.bits})", f"MICO_STREAM_W({weight_bits})"]
    parts += [] if source.signed else ["MICO_STREAM_AU"]
    parts += ["MICO_STREAM_EXPAND"] if expand else []
    parts.append("MICO_STREAM_LOGIT" if out.bits == 32 else f"MICO_STREAM_PACK({out.bits})")
    parts += [] if out.signed else ["MICO_STREAM_OU"]
    parts += ["MICO_STREAM_TAIL_ZERO"] if out.bits < 8 else []
    return " | ".join(parts)


def _fields(window: _Window, columns: int, bits: int, weight_bits: int, out_bits: int) -> dict[str, int]:
    pixel, group_in = window.channels * bits, window.channels // window.groups * bits
    outputs = window.outputs // window.groups
    whole = window.groups == 1  # neighbouring pixels of a window are neighbours in memory
    return {
        "k": columns,
        "n": outputs,
        "rows": window.kernel[0],
        "cols": 1 if whole else window.kernel[1],
        "len": window.kernel[1] * pixel if whole else group_in,
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
        "group_out": outputs * out_bits,
        "group_weights": outputs * 4 * (3 + -(-columns * weight_bits // 32)),
    }
