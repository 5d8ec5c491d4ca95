"""Small integer models for tests of targets, seeded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor


def _weight(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> NDArray[np.int8]:
    if bits == 1:
        return rng.choice(np.array([-1, 1], np.int8), size=shape)
    return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), size=shape).astype(np.int8)


class Builder:
    """A chain of operations with random constants."""

    def __init__(self, name: str, shape: tuple[int, ...], seed: int, signed: bool = False) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.tensors = {"input": Tensor("input", shape, Format(8, signed), 1 / 255)}
        self.ops: list[IntegerOp] = []
        self.last = "input"

    def add(self, name: str, kind: OpKind, shape: tuple[int, ...], form: Format, **fields: object) -> Builder:
        self.tensors[name] = Tensor(name, shape, form, 0.5)
        self.ops.append(IntegerOp(name, kind, (self.last,), name, **fields))  # type: ignore[arg-type]
        self.last = name
        return self

    def weighted(
        self, name: str, kind: OpKind, shape: tuple[int, ...], weight_shape: tuple[int, ...], bits: int, form: Format,
        **attrs: tuple[int, int] | int,
    ) -> Builder:  # fmt: skip
        source = self.tensors[self.last].format
        spread = np.sqrt(np.prod(weight_shape[1:])) * source.max_abs * (1 << (bits - 1)) / 2
        target = 8 * spread if form.bits == 32 else form.max_abs
        multiplier = np.clip(target / spread * self.rng.uniform(0.5, 2.0, shape[0]) * 2.0**30, 1, 2**31 - 1)
        bias = self.rng.integers(-int(spread) - 1, int(spread) + 1, shape[0]).astype(np.int32)
        return self.add(
            name, kind, shape, form, attrs=attrs, weight=_weight(self.rng, weight_shape, bits),
            weight_format=Format(bits, True), bias=bias,
            requant=Requant(multiplier.astype(np.int32), np.full(shape[0], 30, np.int32)),
        )  # fmt: skip

    def build(self) -> IntegerModel:
        return IntegerModel(self.name, "input", self.last, self.tensors, tuple(self.ops))


def lenet5(weight_bits: int, activation_bits: int, seed: int = 0) -> IntegerModel:
    """LeNet-5's shapes, (1, 28, 28) to 10 logits."""
    act, pool = Format(activation_bits, False), {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    conv = {"kernel": (5, 5), "stride": (1, 1), "groups": 1}
    build = Builder("lenet5", (1, 28, 28), seed)
    build.weighted("conv1", OpKind.CONV2D, (6, 28, 28), (6, 1, 5, 5), weight_bits, act, **conv, padding=(2, 2))
    build.add("pool1", OpKind.MAX_POOL, (6, 14, 14), act, attrs=pool)
    build.weighted("conv2", OpKind.CONV2D, (16, 10, 10), (16, 6, 5, 5), weight_bits, act, **conv, padding=(0, 0))
    build.add("pool2", OpKind.MAX_POOL, (16, 5, 5), act, attrs=pool)
    build.add("flatten", OpKind.FLATTEN, (400,), act)
    build.weighted("fc1", OpKind.LINEAR, (120,), (120, 400), weight_bits, act)
    build.weighted("fc2", OpKind.LINEAR, (84,), (84, 120), weight_bits, act)
    return build.weighted("fc3", OpKind.LINEAR, (10,), (10, 84), weight_bits, Format(32, True)).build()


def picture(seed: int = 0) -> IntegerModel:
    """One convolution of a signed (3, 6, 5) input: the output is a picture, (2, 6, 5), so that its order matters."""
    build = Builder("picture", (3, 6, 5), seed, signed=True)
    attrs = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "groups": 1}
    return build.weighted("conv", OpKind.CONV2D, (2, 6, 5), (2, 3, 3, 3), 4, Format(32, True), **attrs).build()


def inputs(model: IntegerModel, count: int, seed: int) -> NDArray[np.integer]:
    """Random inputs over the whole range."""
    tensor = model.tensors[model.input]
    rng = np.random.default_rng(seed)
    values = rng.integers(tensor.format.qmin, tensor.format.qmax + 1, (count, *tensor.shape))
    return values.astype(tensor.format.dtype)
