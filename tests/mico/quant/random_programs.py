"""Random integer programs, drawn by hypothesis: every operation, every bit pair, signed and unsigned, K of any size."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mico.graph import OpKind, Shape
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

BITS = (8, 4, 2, 1)
FORMATS = st.builds(Format, st.sampled_from(BITS), st.booleans())


def random_weight(rng: np.random.Generator, shape: Shape, bits: int) -> np.ndarray:
    """Weights over the whole range of *bits*."""
    if bits == 1:
        return rng.choice(np.array([-1, 1], dtype=np.int8), size=shape)
    return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), size=shape).astype(np.int8)


def random_input(rng: np.random.Generator, n: int, tensor: Tensor) -> np.ndarray:
    """Inputs over the whole 8-bit range."""
    return rng.integers(tensor.format.qmin, tensor.format.qmax + 1, size=(n, *tensor.shape)).astype(tensor.format.dtype)


class _Builder:
    """Appends operations with random constants to a program."""

    def __init__(self, rng: np.random.Generator, shape: Shape, signed: bool) -> None:
        self.rng = rng
        self.tensors = {"input": Tensor("input", shape, Format(8, signed), 1 / 255)}
        self.ops: list[IntegerOp] = []

    def add(self, kind: OpKind | str, inputs: list[str], shape: Shape, out: Format, spread: float, **fields) -> str:
        """*spread* is the size of a typical accumulator: the multiplier brings it into the output's range."""
        name = f"{kind}_{len(self.ops)}"
        if kind not in (OpKind.MAX_POOL, OpKind.FLATTEN):
            channels = shape[0] if kind in (OpKind.CONV2D, OpKind.LINEAR) else 1
            multipliers = {OpKind.ADD: 2, OpKind.CONCAT: len(inputs)}.get(kind, channels)
            shifts = len(inputs) if kind == OpKind.CONCAT else channels
            # bits == 32 keeps the accumulators apart: an output scaled by 8
            target = 8 * spread if out.bits == 32 else max(out.max_abs, 1)
            shift = self.rng.integers(24, 40, size=shifts)
            scale = target / spread * self.rng.uniform(0.3, 2.0, size=multipliers)
            multiplier = np.clip(scale * 2.0 ** shift[: multipliers if shifts > 1 else 1], 1, 2**31 - 1)
            fields["requant"] = Requant(multiplier.astype(np.int32), shift.astype(np.int32))
        self.tensors[name] = Tensor(name, shape, out, 0.5)
        self.ops.append(IntegerOp(name, kind, tuple(inputs), name, **fields))
        return name

    def weighted(
        self, kind: OpKind, source: str, shape: Shape, weight: np.ndarray, bits: int, out: Format, attrs
    ) -> str:
        form = self.tensors[source].format
        spread = max(1.0, float(np.sqrt(weight[0].size)) * form.max_abs * (1 << (bits - 1)) / 2)
        bias = self.rng.integers(-int(spread), int(spread) + 1, size=shape[0]).astype(np.int32)
        if self.rng.random() < 0.2:
            bias = None
        return self.add(kind, [source], shape, out, spread, attrs=attrs, weight=weight,
                        weight_format=Format(bits, True), bias=bias)  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> tuple[IntegerModel, np.random.Generator]:
    """A program of up to six operations that ends in int32, and a generator for its inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 5)), draw(st.integers(3, 9)), draw(st.integers(3, 9)))
    build = _Builder(rng, shape, draw(st.booleans()))
    current = "input"
    steps = [OpKind.CONV2D, OpKind.MAX_POOL, OpKind.AVG_POOL, OpKind.ADD, OpKind.CONCAT, "requant"]
    for kind in draw(st.lists(st.sampled_from(steps), max_size=4)):
        current = _step(draw, build, current, kind, draw(FORMATS))
    end = draw(st.sampled_from(["linear", "conv", "pool"]))
    out = Format(32, True)
    if end == "conv":
        current = _step(draw, build, current, OpKind.CONV2D, out)
    elif end == "pool":
        c, h, w = build.tensors[current].shape
        form = build.tensors[current].format
        current = build.add(OpKind.GLOBAL_AVG_POOL, [current], (c, 1, 1), out, float(h * w * form.max_abs))
    else:
        k = int(np.prod(build.tensors[current].shape))
        current = build.add(OpKind.FLATTEN, [current], (k,), build.tensors[current].format, 1.0)
        bits, outputs = draw(st.sampled_from(BITS)), draw(st.integers(1, 5))
        weight = random_weight(rng, (outputs, k), bits)
        current = build.weighted(OpKind.LINEAR, current, (outputs,), weight, bits, out, {})
    return IntegerModel("random", "input", current, build.tensors, tuple(build.ops)), rng


def _step(draw: st.DrawFn, build: _Builder, source: str, kind: OpKind | str, out: Format) -> str:
    c, h, w = build.tensors[source].shape
    form = build.tensors[source].format
    if kind == "requant":
        return build.add("requant", [source], (c, h, w), out, float(form.max_abs))
    if kind in (OpKind.ADD, OpKind.CONCAT):
        same = [name for name, t in build.tensors.items() if t.shape[1:] == (h, w) and t.format.bits != 32]
        if kind is OpKind.ADD:
            same = [name for name in same if build.tensors[name].shape[0] == c]
            return build.add(kind, [source, draw(st.sampled_from(same))], (c, h, w), out, 2.0 * form.max_abs)
        names = [source, *draw(st.lists(st.sampled_from(same), min_size=1, max_size=2))]
        channels = sum(build.tensors[name].shape[0] for name in names)
        return build.add(kind, names, (channels, h, w), out, float(form.max_abs))
    kernel = (draw(st.integers(1, min(3, h))), draw(st.integers(1, min(3, w))))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    if kind is OpKind.CONV2D:
        padding = (draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1)))
    else:
        padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    rows, columns = ((n + 2 * p - k) // s + 1 for n, p, k, s in zip((h, w), padding, kernel, stride, strict=True))
    attrs = {"kernel": kernel, "stride": stride, "padding": padding}
    if kind is OpKind.MAX_POOL:
        return build.add(kind, [source], (c, rows, columns), form, 1.0, attrs=attrs)
    if kind is OpKind.AVG_POOL:
        spread = float(kernel[0] * kernel[1] * form.max_abs)
        return build.add(kind, [source], (c, rows, columns), out, spread, attrs=attrs)
    groups = draw(st.sampled_from([g for g in range(1, c + 1) if c % g == 0]))
    channels = groups * draw(st.integers(1, 3))
    bits = draw(st.sampled_from(BITS))
    weight = random_weight(build.rng, (channels, c // groups, *kernel), bits)
    return build.weighted(
        OpKind.CONV2D, source, (channels, rows, columns), weight, bits, out, attrs | {"groups": groups}
    )
