"""Weights refined on the calibration images: compensated rounding, then bias and spread of every output corrected.

Every layer by itself, on the float network's inputs: what becomes of it depends on its own bits only, so that schemes
can share layers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch.nn import functional

from mico.evaluate import compute
from mico.graph import Graph, Layer, OpKind
from mico.quant.calibrate import Calibration
from mico.quant.integer import Format
from mico.quant.lower import weight_scale
from mico.quant.refined import Refined
from mico.quant.rounding import Array, Moments, compensated, fitting_scale, nearest
from mico.quant.scheme import BITS

__all__ = ["refine"]

_ROWS = 1 << 13  # positions looked at per layer
_VALUES = 1 << 21  # of all groups and inputs together, for the rows of one layer
_ROWS_PER_INPUT = 8  # at least, whatever they hold
_SPREAD_ROWS = 1 << 11
_BATCH = 32
_GAIN = 4.0  # a spread is corrected by at most this


def refine(graph: Graph, calibration: Calibration, images: NDArray[Any], seed: int = 0) -> Calibration:
    """*calibration* with refined weights of every layer.

    Parameters
    ----------
    images
        Those that *calibration* was made with.
    seed
        Draws the positions that are looked at.
    """
    with threadpool_limits(1):  # sums in the same order however many cores there are
        return replace(calibration, refined=_walk(graph, calibration, images, np.random.default_rng(seed)))


def _walk(graph: Graph, calibration: Calibration, images: NDArray[Any], rng: np.random.Generator) -> dict[str, Refined]:
    last_use = {name: index for index, layer in enumerate(graph.layers) for name in layer.inputs}
    values: dict[str, NDArray[np.float32]] = {"input": (images * calibration.input_scale).astype(np.float32)}
    refined: dict[str, Refined] = {}
    for index, layer in enumerate(graph.layers):
        inputs = [values[name] for name in layer.inputs]
        if layer.quantisable:
            rows = _rows(layer, inputs[0], rng)
            refined[layer.name] = _refined(layer, rows, calibration)
        values[layer.name] = _computed(layer, inputs)
        for name in [name for name in values if last_use.get(name, -1) <= index]:
            del values[name]
    return refined


def _computed(layer: Layer, inputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Output, in float64 arithmetic: so that it does not depend on the order in which a machine sums."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(inputs[0]), _BATCH):
            result = compute(layer, [torch.from_numpy(x[start : start + _BATCH]).double() for x in inputs])
            parts.append((functional.relu(result) if layer.relu else result).float().numpy())
    return np.concatenate(parts)


def _rows(layer: Layer, x: NDArray[np.float32], rng: np.random.Generator) -> Array:
    """What weights are multiplied with, ``(G, rows, K)``: equally many positions of every image; NaN in padding."""
    if layer.kind is OpKind.LINEAR:
        return x.reshape(1, len(x), -1).astype(np.float64)
    assert layer.weight is not None
    groups, width = layer.number("groups"), int(np.prod(layer.weight.shape[1:]))
    positions = int(np.prod(layer.out_shape[1:]))
    rows = min(_ROWS, max(_VALUES // (groups * width), _ROWS_PER_INPUT * width))
    each = min(positions, -(-rows // len(x)))
    (top, left), (down, right) = layer.pair("padding"), layer.pair("stride")
    picked = np.argsort(rng.random((len(x), positions)), axis=1)[:, :each]
    parts = []
    for start in range(0, len(x), _BATCH):
        edges = ((0, 0), (0, 0), (top, top), (left, left))
        padded = np.pad(x[start : start + _BATCH], edges, constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, layer.weight.shape[2:], axis=(2, 3))
        row, column = np.divmod(picked[start : start + _BATCH], layer.out_shape[2])
        part = windows[np.arange(len(padded))[:, None], :, row * down, column * right]  # (images, each, C, KH, KW)
        parts.append(part.reshape(-1, groups, width).transpose(1, 0, 2))
    return np.concatenate(parts, axis=1).astype(np.float64)


def _refined(layer: Layer, rows: Array, calibration: Calibration) -> Refined:
    assert layer.weight is not None
    groups, outside = len(rows), np.isnan(rows)
    rows[outside] = 0.0
    weight = layer.weight.astype(np.float64).reshape(groups, len(layer.weight) // groups, -1)
    moments = Moments(rows - rows.mean(axis=1, keepdims=True))  # the mean of an error is the bias's to correct
    scales = {8: np.stack([weight_scale(w, 8) for w in weight])}
    integers = {8: nearest(weight, scales[8][:, :, None], 8).astype(np.int8)}
    for bits in BITS:
        if bits < 8:
            scales[bits] = fitting_scale(weight, moments, bits)
            integers[bits] = compensated(weight, moments, scales[bits], bits)
    rounded = {w: integers[w] * scales[w][:, :, None] for w in BITS}
    gains, shifts = {}, {}
    sample = slice(None, None, -(-rows.shape[1] // _SPREAD_ROWS))
    spread = _spread(rows[:, sample], weight)
    for a in BITS:
        form = Format(a, calibration.signed(layer.inputs[0]))
        read = _read(rows, outside, form, calibration.scale(layer.inputs[0], a))
        for w in BITS:
            gain = _ratio(spread, _spread(read[:, sample], rounded[w]))
            mean = (
                weight @ rows.mean(axis=1)[:, :, None] - gain[:, :, None] * rounded[w] @ read.mean(axis=1)[:, :, None]
            )[:, :, 0]
            gains[w, a], shifts[w, a] = scales[w] * gain, mean
    return Refined(
        {bits: array.reshape(layer.weight.shape) for bits, array in integers.items()},
        {pair: scale.reshape(-1).astype(np.float32) for pair, scale in gains.items()},
        {pair: shift.reshape(-1).astype(np.float32) for pair, shift in shifts.items()},
    )


def _read(rows: Array, outside: NDArray[np.bool_], form: Format, scale: float) -> Array:
    """*rows* as the layer reads them; padding contributes nothing, also where there is no zero."""
    if form.binary:
        return np.where(outside, 0.0, np.where(rows >= 0, scale, -scale))
    return np.clip(np.floor(rows / scale + 0.5), form.qmin, form.qmax) * scale


def _spread(rows: Array, weight: Array) -> Array:
    """Standard deviation ``(G, O)`` of the outputs."""
    spread: Array = (rows @ weight.transpose(0, 2, 1)).std(axis=1)
    return spread


def _ratio(wanted: Array, have: Array) -> Array:
    """*wanted* over *have* within limits; 1 where an output hardly varies."""
    varies = have > 1e-6 * max(float(have.max()), 1e-30)
    return np.where(varies, np.clip(wanted / np.where(varies, have, 1.0), 1 / _GAIN, _GAIN), 1.0)
