"""Cross-layer equalisation: the channels of a tensor brought to one range, without changing the float network.

A tensor has one scale for all of its channels. Where only convolutions and linear layers read it, a channel can be
divided by any positive number in the layer that makes it and its readers' weights be multiplied by it. After Nagel et
al., "Data-free quantization through weight equalization and bias correction", 2019. Weights have a scale per output
channel here, so where all readers are depthwise convolutions both sides are free: nothing but the tensor's own error
changes. Other readers' weights would get larger differences within a channel; that is left out (see README.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mico.data.dataset import spread
from mico.evaluate import evaluate
from mico.graph import Graph, Layer, OpKind
from mico.quant.calibrate import calibrate
from mico.quant.lower import lower
from mico.quant.scheme import Scheme

__all__ = ["depthwise_readers", "equalise", "equalised"]

Array = NDArray[np.float64]

_PASSING = (OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.RELU)
"""Operations that scale with their input, channel by channel."""

_LIMIT = 64.0  # no channel is stretched by more
_IMAGES = 64
_BITS = 8, 4
"""Of weights and activations where it is decided: what is at stake is the activations'."""


def equalise(
    graph: Graph, images: NDArray[Any], *, input_scale: float = 1 / 255, input_signed: bool = False, seed: int = 0
) -> Graph:
    """The equalised *graph*, or *graph* itself where its logits' error on *images* is no smaller at 4-bit activations.

    Parameters, errors: as :func:`mico.quant.calibrate.calibrate`.
    """
    if not any(depthwise_readers(graph, layer) for layer in graph.quantisable):
        return graph
    some = images[spread(len(images), _IMAGES)]
    scheme = Scheme.uniform(graph.layer_names, *_BITS)
    expected = evaluate(graph, torch.from_numpy(some * input_scale))[graph.output].numpy().reshape(len(some), -1)

    def error(candidate: Graph) -> float:
        found = calibrate(candidate, some, input_scale=input_scale, input_signed=input_signed, seed=seed)
        model = lower(candidate, scheme, found)
        return float(((model.run(some) * model.tensors[model.output].scale - expected) ** 2).mean())

    return min((graph, equalised(graph, some, input_scale)), key=error)


def depthwise_readers(graph: Graph, producer: Layer) -> list[str]:
    """Who reads the output of *producer*, where all are depthwise convolutions; else nobody."""
    found: list[str] = []
    pending = [producer.name]
    while pending:
        tensor = pending.pop()
        if tensor == graph.output:
            return []
        for consumer in graph.consumers(tensor):
            if _depthwise(consumer):
                found.append(consumer.name)
            elif consumer.kind in _PASSING:
                pending.append(consumer.name)
            else:
                return []
    return found


def equalised(graph: Graph, images: NDArray[Any], input_scale: float) -> Graph:
    """*graph* in which all channels of every tensor that depthwise convolutions read reach equally far on *images*."""
    values = evaluate(graph, torch.from_numpy(images * input_scale))
    changed: dict[str, Layer] = {}
    for producer in graph.quantisable:
        found = depthwise_readers(graph, producer)
        if not found:
            continue
        factors = _factors(values[producer.name].abs().transpose(0, 1).flatten(1).amax(1).numpy())
        changed[producer.name] = _scaled(changed.get(producer.name, producer), 1 / factors, bias=True)
        for name in found:
            changed[name] = _scaled(changed.get(name, graph[name]), factors, bias=False)
    return replace(graph, layers=tuple(changed.get(layer.name, layer) for layer in graph.layers))


def _depthwise(layer: Layer) -> bool:
    if layer.kind is not OpKind.CONV2D or layer.weight is None:
        return False
    return layer.weight.shape[1] == 1 and layer.number("groups") == len(layer.weight)


def _factors(ranges: Array) -> Array:
    """What every channel is divided by, of their ranges ``(C,)``."""
    reached = ranges > 0
    if not reached.any():
        return np.ones(len(ranges))
    usual = np.exp(np.log(ranges[reached]).mean())
    return np.where(reached, np.clip(ranges / usual, 1 / _LIMIT, _LIMIT), 1.0)


def _scaled(layer: Layer, factors: Array, *, bias: bool) -> Layer:
    """Every output channel's weights times its factor, and the bias too where *bias*."""
    assert layer.weight is not None
    weight = (layer.weight * factors.reshape(-1, *[1] * (layer.weight.ndim - 1))).astype(np.float32)
    if layer.bias is None or not bias:
        return replace(layer, weight=weight)
    return replace(layer, weight=weight, bias=(layer.bias * factors).astype(np.float32))
