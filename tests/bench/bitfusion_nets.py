"""The benchmark networks of the public BitFusion simulator as integer programs: shapes and bits as published.

Sharma et al., ISCA 2018, and the layer lists of the public simulator (hsharma35/bitfusion): AlexNet and ResNet-18 at
twice their width, every pool 2x2 with stride 2. Cycles do not depend on values, so weights are ones that share a byte.
Two things differ from our own networks: inputs arrive at the published bits (2 and 4 among them), and layers without a
published output width (the last ones) write int32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

__all__ = ["NETS", "PUBLISHED", "Net"]

PUBLISHED = {
    "alexnet-2x": 37_666_491,
    "svhn": 1_317_523,
    "cifar10": 3_293_704,
    "lenet5": 410_352,
    "vgg7": 2_822_491,
    "resnet18-2x": 49_079_982,
    "rnn": 394_583,
    "lstm": 337_175,
}
"""Cycles of the public simulator: batch 16, 16 x 32 units, 192 bit a cycle."""


@dataclass
class Net:
    """Builds an IntegerModel layer by layer; every method returns the name of the tensor that it writes."""

    name: str
    input_shape: tuple[int, ...]
    input_bits: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    ops: list[IntegerOp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tensor("x", self.input_shape, self.input_bits)

    def _tensor(self, name: str, shape: tuple[int, ...], bits: int | None) -> str:
        form = Format(32, True) if bits is None else Format(bits, False)
        self.tensors[name] = Tensor(name, shape, form, 1.0)
        return name

    def conv(
        self,
        name: str,
        source: str,
        out: int,
        kernel: int,
        wgt: int,
        act: int | None,
        *,
        stride: int = 1,
        pad: bool = True,
    ) -> str:
        """Convolution, padded so that stride 1 keeps the size unless *pad* is false."""
        channels, height, width = self.tensors[source].shape
        padding = kernel // 2 if pad else 0
        shape = (out, *((n + 2 * padding - kernel) // stride + 1 for n in (height, width)))
        attrs: dict[str, tuple[int, int] | int] = {
            "stride": (stride, stride),
            "padding": (padding, padding),
            "groups": 1,
        }
        weight = ones((out, channels, kernel, kernel))
        return self._weighted(name, OpKind.CONV2D, source, weight, wgt, shape, act, attrs)

    def linear(self, name: str, source: str, out: int, wgt: int, act: int | None) -> str:
        if len(self.tensors[source].shape) == 3:
            before = self.tensors[source]
            flat = self._tensor(f"{source}_flat", (int(np.prod(before.shape)),), before.format.bits)
            self.ops.append(IntegerOp(f"{source}_flatten", OpKind.FLATTEN, (source,), flat))
            source = flat
        weight = ones((out, self.tensors[source].shape[0]))
        return self._weighted(name, OpKind.LINEAR, source, weight, wgt, (out,), act, {})

    def _weighted(
        self,
        name: str,
        kind: OpKind,
        source: str,
        weight: NDArray[np.int8],
        bits: int,
        shape: tuple[int, ...],
        act: int | None,
        attrs: dict[str, tuple[int, int] | int],
    ) -> str:
        requant = Requant(np.full(shape[0], 1 << 30, np.int32), np.full(shape[0], 38, np.int32))
        bias = np.ones(shape[0], np.int32)
        output = self._tensor(f"{name}_out", shape, act)
        self.ops.append(
            IntegerOp(name, kind, (source,), output, attrs, weight, Format(bits, True), bias, requant)
        )  # fmt: skip
        return output

    def pool(self, source: str) -> str:
        """Max-pool 2x2, stride 2."""
        before = self.tensors[source]
        channels, height, width = before.shape
        output = self._tensor(f"{source}_pool", (channels, height // 2, width // 2), before.format.bits)
        attrs: dict[str, tuple[int, int] | int] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
        self.ops.append(IntegerOp(f"{source}_pool", OpKind.MAX_POOL, (source,), output, attrs))
        return output

    def add(self, name: str, a: str, b: str) -> str:
        before = self.tensors[a]
        output = self._tensor(f"{name}_out", before.shape, before.format.bits)
        requant = Requant(np.full(2, 1 << 30, np.int32), np.full(1, 31, np.int32))
        self.ops.append(IntegerOp(name, OpKind.ADD, (a, b), output, {}, requant=requant))
        return output

    def concat(self, name: str, a: str, b: str) -> str:
        first, second = self.tensors[a], self.tensors[b]
        shape = (first.shape[0] + second.shape[0], *first.shape[1:])
        output = self._tensor(f"{name}_out", shape, first.format.bits)
        requant = Requant(np.full(2, 1 << 30, np.int32), np.full(2, 30, np.int32))
        self.ops.append(IntegerOp(name, OpKind.CONCAT, (a, b), output, {}, requant=requant))
        return output

    def model(self, output: str) -> IntegerModel:
        return IntegerModel(self.name, "x", output, self.tensors, tuple(self.ops))


def ones(shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Weights of *shape* that occupy one byte; ones, because 1-bit weights cannot be zero."""
    return np.broadcast_to(np.int8(1), shape)


def _alexnet() -> IntegerModel:
    net = Net("alexnet-2x", (3, 227, 227), 8)
    halves = []
    for half in "ab":
        x = net.pool(net.conv(f"conv1_{half}", "x", 96, 11, 8, 4, stride=4, pad=False))
        halves.append(net.pool(net.conv(f"conv2_{half}", x, 256, 5, 4, 4)))
    joined = net.concat("concat2", *halves)
    halves = []
    for half in "ab":
        x = net.conv(f"conv3_{half}", joined, 384, 3, 4, 4)
        x = net.conv(f"conv4_{half}", x, 384, 3, 4, 4)
        halves.append(net.pool(net.conv(f"conv5_{half}", x, 256, 3, 4, 4)))
    x = net.concat("concat5", *halves)
    x = net.linear("fc1", x, 8192, 4, 4)
    x = net.linear("fc2", x, 8192, 4, 8)
    return net.model(net.linear("fc3", x, 1000, 8, None))


def _stack(net: Net, widths: tuple[int, ...], wgt: tuple[int, int], act: int) -> str:
    """Six convolutions 3x3 in pairs, a pool after each pair; the first at ``wgt[0]`` bits."""
    x = "x"
    for index, width in enumerate(widths):
        x = net.conv(f"conv{index}", x, width, 3, wgt[min(index, 1)], act)
        if index % 2:
            x = net.pool(x)
    return x


def _svhn() -> IntegerModel:
    net = Net("svhn", (3, 32, 32), 8)
    x = _stack(net, (64, 64, 128, 128, 256, 256), (1, 1), 1)
    x = net.linear("fc6", x, 1024, 1, 1)
    x = net.linear("fc7", x, 1024, 1, 1)
    return net.model(net.linear("fc8", x, 10, 1, None))


def _cifar10() -> IntegerModel:
    net = Net("cifar10", (3, 32, 32), 8)
    x = _stack(net, (128, 128, 256, 256, 512, 512), (8, 2), 2)
    x = net.linear("fc6", x, 1024, 2, 2)
    x = net.linear("fc7", x, 1024, 2, 2)
    return net.model(net.linear("fc8", x, 10, 2, None))


def _lenet5() -> IntegerModel:
    net = Net("lenet5", (1, 32, 32), 2)
    x = net.pool(net.conv("conv0", "x", 32, 5, 2, 2))
    x = net.pool(net.conv("conv1", x, 64, 5, 2, 2))
    x = net.linear("fc1", x, 512, 2, 2)
    return net.model(net.linear("fc2", x, 10, 2, None))


def _vgg7() -> IntegerModel:
    net = Net("vgg7", (3, 32, 32), 2)
    halves = []
    for half in "ab":
        x = "x"
        for level, width in enumerate((128, 256, 512), 1):
            x = net.pool(net.conv(f"conv{level}_{half}", x, width, 3, 2, 2))
        halves.append(x)
    return net.model(net.linear("fc1", net.add("add3", *halves), 1024, 2, None))


def _resnet18() -> IntegerModel:
    net = Net("resnet18-2x", (3, 224, 224), 8)
    x = net.pool(net.conv("conv1_a", "x", 128, 7, 8, 4, stride=2))
    for stage, width in enumerate((128, 256, 512, 1024), 2):
        first = ""
        for block in (1, 2):
            stride = 2 if stage > 2 and block == 1 else 1
            last = stage == 5 and block == 2
            first = net.conv(f"conv{stage}_{block}_a", x, width, 1, 4, 4, stride=stride)
            x = net.conv(f"conv{stage}_{block}_b", first, width, 3, 4, None if last else 4)
        if stage < 5:
            x = net.add(f"add{stage}", first, x)
    return net.model(x)


def _matmul(name: str, size: int) -> IntegerModel:
    net = Net(name, (size,), 4)
    return net.model(net.linear("matmul", "x", size, 4, None))


NETS: dict[str, Callable[[], IntegerModel]] = {
    "alexnet-2x": _alexnet,
    "svhn": _svhn,
    "cifar10": _cifar10,
    "lenet5": _lenet5,
    "vgg7": _vgg7,
    "resnet18-2x": _resnet18,
    "rnn": lambda: _matmul("rnn", 4096),
    "lstm": lambda: _matmul("lstm", 3600),
}
