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
from mico.errors import MeasurementError, UsageError
from mico.graph import Graph, Layer
from mico.models.recipe import Recipe
from mico.quant.calibrate import Calibration
from mico.quant.fake import FakeQuantNet
from mico.quant.integer import IntegerModel
from mico.quant.lower import lower, weight_scale
from mico.quant.scheme import Scheme
from mico.train import INPUT_SCALE, Progress, batches, one_thread

__all__ = ["LR", "QatResult", "finetune"]

LR = 3e-3
"""Peak learning rate of weights and biases; scales get :data:`_SCALE_LR`. Measured: see README.md."""

_SCALE_LR = 1e-2
_WARMUP = 0.1
_SHIFT = 1  # pixels of augmentation
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
    lr: float = LR,
    batch_size: int = 128,
    weight_scales: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    progress: Progress | None = None,
) -> QatResult:
    """Train *graph* at the bits of *scheme* on the training split; on one thread, so that a seed decides the result.

    Parameters
    ----------
    graph, calibration
        Where training starts: the float network and its scales.
    steps
        Optimiser steps, of *batch_size* images each; the learning rate falls to zero over them.
    lr
        Peak learning rate of weights and biases.
    weight_scales
        Starting scales ``(OC,)`` by layer; layers that it leaves out start from those of least squared error.

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
    start = lower(graph, scheme, calibration, weight_scales)
    net = FakeQuantNet(graph, start, _starting_scales(graph, scheme, weight_scales or {}))
    with one_thread():
        _fit(net, dataset, steps, seed, Recipe(epochs=0, batch_size=batch_size, lr=lr, warmup=_WARMUP), progress)
    scales = net.scales()
    for name, scale in scales.items():
        calibration = calibration.with_scale(name, start.tensors[name].format.bits, scale)
    graph = replace(graph, layers=tuple(_retrained(layer, net) for layer in graph.layers))
    trained_scales = net.weight_scales()
    model = lower(graph, scheme, calibration, trained_scales)
    return QatResult(graph, calibration, trained_scales, model, steps, time.perf_counter() - started)


def _starting_scales(
    graph: Graph, scheme: Scheme, given: Mapping[str, NDArray[np.floating[Any]]]
) -> dict[str, NDArray[np.floating[Any]]]:
    scales: dict[str, NDArray[np.floating[Any]]] = {}
    for layer in graph.quantisable:
        assert layer.weight is not None
        known = given.get(layer.name)
        scales[layer.name] = weight_scale(layer.weight, scheme[layer.name].weight) if known is None else known
    return scales


def _fit(net: FakeQuantNet, dataset: Dataset, steps: int, seed: int, recipe: Recipe, progress: Progress | None) -> None:
    plain = [*net.weights.values(), *net.biases.values()]
    scales = [*net.log_weight_scales.values(), *net.log_scales.values()]
    optimiser = torch.optim.Adam([{"params": plain, "share": 1.0}, {"params": scales, "share": _SCALE_LR / LR}])
    stream = batches(dataset.train, recipe.batch_size, _SHIFT, np.random.default_rng(seed))
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
