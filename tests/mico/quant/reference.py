"""The integer program in plain Python integers, value by value: slow, independent of ``mico.quant.execute``."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.quant.integer import Format, IntegerModel, IntegerOp

Index = tuple[int, ...]
Values = dict[Index, int]


def requantise(acc: int, multiplier: int, shift: int, out: Format) -> int:
    """One rounding, half up; the sign for {-1, +1}."""
    if out.signed and out.bits == 1:
        return 1 if acc * multiplier >= 0 else -1
    low, high = (-(2 ** (out.bits - 1)), 2 ** (out.bits - 1) - 1) if out.signed else (0, 2**out.bits - 1)
    return min(max((acc * multiplier + 2 ** (shift - 1)) // 2**shift, low), high)


def run_all(model: IntegerModel, sample: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """Every tensor of *model* for one *sample* without batch axis."""
    tensors = {model.input: sample.astype(np.int64)}
    for op in model.ops:
        out = model.tensors[op.output]
        result = np.empty(out.shape, dtype=np.int64)
        for index in product(*map(range, out.shape)):
            result[index] = _value(op, index, [tensors[name] for name in op.inputs], out.format)
        tensors[op.output] = result
    return tensors


def _value(op: IntegerOp, index: Index, inputs: list[NDArray[np.int64]], out: Format) -> int:
    x = inputs[0]
    if op.kind == "max_pool":
        return max(_window(op, index, x))
    if op.kind == "flatten":
        return int(x.ravel()[index[0]])
    assert op.requant is not None
    m = [int(v) for v in op.requant.multiplier]
    s = [int(v) for v in op.requant.shift]
    if op.kind == "add":
        total = int(inputs[0][index]) * m[0] + int(inputs[1][index]) * m[1]
        return requantise(total, 1, s[0], out)
    if op.kind == "concat":
        channel, source = index[0], 0
        while channel >= inputs[source].shape[0]:
            channel -= inputs[source].shape[0]
            source += 1
        return requantise(int(inputs[source][(channel, *index[1:])]), m[source], s[source], out)
    if op.kind == "requant":
        return requantise(int(x[index]), m[0], s[0], out)
    if op.kind == "avg_pool":
        return requantise(sum(_window(op, index, x)), m[0], s[0], out)
    if op.kind == "global_avg_pool":
        return requantise(sum(int(v) for v in x[index[0]].ravel()), m[0], s[0], out)
    assert op.weight is not None
    acc = 0 if op.bias is None else int(op.bias[index[0]])
    weight = op.weight[index[0]]
    if op.kind == "linear":
        acc += sum(int(a) * int(w) for a, w in zip(x, weight, strict=True))
    else:
        assert op.kind == "conv2d"
        first = index[0] // (len(op.weight) // op.attrs["groups"]) * weight.shape[0]
        for c, i, j in product(*map(range, weight.shape)):
            row = index[1] * op.attrs["stride"][0] - op.attrs["padding"][0] + i
            column = index[2] * op.attrs["stride"][1] - op.attrs["padding"][1] + j
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                acc += int(x[first + c, row, column]) * int(weight[c, i, j])
    assert -(2**31) < acc < 2**31
    return requantise(acc, m[index[0]], s[index[0]], out)


def _window(op: IntegerOp, index: Index, x: NDArray[np.int64]) -> list[int]:
    """Values of *x* under the window of output *index*; padded positions are left out."""
    rows, columns = (
        [o * stride - padding + k for k in range(kernel)]
        for o, stride, padding, kernel in zip(
            index[1:], op.attrs["stride"], op.attrs["padding"], op.attrs["kernel"], strict=True
        )
    )
    return [int(x[index[0], r, c]) for r in rows for c in columns if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]]
