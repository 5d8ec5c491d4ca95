"""Activation scales from a small unlabelled set: per tensor and bit width, the clipped scale of least squared error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mico.errors import QuantError, UsageError
from mico.evaluate import evaluate
from mico.graph import Graph, OpKind
from mico.quant.integer import Format
from mico.quant.refined import Refined
from mico.quant.scheme import BITS

__all__ = ["TRANSPARENT", "Calibration", "calibrate", "mse_scale"]

TRANSPARENT = (OpKind.MAX_POOL, OpKind.FLATTEN)
"""Operations that hand on the format and scale of their input, and the demand for bits of their consumers."""

_SAMPLES = 1 << 17  # values looked at per tensor
_BINS = 2048
_BATCH = 64  # images computed at a time
_UNUSED_SCALE = 1 / 256  # of a tensor that is zero throughout: any positive number


@dataclass(frozen=True)
class Calibration:
    """Scale of every tensor at every width, and whether it can be negative.

    Attributes
    ----------
    scales
        By tensor, then by bits. Besides the tensors of the Graph, ``L__in`` for every quantisable layer L: the scale of
        the copy of its input that is made where L asks for fewer bits than the tensor has.
    signs
        By tensor (as in *scales*): whether it can be negative.
    roots
        Max-pool and flatten hand the scale of their input on: for every tensor the one whose scale it has.
    input_scale
        Real value of 1 in the network's 8-bit input.
    refined
        By quantisable layer: weights refined on the calibration images (:func:`mico.quant.refine.refine`), which
        :func:`mico.quant.lower.lower` takes; layers without an entry are rounded to the nearest.
    """

    scales: Mapping[str, Mapping[int, float]]
    signs: Mapping[str, bool]
    roots: Mapping[str, str]
    input_scale: float
    refined: Mapping[str, Refined] = field(default_factory=dict)

    def scale(self, tensor: str, bits: int) -> float:
        """Scale of *tensor* at *bits*."""
        return self.scales[self._root(tensor)][bits]

    def signed(self, tensor: str) -> bool:
        """Whether *tensor* can be negative."""
        return self.signs[self._root(tensor)]

    def with_scale(self, tensor: str, bits: int, scale: float) -> Calibration:
        """A copy in which *tensor*, and all that share its scale, have *scale* at *bits*."""
        root = self._root(tensor)
        if bits not in BITS or not (scale > 0 and np.isfinite(scale)):
            raise QuantError(f"{scale} at {bits} bits is not a scale", where=f"tensor {tensor}")
        if root == "input" and bits == 8 and scale != self.input_scale:
            raise QuantError("the scale of the 8-bit input is given, not chosen", where="tensor input")
        return replace(self, scales={**self.scales, root: {**self.scales[root], bits: float(scale)}})

    def digest(self) -> str:
        """Hex SHA-256 of all scales, signs and refined weights."""
        parts = [self._scales_to_json(), {name: refined.digest() for name, refined in self.refined.items()}]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON types only; floats keep all their bits."""
        return {**self._scales_to_json(), "refined": {name: item.to_json() for name, item in self.refined.items()}}

    def _scales_to_json(self) -> dict[str, Any]:
        return {
            "scales": {name: {str(bits): s for bits, s in scales.items()} for name, scales in self.scales.items()},
            "signs": dict(self.signs),
            "roots": dict(self.roots),
            "input_scale": self.input_scale,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Inverse of :meth:`to_json`."""
        try:
            scales = {n: {int(bits): float(s) for bits, s in row.items()} for n, row in data["scales"].items()}
            signs = {n: bool(s) for n, s in data["signs"].items()}
            roots = {n: str(r) for n, r in data["roots"].items()}
            refined = {n: Refined.from_json(item) for n, item in data["refined"].items()}
            return cls(scales, signs, roots, float(data["input_scale"]), refined)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"not a calibration: {error!r}", cure="write it with Calibration.to_json") from error

    def _root(self, tensor: str) -> str:
        try:
            return self.roots[tensor]
        except KeyError:
            raise QuantError("was not calibrated", where=f"tensor {tensor}",
                             cure="calibrate the graph that is lowered") from None  # fmt: skip


def calibrate(
    graph: Graph,
    images: NDArray[Any],
    *,
    input_scale: float = 1 / 255,
    input_signed: bool = False,
    seed: int = 0,
) -> Calibration:
    """Find the scales of every tensor of *graph*.

    Parameters
    ----------
    images
        ``(N, C, H, W)``, raw uint8 (int8 with *input_signed*); a few hundred, labels are not needed.
    input_scale
        Real value of 1 in *images*: the network was trained on ``images * input_scale``.
    seed
        Draws the values that are looked at where a tensor has many.

    Raises
    ------
    UsageError
        *images* have another shape or type.
    QuantError
        A tensor is not finite.
    """
    dtype = np.int8 if input_signed else np.uint8
    if images.dtype != dtype or images.shape[1:] != graph.input_shape or len(images) == 0:
        raise UsageError(
            f"calibration needs {np.dtype(dtype)} images of shape (N, {', '.join(map(str, graph.input_shape))}), "
            f"not {images.dtype} {images.shape}",
            cure="pass the raw 8-bit values",
        )
    if not (input_scale > 0 and np.isfinite(input_scale)):
        raise UsageError(f"input_scale must be positive, not {input_scale}")
    roots = _roots(graph)
    signs = _signs(graph, input_signed)
    scales = {
        root: {bits: mse_scale(seen, Format(bits, signs[root])) for bits in BITS}
        for root, seen in _sample(graph, images * input_scale, roots, np.random.default_rng(seed)).items()
    }
    scales["input"][8] = float(input_scale)
    for layer in graph.quantisable:
        copy, source = f"{layer.name}__in", roots[layer.inputs[0]]
        roots[copy], signs[copy], scales[copy] = copy, signs[source], scales[source]
    return Calibration(scales, signs, roots, float(input_scale))


def _sample(
    graph: Graph, x: NDArray[np.float64], roots: Mapping[str, str], rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Values that are read of every root: all, or as many as are looked at, drawn evenly from all batches.

    In float64, so that the scales do not depend on the order in which a machine sums.
    """
    read = {root: _read(graph, roots, root) for root in dict.fromkeys(roots.values())}
    parts: dict[str, list[NDArray[np.float64]]] = {root: [] for root in read}
    starts = range(0, len(x), _BATCH)
    for start in starts:
        values = evaluate(graph, torch.from_numpy(x[start : start + _BATCH]))
        for root, names in read.items():
            seen = np.concatenate([values[name].numpy().ravel() for name in names])
            if not np.isfinite(seen).all():
                raise QuantError("is not finite on the calibration images", where=f"tensor {root}")
            share = -(-_SAMPLES // len(starts))
            parts[root].append(seen if len(seen) <= share else seen[rng.integers(len(seen), size=share)])
    return {root: np.concatenate(drawn) for root, drawn in parts.items()}


def mse_scale(values: NDArray[np.floating], form: Format) -> float:
    """The scale for which *values*, any shape, rounded and clamped to *form*, have the least squared error."""
    magnitudes = np.abs(values)
    top = float(magnitudes.max(initial=0.0))
    if top == 0.0:
        return _UNUSED_SCALE
    if form.binary:
        return float(np.float32(magnitudes.mean()))
    counts, edges = np.histogram(values, bins=_BINS)
    centres = (edges[:-1] + edges[1:])[counts > 0] / 2
    weights = counts[counts > 0].astype(np.float64)

    def error(scale: float) -> float:
        difference = np.clip(np.floor(centres / scale + 0.5), form.qmin, form.qmax) * scale - centres
        return float(weights @ (difference * difference))

    widest = top / form.qmax * 1.05
    coarse = min(widest * np.geomspace(0.02, 1.0, 41), key=error)
    return float(np.float32(min(coarse * np.linspace(0.95, 1.05, 15), key=error)))


def _roots(graph: Graph) -> dict[str, str]:
    roots = {"input": "input"}
    for layer in graph.layers:
        roots[layer.name] = roots[layer.inputs[0]] if layer.kind in TRANSPARENT else layer.name
    return roots


def _read(graph: Graph, roots: Mapping[str, str], root: str) -> list[str]:
    """Tensors with the scale of *root* that an operation other than max-pool or flatten reads, or nobody does."""
    family = [name for name, r in roots.items() if r == root]
    return [
        name
        for name in family
        if any(c.kind not in TRANSPARENT for c in graph.consumers(name)) or not graph.consumers(name)
    ]


def _signs(graph: Graph, input_signed: bool) -> dict[str, bool]:
    signs = {"input": input_signed}
    for layer in graph.layers:
        can_be_negative = layer.quantisable or any(signs[name] for name in layer.inputs)
        signs[layer.name] = can_be_negative and not layer.relu and layer.kind is not OpKind.RELU
    return signs
