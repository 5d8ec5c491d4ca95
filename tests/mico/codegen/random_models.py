"""Random integer models for tests: every operation, format and shape that the contract allows, from one seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mico.graph import OpKind, Shape
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

BITS = (8, 4, 2, 1)
FORMATS = tuple(Format(bits, signed) for bits in BITS for signed in (False, True))


class ModelBuilder:
    """Grows an IntegerModel operation by operation; formats are drawn unless given, scales fit the values' spread."""

    def __init__(self, seed: int, shape: Shape, *, signed: bool = False, name: str = "random") -> None:
        self.rng = np.random.default_rng(seed)
        self.name = name
        self.tensors = {"input": Tensor("input", shape, Format(8, signed), 1.0)}
        self.ops: list[IntegerOp] = []

    def shape(self, name: str) -> Shape:
        return self.tensors[name].shape

    def draw_format(self) -> Format:
        return FORMATS[self.rng.integers(len(FORMATS))]

    def conv(
        self,
        source: str,
        outputs: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        groups: int = 1,
        weight_bits: int | None = None,
        out: Format | None = None,
    ) -> str:
        channels, height, width = self.shape(source)
        shape = (
            outputs,
            (height + 2 * padding[0] - kernel[0]) // stride[0] + 1,
            (width + 2 * padding[1] - kernel[1]) // stride[1] + 1,
        )
        attrs = {"kernel": kernel, "stride": stride, "padding": padding, "groups": groups}
        weight_shape = (outputs, channels // groups, *kernel)
        return self._weighted(OpKind.CONV2D, source, weight_shape, shape, attrs, weight_bits, out)

    def linear(self, source: str, outputs: int, *, weight_bits: int | None = None, out: Format | None = None) -> str:
        (inputs,) = self.shape(source)
        return self._weighted(OpKind.LINEAR, source, (outputs, inputs), (outputs,), {}, weight_bits, out)

    def pool(
        self,
        kind: OpKind,
        source: str,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (2, 2),
        padding: tuple[int, int] = (0, 0),
        out: Format | None = None,
    ) -> str:
        channels, height, width = self.shape(source)
        shape = (
            channels,
            (height + 2 * padding[0] - kernel[0]) // stride[0] + 1,
            (width + 2 * padding[1] - kernel[1]) // stride[1] + 1,
        )
        attrs = {"kernel": kernel, "stride": stride, "padding": padding}
        if kind is OpKind.MAX_POOL:
            return self._add(kind, (source,), shape, self.tensors[source].format, attrs=attrs)
        spread = self.tensors[source].format.max_abs * kernel[0] * kernel[1] / 2
        return self._scaled(kind, (source,), shape, spread, out, attrs=attrs)

    def global_pool(self, source: str, *, out: Format | None = None) -> str:
        channels, height, width = self.shape(source)
        spread = self.tensors[source].format.max_abs * height * width / 2
        return self._scaled(OpKind.GLOBAL_AVG_POOL, (source,), (channels, 1, 1), spread, out)

    def add(self, a: str, b: str, *, out: Format | None = None) -> str:
        out = out or self.draw_format()
        shift = int(self.rng.integers(20, 40))
        multiplier = [
            self._multiplier(max(out.max_abs if out.bits < 32 else 1000, 1) / self.tensors[n].format.max_abs, shift)
            for n in (a, b)
        ]
        requant = Requant(np.array(multiplier, np.int32), np.array([shift], np.int32))
        return self._add(OpKind.ADD, (a, b), self.shape(a), out, requant=requant)

    def concat(self, sources: Sequence[str], *, out: Format | None = None) -> str:
        first = self.shape(sources[0])
        shape = (sum(self.shape(name)[0] for name in sources), *first[1:])
        out = out or self.draw_format()
        spreads = np.array([self.tensors[name].format.max_abs for name in sources], float)
        return self._add(OpKind.CONCAT, tuple(sources), shape, out, requant=self._requant(spreads, out))

    def flatten(self, source: str) -> str:
        return self._add(OpKind.FLATTEN, (source,), (int(np.prod(self.shape(source))),), self.tensors[source].format)

    def requant(self, source: str, *, out: Format | None = None) -> str:
        return self._scaled("requant", (source,), self.shape(source), self.tensors[source].format.max_abs, out)

    def build(self, output: str | None = None) -> IntegerModel:
        return IntegerModel(self.name, "input", output or self.ops[-1].output, dict(self.tensors), tuple(self.ops))

    def inputs(self, count: int) -> NDArray[np.int32]:
        """Random inputs over the whole range, the first all at the most negative or zero, the second at the largest."""
        form = self.tensors["input"].format
        x = self.rng.integers(form.qmin, form.qmax + 1, (count, *self.shape("input"))).astype(form.dtype)
        x[0] = form.qmin
        if count > 1:
            x[1] = form.qmax
        return x

    def _weighted(
        self,
        kind: OpKind,
        source: str,
        weight_shape: tuple[int, ...],
        shape: Shape,
        attrs: dict[str, tuple[int, int] | int],
        weight_bits: int | None,
        out: Format | None,
    ) -> str:
        form = Format(weight_bits or int(self.rng.choice(BITS)), True)
        weight = self.rng.integers(form.qmin, form.qmax + 1, weight_shape).astype(np.int8)
        if form.binary:
            weight = np.where(weight == 0, 1, weight).astype(np.int8)
        columns = int(np.prod(weight_shape[1:]))
        spread = form.max_abs * self.tensors[source].format.max_abs * np.sqrt(columns) / 2 + 1
        bias = None
        if self.rng.random() < 0.8:
            bias = self.rng.integers(-int(spread), int(spread) + 1, weight_shape[0]).astype(np.int32)
        out = out or self.draw_format()
        requant = self._requant(np.full(weight_shape[0], spread) * self.rng.uniform(0.5, 2, weight_shape[0]), out)
        return self._add(
            kind, (source,), shape, out, attrs=attrs, weight=weight, weight_format=form, bias=bias, requant=requant
        )

    def _scaled(
        self,
        kind: OpKind | str,
        sources: tuple[str, ...],
        shape: Shape,
        spread: float,
        out: Format | None,
        attrs: dict[str, tuple[int, int] | int] | None = None,
    ) -> str:
        out = out or self.draw_format()
        return self._add(kind, sources, shape, out, attrs=attrs, requant=self._requant(np.array([spread]), out))

    def _requant(self, spreads: NDArray[np.float64], out: Format) -> Requant:
        """Constants that bring values of these spreads to *out*'s range; also multipliers far from normalised."""
        target = 1e6 if out.bits == 32 else max(out.max_abs, 1)
        top = int(self.rng.choice([12, 31, 45]))
        shifts = self.rng.integers(max(1, top - 10), top + 1, len(spreads))
        multipliers = [self._multiplier(target / s, int(shift)) for s, shift in zip(spreads, shifts, strict=True)]
        return Requant(np.array(multipliers, np.int32), shifts.astype(np.int32))

    @staticmethod
    def _multiplier(ratio: float, shift: int) -> int:
        return int(min(max(round(ratio * 2.0**shift), 1), (1 << 31) - 1))

    def _add(self, kind: OpKind | str, sources: tuple[str, ...], shape: Shape, out: Format, **fields: object) -> str:
        name = f"op{len(self.ops)}"
        self.tensors[name] = Tensor(name, shape, out, 1.0)
        fields = {key: value for key, value in fields.items() if value is not None}
        self.ops.append(IntegerOp(name, kind, sources, name, **fields))  # type: ignore[arg-type]
        return name


def random_model(seed: int, *, layers: int = 8) -> ModelBuilder:
    """A random network of about *layers* operations that ends in int32 logits."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 8)), int(rng.integers(3, 11)), int(rng.integers(3, 11)))
    builder = ModelBuilder(seed, shape, signed=bool(rng.integers(2)))
    current, previous = "input", "input"
    for _ in range(layers):
        previous, current = current, _random_operation(builder, rng, current, previous)
    if rng.random() < 0.3:
        current = builder.global_pool(current)
    current = builder.flatten(current)
    if rng.random() < 0.3:
        current = builder.requant(current)
    current = builder.linear(current, int(rng.integers(1, 12)))
    builder.linear(current, int(rng.integers(1, 12)), out=Format(32, True))
    return builder


def _random_operation(builder: ModelBuilder, rng: np.random.Generator, current: str, previous: str) -> str:
    channels, height, width = builder.shape(current)
    kind = rng.choice(["conv", "conv", "conv", "depthwise", "group", "max", "avg", "add", "concat", "requant"])
    kernel = (int(rng.integers(1, min(height, 5) + 1)), int(rng.integers(1, min(width, 5) + 1)))
    stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    padding = (int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1])))
    if kind in ("max", "avg"):
        padding = (min(padding[0], kernel[0] // 2), min(padding[1], kernel[1] // 2))
        pool = OpKind.MAX_POOL if kind == "max" else OpKind.AVG_POOL
        return builder.pool(pool, current, kernel, stride=stride, padding=padding)
    if kind == "add":
        other = previous if builder.shape(previous) == builder.shape(current) else current
        return builder.add(current, other)
    if kind == "concat" and channels <= 16:
        other = previous if builder.shape(previous)[1:] == (height, width) else current
        return builder.concat([current, other, current][: int(rng.integers(2, 4))])
    if kind == "requant":
        return builder.requant(current)
    if kind == "depthwise":
        outputs = channels * int(rng.integers(1, 3))
        return builder.conv(current, outputs, kernel, stride=stride, padding=padding, groups=channels)
    groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0])) if kind == "group" else 1
    outputs = groups * int(rng.integers(1, max(2, 13 // groups)))
    return builder.conv(current, outputs, kernel, stride=stride, padding=padding, groups=groups)


def lenet5(weight_bits: int, activation_bits: int, *, seed: int = 5) -> ModelBuilder:
    """LeNet-5 with random weights, these bits in every layer, unsigned activations; below 8 bits a requant in front."""
    builder = ModelBuilder(seed, (1, 28, 28), name=f"lenet5_w{weight_bits}a{activation_bits}")
    form = Format(activation_bits, False)
    x = "input" if activation_bits == 8 else builder.requant("input", out=form)
    x = builder.conv(x, 6, (5, 5), padding=(2, 2), weight_bits=weight_bits, out=form)
    x = builder.pool(OpKind.MAX_POOL, x, (2, 2))
    x = builder.conv(x, 16, (5, 5), weight_bits=weight_bits, out=form)
    x = builder.flatten(builder.pool(OpKind.MAX_POOL, x, (2, 2)))
    for outputs in (120, 84):
        x = builder.linear(x, outputs, weight_bits=weight_bits, out=form)
    builder.linear(x, 10, weight_bits=weight_bits, out=Format(32, True))
    return builder
