"""The Graph computed in floating point with torch: what tracing is checked against and what calibration looks at."""

from __future__ import annotations

import torch
from torch.nn import functional

from mico.graph import Graph, Layer, OpKind

__all__ = ["compute", "evaluate"]


def evaluate(graph: Graph, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Every tensor of *graph* on the real-valued input *x* ``(N, C, H, W)``, computed in the precision of *x*.

    Returns
    -------
    Dict from tensor name to ``(N, ...)``, ``"input"`` included; the network's output is ``graph.output``.
    """
    values = {"input": x}
    with torch.no_grad():
        for layer in graph.layers:
            result = compute(layer, [values[name] for name in layer.inputs])
            values[layer.name] = functional.relu(result) if layer.relu else result
    return values


def compute(layer: Layer, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Output of *layer*, before its ReLU, in the precision of its *inputs*."""
    x = inputs[0]
    weight = None if layer.weight is None else torch.from_numpy(layer.weight).to(x.dtype)
    bias = None if layer.bias is None else torch.from_numpy(layer.bias).to(x.dtype)
    match layer.kind:
        case OpKind.CONV2D:
            assert weight is not None
            stride, padding, groups = layer.pair("stride"), layer.pair("padding"), layer.number("groups")
            return functional.conv2d(x, weight, bias, stride, padding, groups=groups)
        case OpKind.LINEAR:
            assert weight is not None
            return functional.linear(x, weight, bias)
        case OpKind.MAX_POOL:
            return functional.max_pool2d(x, layer.pair("kernel"), layer.pair("stride"), layer.pair("padding"))
        case OpKind.AVG_POOL:
            return functional.avg_pool2d(x, layer.pair("kernel"), layer.pair("stride"), layer.pair("padding"))
        case OpKind.GLOBAL_AVG_POOL:
            return x.mean(dim=(2, 3)).reshape(len(x), *layer.out_shape)
        case OpKind.ADD:
            return x + inputs[1]
        case OpKind.CONCAT:
            return torch.cat(inputs, dim=1)
        case OpKind.FLATTEN:
            return x.flatten(1)
        case OpKind.RELU:
            return functional.relu(x)
