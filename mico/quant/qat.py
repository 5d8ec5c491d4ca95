"""LSQ-style quantisation-aware training of a Graph, for layers below 4 bits.

Weights, biases and scales are trained together, through a float imitation of exactly the integers that ``lower`` makes
(``fake.py``). The result is again a Graph with a Calibration, and the weights' scales: what ``lower`` takes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mico.data import Dataset
from mico.device import device_of, on_device
from mico.errors import MeasurementError, UsageError
from mico.graph import Graph, Layer
from mico.models.recipe import Recipe
from mico.quant.calibrate import Calibration
from mico.quant.fake import FakeQuantNet
from mico.quant.integer import Format, IntegerModel
from mico.quant.lower import lower, require_layers, weight_scale
from mico.quant.scheme import Scheme
from mico.train import INPUT_SCALE, Progress, batches, one_thread

__all__ = ["LR", "REFINED_LR", "QatResult", "finetune", "start_at"]

LR = 3e-3
"""Peak learning rate of weights and biases; scales get 3.3 times as much. Measured: see README.md."""

REFINED_LR = 1e-3
"""The same from refined weights: they are near their goal, and more leads them away first."""

_SCALES_SHARE = 10 / 3
_WARMUP = 0.1
_SHIFT = 1  # pixels of augmentation, where nothing else is asked for
_EDGE = 0.05  # of a scale: so far from the edge of its integer a weight starts at least
_REPORT_EVERY = 25


@dataclass(frozen=True)
class QatResult:
    """What training changed.

    Attributes
    ----------
    graph
        With new float weights and biases.
    calibration
        With the trained activation scales, at the bits of the scheme.
    weight_scales
        Trained scales ``(OC,)`` by layer.
    model
        The three lowered: the integers that were trained.
    steps
        Optimiser steps taken.
    seconds
        Wall time.
    """

    graph: Graph
    calibration: Calibration
    weight_scales: dict[str, NDArray[np.float32]]
    model: IntegerModel
    steps: int
    seconds: float


def finetune(
    graph: Graph,
    scheme: Scheme,
    calibration: Calibration,
    dataset: Dataset,
    *,
    steps: int,
    seed: int = 0,
    lr: float | None = None,
    batch_size: int = 128,
    shift: int = _SHIFT,
    flip: bool = False,
    weight_scales: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    progress: Progress | None = None,
    device: str | None = None,
) -> QatResult:
    """Train *graph* at the bits of *scheme* on the training split; on one thread, so that a seed decides the result.

    Parameters
    ----------
    graph, calibration
        Where training starts: the float network and its scales. With refined weights it starts at exactly their
        integers, every float weight moved no further than that takes.
    steps
        Optimiser steps, of *batch_size* images each; the learning rate falls to zero over them.
    lr
        Peak learning rate of weights and biases; by default :data:`REFINED_LR` where *calibration* has refined weights,
        else :data:`LR`.
    shift, flip
        Augmentation, as in :class:`mico.models.recipe.Recipe`.
    weight_scales
        Starting scales ``(OC,)`` by layer; layers that it leaves out start from those of least squared error.
    device
        As :func:`mico.device.device_of`.

    Raises
    ------
    UsageError
        Fewer than one step, or a calibration whose input is not pixels / 255.
    QuantError
        As :func:`mico.quant.lower.lower`.
    MeasurementError
        The loss became infinite or not a number.
    """
    if steps < 1:
        raise UsageError(f"training needs at least one step, not {steps}")
    if calibration.input_scale != INPUT_SCALE:
        raise UsageError(
            f"the input's scale is {calibration.input_scale}", cure=f"training feeds pixels * {INPUT_SCALE}"
        )
    started = time.perf_counter()
    if lr is None:
        lr = REFINED_LR if calibration.refined else LR
    graph, starting_scales = start_at(graph, scheme, calibration, weight_scales or {})
    calibration = replace(calibration, refined={})
    start = lower(graph, scheme, calibration, starting_scales)
    net = FakeQuantNet(graph, start, starting_scales)
    recipe = Recipe(epochs=0, batch_size=batch_size, lr=lr, warmup=_WARMUP, shift=shift, flip=flip)
    with one_thread(), on_device(net, device_of(device)):
        _fit(net, dataset, steps, seed, recipe, progress)
    scales = net.scales()
    for name, scale in scales.items():
        calibration = calibration.with_scale(name, start.tensors[name].format.bits, scale)
    graph = replace(graph, layers=tuple(_retrained(layer, net) for layer in graph.layers))
    trained_scales = net.weight_scales()
    model = lower(graph, scheme, calibration, trained_scales)
    return QatResult(graph, calibration, trained_scales, model, steps, time.perf_counter() - started)


def start_at(
    graph: Graph, scheme: Scheme, calibration: Calibration, given: Mapping[str, NDArray[np.floating[Any]]]
) -> tuple[Graph, dict[str, NDArray[np.floating[Any]]]]:
    """*graph* with weights that round to the nearest where the refined ones are, and their scales by layer.

    Layers with *given* scales, and those that are not refined, keep their weights.
    """
    require_layers(graph, scheme)
    scales: dict[str, NDArray[np.floating[Any]]] = {}
    layers = []
    for layer in graph.layers:
        refined = calibration.refined.get(layer.name)
        if layer.weight is not None and layer.quantisable:
            bits = scheme[layer.name]
            if layer.name in given:
                scales[layer.name] = given[layer.name]
            elif refined is None:
                scales[layer.name] = weight_scale(layer.weight, bits.weight)
            else:
                pair = (bits.weight, bits.activation)
                scales[layer.name] = refined.scales[pair]
                weight = _within(layer.weight, refined.integers[bits.weight], refined.scales[pair], bits.weight)
                shift = refined.shifts[pair]
                layer = replace(layer, weight=weight, bias=shift if layer.bias is None else layer.bias + shift)
        layers.append(layer)
    return replace(graph, layers=tuple(layers)), scales


def _within(
    weight: NDArray[np.float32], integers: NDArray[np.int8], scale: NDArray[np.float32], bits: int
) -> NDArray[np.float32]:
    """*weight*, moved to where it is rounded to *integers*."""
    form = Format(bits, True)
    column = scale.reshape(-1, *[1] * (weight.ndim - 1))
    if form.binary:
        signed = np.where(integers > 0, np.maximum(weight, _EDGE * column), np.minimum(weight, -_EDGE * column))
        return np.asarray(signed, np.float32)
    low = np.where(integers == form.qmin, -np.inf, integers - 0.5 + _EDGE) * column
    high = np.where(integers == form.qmax, np.inf, integers + 0.5 - _EDGE) * column
    moved: NDArray[np.float32] = np.clip(weight, low, high).astype(np.float32)
    return moved


def _fit(net: FakeQuantNet, dataset: Dataset, steps: int, seed: int, recipe: Recipe, progress: Progress | None) -> None:
    plain = [*net.weights.values(), *net.biases.values()]
    scales = [*net.log_weight_scales.values(), *net.log_scales.values()]
    optimiser = torch.optim.Adam([{"params": plain, "share": 1.0}, {"params": scales, "share": _SCALES_SHARE}])
    stream = batches(dataset.train, recipe.batch_size, recipe.shift, np.random.default_rng(seed), recipe.flip)
    total, since = 0.0, 0
    for step in range(steps):
        x, y = next(stream)
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr_at(step, steps) * group["share"]
        loss = functional.cross_entropy(net(x), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total, since = total + float(loss.detach()), since + 1
        if since == _REPORT_EVERY or step == steps - 1:
            if not np.isfinite(total):
                raise MeasurementError(f"the loss is {total} at step {step}", cure="lower lr")
            if progress is not None:
                progress(step + 1, steps, total / since)
            total, since = 0.0, 0


def _retrained(layer: Layer, net: FakeQuantNet) -> Layer:
    if not layer.quantisable:
        return layer
    weight = net.weights[layer.name].detach().numpy().copy()
    bias = net.biases[layer.name].detach().numpy().copy() if layer.name in net.biases else None
    return replace(layer, weight=weight, bias=bias)
