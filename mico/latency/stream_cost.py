"""What the SoC's streaming engine does for a layer: words gathered and streamed, results written, operations started.

The counts follow ``rtl/simd/stream/README.md`` (throughput) and the loops of ``firmware/kernels/stream``; what each of
them costs is fitted to measurements. Values of weights and activations play no part in them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import TensorLayout
from mico.codegen.c.stream import BUFFER_WORDS, LANES, StreamShape, Window, plan_weightless, shape_stream
from mico.graph import OpKind
from mico.quant.integer import IntegerOp

__all__ = ["COLUMNS", "stream_counts"]

COLUMNS = (
    *("run_layer", "run_linear", "run_gather", "run_stream", "run_write", "runs", "run_crossings", "run_shared"),
    *("run_groups", "run_lanes", "map_layer", "map_gather", "map_cycles", "map_pieces", "map_concat"),
    *("pool_layer", "pool_gather", "pool_pieces", "pool_words", "core_steps", "core_words"),
)
"""Convolutions and linear layers: 1; 1 of a linear layer; cycles of all GATHERs; of the rows of all RUNs; words of
results; RUNs; RUNs whose pixels lie in two lines; read-modify-writes of shared bytes; in several groups, cycles in
which the engine waits for the core, and RUNs whose windows are gathered one by one. Adds, concatenations, averages and
requantisations: 1; cycles of GATHERs and of MAPs; MAPs; those of a concatenation. Max-pools: 1; cycles of GATHERs;
POOLs; their words. What the engine leaves to the core: steps of dot products, and words of their weights."""

_CORE_CYCLES = 90  # of the core for a RUN of several groups, beyond what every RUN costs; measured on MobileNetV2
_AVERAGE_STEPS, _OTHER_STEPS = 30.0, 3.0
"""Steps of a dot product that an element of a window takes the core: 162 and 15 cycles of a global average of 16x16x64
and a maximum of 16x96x192, where a step of a linear layer of 10,000 inputs takes 5.8 (``mico profile``)."""
_HEADER = 3  # words in front of a row: bias, multiplier, shift


def stream_counts(op: IntegerOp, inputs: list[TensorLayout], out: TensorLayout) -> NDArray[np.float64]:
    """Counts ``(len(COLUMNS),)`` of one operation; a flatten costs nothing.

    Parameters
    ----------
    op
        Its weights may be an array of stride zero: only the shape is looked at.
    inputs, out
        Its tensors.
    """
    counts = dict.fromkeys(COLUMNS, 0.0)
    if op.kind is OpKind.FLATTEN:
        return np.array(list(counts.values()))
    if op.weight is not None:
        shape = shape_stream(op, inputs[0], out, _HEADER)
        if isinstance(shape, StreamShape):
            counts["run_layer"] = 1.0
            counts["run_linear"] = float(op.kind is OpKind.LINEAR)
            _weighted(counts, shape, inputs[0].format.bits, out.format.bits)
        else:
            bits = 0 if op.weight_format is None else op.weight_format.bits
            terms = out.elements * (op.weight.size // len(op.weight))
            counts["core_steps"] = terms * max(bits, inputs[0].format.bits) / 32
            counts["core_words"] = terms * bits / 32
    elif isinstance(plan_weightless(op, inputs, out), str):
        average = op.kind in (OpKind.AVG_POOL, OpKind.GLOBAL_AVG_POOL)
        window = inputs[0].shape[1:] if op.kind is OpKind.GLOBAL_AVG_POOL else op.attrs.get("kernel", (1, len(inputs)))
        counts["core_steps"] = out.elements * int(np.prod(window)) * (_AVERAGE_STEPS if average else _OTHER_STEPS)
    else:
        _weightless(counts, op, inputs, out)
    return np.array(list(counts.values()))


def _weighted(counts: dict[str, float], shape: StreamShape, bits: int, out_bits: int) -> None:
    window = shape.window
    held = 2 if shape.expand else bits
    height, width = window.out
    pixels = height * width
    lanes = min(LANES, pixels)
    runs = -(-pixels // lanes)
    words = -(-window.columns * shape.weight_bits // 32)
    steps = -(-window.columns // 16) if shape.weight_bits == 1 and held > 1 else words
    per_word = 1 if out_bits == 32 else 32 // out_bits
    row_writes = window.rows / per_word
    total = runs * window.groups
    row = _HEADER + max(words, steps)
    counts["run_stream"] = total * max(window.rows * row, lanes * row_writes)
    # Where a word of weights takes two steps, the port has every other cycle for results
    free = total * window.rows * (steps - words)
    counts["run_write"] = max(0.0, window.groups * pixels * -(-window.rows * out_bits // 32) - free)
    counts["run_shared"] = window.groups * _shared(pixels, window.rows * out_bits)
    counts["runs"] = total
    counts["run_gather"] = float(_gather_words(window, bits)) + 5 * total
    if shape.expand:
        counts["run_gather"] = max(counts["run_gather"], pixels * window.groups * window.columns * held / 32)
    crossings = sum((first % width) + lanes > width for first in range(0, pixels, lanes))
    if window.groups > 1 or width < lanes:
        # The core finds the next windows while a RUN is under way, and the engine waits where that takes longer
        under_way = (counts["run_stream"] + counts["run_write"]) / total
        counts["run_groups"] = total * max(0.0, _CORE_CYCLES - under_way)
        counts["run_lanes"] = crossings * window.groups
    else:
        counts["run_crossings"] = crossings
        counts["run_gather"] += crossings * counts["run_gather"] / total * 0.75


def _shared(pixels: int, bits: int) -> int:
    """Words of results that hold a byte of a neighbour's."""
    first = np.arange(pixels) * bits
    end = first + bits
    before, behind = first % 8 > 0, end % 8 > 0
    return int((before | behind).sum() + (before & behind & (first // 32 != end // 32)).sum())


def _gather_words(window: Window, bits: int) -> int:
    """Memory words, and words of padding, of the windows of all output pixels and groups."""
    pixel = window.channels * bits
    line = window.width * pixel
    whole = window.whole
    run = window.kernel[1] * pixel if whole else window.channels // window.groups * bits
    columns = 1 if whole else window.kernel[1]
    height, width = window.out
    left = -window.padding[1] * pixel
    x = left + np.arange(width) * window.stride[1] * pixel
    # start of each run in its line: (groups, out width, runs of a kernel row)
    starts = x[None, :, None] + np.arange(columns)[None, None, :] * pixel
    starts = starts + (np.arange(window.groups) * run if not whole else np.zeros(1, np.int64))[:, None, None]
    low, high = np.maximum(starts, 0), np.minimum(starts + run, line)
    inside = np.maximum(high - low, 0)
    outside = run - inside
    padding = -(-np.maximum(-starts, 0).clip(max=run) // 32) - (
        -(np.maximum(starts + run - line, 0).clip(max=run)) // 32
    )
    padding = np.where(outside > 0, padding, 0)
    rows = (np.arange(height)[:, None] * window.stride[0] - window.padding[0] + np.arange(window.kernel[0])).ravel()
    within = rows[(rows >= 0) & (rows < window.height)]
    above = len(rows) - len(within)
    total = above * starts.size * -(-run // 32) + len(within) * int(padding.sum())
    # a line begins at any bit of a word: which of 32 places, and how many of the walked lines begin there
    places, many = np.unique(within * line % 32, return_counts=True)
    for place, count in zip(places.tolist(), many.tolist(), strict=True):
        first = (low + place) // 32
        last = (high + place - 1) // 32
        total += count * int(np.where(inside > 0, last - first + 1, 0).sum())
    return total


def _weightless(counts: dict[str, float], op: IntegerOp, inputs: list[TensorLayout], out: TensorLayout) -> None:
    first = inputs[0]
    channels = first.shape[0] if len(first.shape) == 3 else first.elements
    counts["pool_layer" if op.kind is OpKind.MAX_POOL else "map_layer"] = 1.0
    match op.kind:
        case OpKind.MAX_POOL:
            _max_pool(counts, op, first, out, channels)
        case OpKind.AVG_POOL | OpKind.GLOBAL_AVG_POOL:
            _average(counts, op, first, out, channels)
        case OpKind.CONCAT:
            pixels = int(np.prod(out.shape[1:])) if len(out.shape) == 3 else 1
            for source in inputs:
                depth = source.shape[0] if len(source.shape) == 3 else source.elements
                counts["map_concat"] += pixels
                counts["map_gather"] += pixels * (depth * source.format.bits / 32 + 5)
                counts["map_cycles"] += pixels * (2.5 * depth + 12)
        case _:
            lanes = len(inputs)
            pieces = -(-first.elements * first.format.bits // (32 * BUFFER_WORDS))
            counts["map_pieces"] = pieces
            counts["map_gather"] = lanes * (first.elements * first.format.bits / 32 + 5 * pieces)
            counts["map_cycles"] = first.elements * max(1.0, lanes, (4 + lanes) / 2) + 12 * pieces


def _max_pool(counts: dict[str, float], op: IntegerOp, first: TensorLayout, out: TensorLayout, channels: int) -> None:
    kernel, padding = op.pair("kernel"), op.pair("padding")
    bits = first.format.bits
    pixel = channels * bits
    height, width = out.shape[1], out.shape[2]
    lines = 1 if padding[0] else min(max(32 * BUFFER_WORDS // (width * pixel), 1), height)
    rounds = -(-height // lines)
    positions = kernel[0] * kernel[1]
    run_words = (pixel - np.gcd(32, pixel)) / 32 + 1
    counts["pool_pieces"] = rounds * positions
    counts["pool_gather"] = positions * (height * width * run_words + 5 * rounds)
    passes = 1 + max(0, -(-(positions - LANES) // (LANES - 1)))
    counts["pool_words"] = passes * (height * width * pixel / 32 + 5 * rounds)


def _average(counts: dict[str, float], op: IntegerOp, first: TensorLayout, out: TensorLayout, channels: int) -> None:
    whole = op.kind is OpKind.GLOBAL_AVG_POOL
    kernel = first.shape[1:] if whole else op.pair("kernel")
    height, width = (1, 1) if whole else (out.shape[1], out.shape[2])
    bits = first.format.bits
    pixel = channels * bits
    terms = kernel[0] * kernel[1]
    line = not whole and kernel[1] <= LANES and kernel[0] * width * pixel <= 32 * BUFFER_WORDS
    gathered = terms * height * width * pixel / 32
    if line:
        counts["map_pieces"] = height
        per = max(kernel[0], kernel[1], (4 + kernel[1]) / 2)
    else:
        counts["map_pieces"] = height * width
        per = max(float(terms), 2.5)
    counts["map_gather"] = gathered + height * width * kernel[0] + 5 * counts["map_pieces"]
    counts["map_cycles"] = height * width * channels * per + 12 * counts["map_pieces"]
