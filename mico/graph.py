"""The network as a list of layers with their tensors: what torch.fx tracing yields and everything else reads.

Tensors are named; shapes leave out the batch and are channel first: ``(C, H, W)`` or ``(F,)``. Batch-norm is folded
into the convolution or linear layer before it. A ReLU is folded into the layer that produces its input
(``Layer.relu``; through max-pool and flatten, with which it commutes) where that layer has no other consumer; otherwise
it is a layer of its own. A global average pool yields ``(C, 1, 1)``; where the network goes on without the two axes, a
flatten follows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Graph", "Layer", "OpKind"]

Shape = tuple[int, ...]


class OpKind(StrEnum):
    """Operations that the product supports."""

    CONV2D = "conv2d"
    LINEAR = "linear"
    MAX_POOL = "max_pool"
    AVG_POOL = "avg_pool"
    GLOBAL_AVG_POOL = "global_avg_pool"
    ADD = "add"
    CONCAT = "concat"
    FLATTEN = "flatten"
    RELU = "relu"


@dataclass(frozen=True)
class Layer:
    """One operation.

    Attributes
    ----------
    name
        Unique, from the module's path (``features.0`` becomes ``features_0``); a C identifier.
    kind
        The operation.
    inputs
        Names of the input tensors, in order. A tensor is named after the layer that produces it; the network's input
        is ``"input"``.
    in_shapes, out_shape
        Shapes without batch, channel first.
    attrs
        ``conv2d``: kernel, stride, padding (pairs, H then W), groups. Pools: kernel, stride, padding. ``concat`` joins
        channels (axis 0 without batch) and ``flatten`` runs over (C, H, W); neither has attributes.
    weight, bias
        Float32; conv2d ``(OC, IC // groups, KH, KW)``, linear ``(OUT, IN)``; bias ``(OC,)`` or None.
    relu
        A ReLU is applied to the output.
    module
        Dotted path of the torch module it came from, for messages.
    """

    name: str
    kind: OpKind
    inputs: tuple[str, ...]
    in_shapes: tuple[Shape, ...]
    out_shape: Shape
    attrs: Mapping[str, tuple[int, int] | int] = field(default_factory=dict)
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    relu: bool = False
    module: str = ""

    @property
    def quantisable(self) -> bool:
        """Whether a Scheme gives it bits: convolution and linear layers."""
        return self.kind in (OpKind.CONV2D, OpKind.LINEAR)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample, padding included; 0 for layers without weights."""
        if self.weight is None:
            return 0
        positions = int(np.prod(self.out_shape[1:])) if self.kind is OpKind.CONV2D else 1
        return int(self.weight.size) * positions

    def pair(self, name: str) -> tuple[int, int]:
        """Attribute *name* as (H, W)."""
        value = self.attrs[name]
        return (value, value) if isinstance(value, int) else value

    def number(self, name: str) -> int:
        """Attribute *name* as one integer."""
        value = self.attrs[name]
        if not isinstance(value, int):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not one integer")
        return value


@dataclass(frozen=True)
class Graph:
    """A network: layers in execution order. The last layer's output is the network's output."""

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]

    @property
    def quantisable(self) -> tuple[Layer, ...]:
        """Layers that a Scheme gives bits, in network order."""
        return tuple(layer for layer in self.layers if layer.quantisable)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of the quantisable layers, in network order: the keys of a Scheme."""
        return tuple(layer.name for layer in self.quantisable)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    def __getitem__(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def output(self) -> str:
        """Name of the network's output tensor."""
        return self.layers[-1].name

    def shape(self, tensor: str) -> Shape:
        """Shape of *tensor*, without batch."""
        return self.input_shape if tensor == "input" else self[tensor].out_shape

    def digest(self) -> str:
        """Hex SHA-256 over structure and float parameters."""
        digest = hashlib.sha256(repr((self.name, self.input_shape)).encode())
        for layer in self.layers:
            attrs = sorted(layer.attrs.items())
            digest.update(
                repr((layer.name, str(layer.kind), layer.inputs, layer.out_shape, attrs, layer.relu)).encode()
            )
            for array in (layer.weight, layer.bias):
                digest.update(b"-" if array is None else np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()

    def consumers(self, tensor: str) -> tuple[Layer, ...]:
        """Layers that read *tensor*."""
        return tuple(layer for layer in self.layers if tensor in layer.inputs)
