"""Fake quantisation: an IntegerModel executed in float by torch, with gradients for weights and scales.

Values are those of the integers times their scales, so what this network answers is what the integers answer, up to
float rounding and the 31-bit multipliers. Gradients follow LSQ (Esser et al., "Learned step size quantization", 2020):
straight through inside the range, zero outside, and the step's own gradient, scaled by 1 / sqrt(N * Qp).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mico.errors import QuantError
from mico.graph import Graph, OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp

__all__ = ["FakeQuantNet", "fake_quantise"]

_SIGN_WINDOW = 3.0
"""A {-1, +1} value passes its gradient on while it is within so many scales of zero."""

_ZERO = 1e-5
"""Accumulators are often 0, whose sign is +1; their float imitation may be so many scales below."""


class _Multilevel(torch.autograd.Function):
    """``scale * clamp(floor(x / scale + 1/2), qmin, qmax)``: round half up, as the integers do."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, qmin: int, qmax: int, gradient_scale: float) -> Tensor:
        steps = x / scale
        levels = torch.floor(steps + 0.5).clamp_(qmin, qmax)
        ctx.save_for_backward(steps, levels, scale)
        ctx.range = (qmin, qmax, gradient_scale)
        return levels * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        steps, levels, scale = ctx.saved_tensors
        qmin, qmax, gradient_scale = ctx.range
        inside = (steps >= qmin) & (steps <= qmax)
        grad_x = grad * inside
        grad_scale = grad * levels - grad_x * steps
        return grad_x, grad_scale.sum_to_size(scale.shape) * gradient_scale, None, None, None


class _Sign(torch.autograd.Function):
    """``+scale`` where x >= -tolerance * scale, else ``-scale``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, tolerance: float, gradient_scale: float) -> Tensor:
        positive = x >= -tolerance * scale
        ctx.save_for_backward(positive, x.abs() <= _SIGN_WINDOW * scale, scale)
        ctx.gradient_scale = gradient_scale
        return torch.where(positive, scale, -scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        positive, near, scale = ctx.saved_tensors
        grad_scale = torch.where(positive, grad, -grad).sum_to_size(scale.shape)
        return grad * near, grad_scale * ctx.gradient_scale, None, None


class _RoundBias(torch.autograd.Function):
    """Bias rounded to the accumulator's scale; straight-through."""

    @staticmethod
    def forward(ctx: Any, bias: Tensor, scale: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        return torch.round(bias / scale) * scale

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        return grads[0], None


def fake_quantise(x: Tensor, scale: Tensor, form: Format, tolerance: float = 0.0) -> Tensor:
    """*x* on the grid of *form* with *scale*, differentiable in both.

    Parameters
    ----------
    x
        Any shape.
    scale
        Positive; a shape that broadcasts to that of *x*: ``()`` for a tensor, ``(OC, 1, ...)`` for weights.
    tolerance
        Values of a {-1, +1} tensor that are so many scales below zero still give +1.
    """
    gradient_scale = 1 / math.sqrt(x.numel() / scale.numel() * form.qmax)
    if form.binary:
        return _apply(_Sign, x, scale, tolerance, gradient_scale)
    return _apply(_Multilevel, x, scale, form.qmin, form.qmax, gradient_scale)


class FakeQuantNet(nn.Module):
    """The network of *integers* in float, with the float weights of *graph*.

    Parameters
    ----------
    graph
        Holds float weights and biases; its layers have the names of the operations.
    integers
        Gives operations, formats and scales: what this network computes is what ``integers`` would with these weights.
    weight_scales
        Starting scales ``(OC,)`` of the weights of every quantisable layer.

    Attributes
    ----------
    weights, biases
        Parameters by layer name.
    log_weight_scales, log_scales
        Logarithms of the weights' scales by layer, and of the activations' by tensor. A scale is trained as its
        logarithm: it stays positive, and an optimiser's step is relative. Tensors that max-pool or flatten hand on
        share one scale. The scales of the network's input and of narrower copies of it stay fixed: their gradient is
        the only reason to go back through the first convolution, and would cost more than all else.
    """

    def __init__(self, graph: Graph, integers: IntegerModel, weight_scales: Mapping[str, NDArray[np.floating]]) -> None:
        super().__init__()
        self._model = integers
        self._roots = _roots(integers)
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        self.log_weight_scales, self.log_scales = nn.ParameterDict(), nn.ParameterDict()
        for op in integers.ops:
            if op.weight is None:
                continue
            layer = graph[op.name]
            if layer.weight is None:
                raise QuantError("has no float weights", where=op.name)
            self.weights[op.name] = nn.Parameter(torch.tensor(layer.weight))
            if layer.bias is not None:
                self.biases[op.name] = nn.Parameter(torch.tensor(layer.bias))
            scale = torch.tensor(np.asarray(weight_scales[op.name], np.float32))
            self.log_weight_scales[op.name] = nn.Parameter(scale.log())
        copies = (op.output for op in integers.ops if op.kind == "requant" and op.inputs == (integers.input,))
        fixed = {integers.input, integers.output, *copies}
        for name in dict.fromkeys(self._roots.values()):
            if name not in fixed:
                self.log_scales[name] = nn.Parameter(torch.tensor(math.log(integers.tensors[name].scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Real logits ``(N, outputs)`` for pixels times the input's scale."""
        values = {self._model.input: x}  # not yet on their grid
        ready = {self._model.input: x}  # on their grid: what arithmetic reads

        def read(name: str) -> Tensor:
            if name not in ready:
                form = self._model.tensors[name].format
                ready[name] = fake_quantise(values[name], self._scale(name), form, _ZERO)
            return ready[name]

        for op in self._model.ops:
            # A monotone grid commutes with max-pool and flatten, so they pass raw values on: fewer to quantise.
            if op.kind is OpKind.MAX_POOL:
                window = (op.pair("kernel"), op.pair("stride"), op.pair("padding"))
                values[op.output] = functional.max_pool2d(values[op.inputs[0]], *window)
            elif op.kind is OpKind.FLATTEN:
                values[op.output] = values[op.inputs[0]].flatten(1)
            else:
                values[op.output] = self._arithmetic(op, [read(name) for name in op.inputs])
        return values[self._model.output].flatten(1)

    def weight_scales(self) -> dict[str, NDArray[np.float32]]:
        """Scales ``(OC,)`` of the weights by layer name."""
        return {name: _numpy(log.exp()) for name, log in self.log_weight_scales.items()}

    def scales(self) -> dict[str, float]:
        """Scales of the trained activation tensors by name."""
        return {name: float(log.detach().double().exp()) for name, log in self.log_scales.items()}

    def _scale(self, name: str) -> Tensor:
        root = self._roots[name]
        if root in self.log_scales:
            log: Tensor = self.log_scales[root]
            return log.exp()
        return torch.tensor(self._model.tensors[root].scale)

    def _arithmetic(self, op: IntegerOp, inputs: list[Tensor]) -> Tensor:
        match op.kind:
            case OpKind.CONV2D | OpKind.LINEAR:
                return self._weighted(op, inputs[0])
            case OpKind.ADD:
                return inputs[0] + inputs[1]
            case OpKind.CONCAT:
                return torch.cat(inputs, dim=1)
            case OpKind.AVG_POOL:
                return functional.avg_pool2d(inputs[0], op.pair("kernel"), op.pair("stride"), op.pair("padding"))
            case OpKind.GLOBAL_AVG_POOL:
                return inputs[0].mean((2, 3), keepdim=True)
            case "requant":
                return inputs[0]
        raise QuantError(f"operation {op.kind!r} cannot be trained", where=op.name)

    def _weighted(self, op: IntegerOp, x: Tensor) -> Tensor:
        assert op.weight_format is not None
        latent = self.weights[op.name]
        scale = self.log_weight_scales[op.name].exp()
        weight = fake_quantise(latent, scale.view(-1, *[1] * (latent.ndim - 1)), op.weight_format)
        bias = None
        if op.name in self.biases:
            accumulator = scale * self._scale(op.inputs[0])
            bias = _apply(_RoundBias, self.biases[op.name], accumulator.detach())
        if op.kind is OpKind.LINEAR:
            return functional.linear(x, weight, bias)
        return functional.conv2d(x, weight, bias, op.pair("stride"), op.pair("padding"), groups=op.number("groups"))


def _roots(model: IntegerModel) -> dict[str, str]:
    """For every tensor, the one whose scale it has: itself, or what max-pool and flatten hand on."""
    roots = {model.input: model.input}
    for op in model.ops:
        transparent = op.kind in (OpKind.MAX_POOL, OpKind.FLATTEN)
        roots[op.output] = roots[op.inputs[0]] if transparent else op.output
    return roots


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().numpy().astype(np.float32)
    return array
