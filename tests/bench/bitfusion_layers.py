"""Random single layers as integer programs, for the cycle model's error and for latency models of unseen shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mico.graph import Layer, OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor
from mico.quant.scheme import LayerBits

__all__ = ["LayerCase", "random_cases"]


@dataclass(frozen=True)
class LayerCase:
    """A convolution (or, on one pixel, a linear layer) at its bits; writes *out_bits*."""

    channels: int
    size: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    act_bits: int
    wgt_bits: int
    out_bits: int

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    def model(self) -> IntegerModel:
        """The layer alone; weights are ones that share a byte."""
        shape = (self.channels, self.size, self.size)
        out_shape = (self.outputs, self.out_size, self.out_size)
        tensors = {
            "x": Tensor("x", shape, Format(self.act_bits, False), 1.0),
            "y": Tensor("y", out_shape, Format(self.out_bits, self.out_bits == 32), 1.0),
        }
        attrs: dict[str, tuple[int, int] | int] = {
            "stride": (self.stride,) * 2, "padding": (self.padding,) * 2, "groups": 1,
        }  # fmt: skip
        weight = np.broadcast_to(np.int8(1), (self.outputs, self.channels, self.kernel, self.kernel))
        requant = Requant(np.full(self.outputs, 1 << 30, np.int32), np.full(self.outputs, 38, np.int32))
        op = IntegerOp("layer", OpKind.CONV2D, ("x",), "y", attrs, weight, Format(self.wgt_bits, True),
                       np.zeros(self.outputs, np.int32), requant)  # fmt: skip
        return IntegerModel("layer", "x", "y", tensors, (op,))

    def layer(self) -> Layer:
        """As the latency models see it."""
        op = self.model().ops[0]
        assert op.weight is not None
        return Layer(
            name="layer",
            kind=OpKind.CONV2D,
            inputs=("input",),
            in_shapes=((self.channels, self.size, self.size),),
            out_shape=(self.outputs, self.out_size, self.out_size),
            attrs=op.attrs,
            weight=op.weight.astype(np.float32),
        )

    @property
    def bits(self) -> LayerBits:
        return LayerBits(self.wgt_bits, self.act_bits)


def random_cases(count: int, seed: int, pairs: tuple[tuple[int, int], ...] | None = None) -> list[LayerCase]:
    """*count* layers between 30 thousand and 60 million MACs; with *pairs* (activation, weight), each shape at each of
    them."""
    rng = np.random.default_rng(seed)
    bits = (8, 4, 2, 1)
    cases: list[LayerCase] = []
    while len(cases) < count:
        kernel = int(rng.choice([1, 3, 5, 7], p=[0.3, 0.45, 0.15, 0.1]))
        linear = rng.random() < 0.2
        size = 1 if linear else int(rng.integers(max(kernel, 4), 57))
        kernel = 1 if linear else kernel
        channels, outputs = (int(2 ** rng.uniform(0 if not linear else 4, 10)) for _ in range(2))
        stride = int(rng.choice([1, 2], p=[0.75, 0.25]))
        padding = int(rng.integers(0, kernel // 2 + 1))
        shape = (channels, size, outputs, kernel, stride, padding)
        chosen = pairs or ((int(rng.choice(bits)), int(rng.choice(bits))),)
        made = [LayerCase(*shape, act, wgt, int(rng.choice([*bits, 32]))) for act, wgt in chosen]
        macs = made[0].out_size ** 2 * channels * outputs * kernel**2
        if 30_000 <= macs <= 60_000_000:
            cases += made
    return cases[:count]
