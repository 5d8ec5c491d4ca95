"""Models of one layer, at any shape and bits: what ``mico profile`` times.

A layer stands between a ``requant`` that brings the 8-bit input to its activation bits (none at 8 bits) and one that
makes int32 of its output (none where it writes int32). Weights are random, from the generator that the device computes
too where they are large; scales spread the outputs over their range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.bench_case import Case, random_words
from mico.codegen.c.layout import TensorLayout, unpack_tensor
from mico.errors import UsageError
from mico.graph import OpKind, Shape
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor
from mico.quant.scheme import BITS, LayerBits

__all__ = ["KINDS", "LAYER", "LayerShape", "layer_case", "parse_bits"]

LAYER = "layer"
"""Name of the operation that is timed, among those around it."""

KINDS = ("conv", "linear", "matmul", "max_pool", "avg_pool", "global_pool", "add")
_WEIGHTED = ("conv", "linear", "matmul")
_FILL_WORDS = 65536


@dataclass(frozen=True)
class LayerShape:
    """A layer without its bits.

    Attributes
    ----------
    kind
        One of KINDS. ``matmul`` is ``out[M][N] = a[M][K] * w[N][K]``.
    input
        ``(H, W, C)``; linear ``(1, 1, K)``, matmul ``(M, 1, K)``.
    outputs
        Output channels, or N; 0 for layers without weights.
    kernel, stride, padding
        Of conv and pools, the same in both directions.
    groups
        Of conv.
    signed
        Of the activations. Otherwise unsigned, as behind a ReLU.
    int32
        The layer writes int32 instead of its activations' format. A matmul's are the plain sums of products.
    """

    kind: str
    input: tuple[int, int, int]
    outputs: int = 0
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    signed: bool = False
    int32: bool = False

    @property
    def weighted(self) -> bool:
        return self.kind in _WEIGHTED

    def __str__(self) -> str:
        height, width, channels = self.input
        if self.kind == "linear":
            text = f"linear 1x{channels}x{self.outputs}"
        elif self.kind == "matmul":
            text = f"matmul {height}x{self.outputs}x{channels}"
        elif self.kind == "conv":
            text = f"conv {height}x{width}x{channels} to {self.outputs}, k{self.kernel}"
        else:
            text = f"{self.kind} {height}x{width}x{channels}" + (f", k{self.kernel}" if "pool" in self.kind else "")
        for name, value, usual in (("s", self.stride, 1), ("p", self.padding, 0), ("g", self.groups, 1)):
            text += f" {name}{value}" if value != usual and self.kind not in ("linear", "matmul", "add") else ""
        return text + (" signed" if self.signed else "") + (" int32" if self.int32 else "")


def parse_bits(text: str) -> list[LayerBits]:
    """``8x4``: 8-bit activations, 4-bit weights; several by commas; ``all`` for all 16, ``equal`` for the four equal.

    Raises
    ------
    UsageError
        Not such a text.
    """
    if text == "all":
        return [LayerBits(weight=w, activation=a) for a in BITS for w in BITS]
    if text == "equal":
        return [LayerBits(weight=b, activation=b) for b in BITS]
    pairs = []
    for part in text.split(","):
        found = re.fullmatch(r"([8421])x([8421])", part.strip())
        if found is None:
            raise UsageError(
                f"{part!r} is not a pair of bits",
                where="bits",
                cure="AxW, activation x weight, for instance 8x4; several by commas; all; equal",
            )
        pairs.append(LayerBits(weight=int(found.group(2)), activation=int(found.group(1))))
    return pairs


def layer_case(shape: LayerShape, bits: LayerBits, *, seed: int = 0) -> Case:
    """The model of one layer with an input; the same arguments give the same case.

    Raises
    ------
    UsageError
        *shape* makes no sense: says why.
    """
    if shape.kind not in KINDS:
        raise UsageError(f"no such kind of layer: {shape.kind!r}", cure=f"one of {', '.join(KINDS)}")
    if min(shape.input) < 1 or shape.kernel < 1 or shape.stride < 1 or shape.padding < 0 or shape.groups < 1:
        raise UsageError("sizes, kernel, stride and groups start at 1", where=str(shape))
    if shape.weighted and shape.outputs < 1:
        raise UsageError("no output channels", where=str(shape), cure="--out N")
    build = _Builder(shape, bits, seed)
    if shape.kind == "add":
        first = build.requantised("a", offset=0)
        build.layer((first, build.requantised("b", offset=1)))
    else:
        build.layer((build.requantised("a", offset=0),))
    return build.case()


class _Builder:
    def __init__(self, shape: LayerShape, bits: LayerBits, seed: int) -> None:
        self.shape, self.bits, self.seed = shape, bits, seed
        self.rng = np.random.default_rng(seed)
        height, width, channels = shape.input
        self.input: Shape = (channels,) if shape.kind == "linear" else (channels, height, width)
        self.source = Format(bits.activation, shape.signed)
        self.tensors = {"input": Tensor("input", self.input, Format(8, shape.signed), 1.0)}
        self.ops: list[IntegerOp] = []
        self.filled: dict[str, int] = {}

    def _add(self, op: IntegerOp, shape: Shape, form: Format) -> str:
        self.tensors[op.output] = Tensor(op.output, shape, form, 1.0)
        self.ops.append(op)
        return op.output

    def requantised(self, name: str, *, offset: int) -> str:
        """The input at the layer's bits."""
        if self.bits.activation == 8 and offset == 0:
            return "input"
        requant = _requant(np.array([2.0 ** (self.bits.activation - 8 - offset)]))
        return self._add(IntegerOp(name, "requant", ("input",), name, requant=requant), self.input, self.source)

    def layer(self, inputs: tuple[str, ...]) -> None:
        shape, form = self.shape, Format(32, True) if self.shape.int32 else self.source
        pair = {"kernel": (shape.kernel,) * 2, "stride": (shape.stride,) * 2, "padding": (shape.padding,) * 2}
        window = shape.kernel**2 * self.source.max_abs
        if shape.weighted:
            out = self._weighted(inputs, form, pair)
        elif shape.kind == "max_pool":
            out = self._add(IntegerOp(LAYER, OpKind.MAX_POOL, inputs, LAYER, attrs=pair), self._out(), self.source)
        elif shape.kind == "avg_pool":
            scale = _requant(np.array([form.max_abs / window if form.bits < 32 else 1.0]))
            op = IntegerOp(LAYER, OpKind.AVG_POOL, inputs, LAYER, attrs=pair, requant=scale)
            out = self._add(op, self._out(), form)
        elif shape.kind == "global_pool":
            scale = _requant(np.array([1 / (shape.input[0] * shape.input[1])]))
            op = IntegerOp(LAYER, OpKind.GLOBAL_AVG_POOL, inputs, LAYER, requant=scale)
            out = self._add(op, (self.input[0], 1, 1), form)
        else:
            requant = Requant(np.array([3 << 28, 1 << 28], np.int32), np.array([30], np.int32))
            out = self._add(IntegerOp(LAYER, OpKind.ADD, inputs, LAYER, requant=requant), self.input, form)
        if self.tensors[out].format.bits != 32:
            result, one = Format(32, True), _requant(np.array([1.0]))
            self._add(IntegerOp("out", "requant", (out,), "out", requant=one), self.tensors[out].shape, result)

    def _out(self) -> Shape:
        s = self.shape
        height, width = ((n + 2 * s.padding - s.kernel) // s.stride + 1 for n in self.input[1:])
        if height < 1 or width < 1:
            raise UsageError("the kernel is larger than the padded input", where=str(s))
        return (s.outputs or self.input[0], height, width)

    def _weighted(self, inputs: tuple[str, ...], form: Format, pair: dict[str, tuple[int, int]]) -> str:
        s, weights = self.shape, Format(self.bits.weight, True)
        if self.input[0] % s.groups or s.outputs % s.groups:
            raise UsageError(f"{s.groups} groups do not divide the channels", where=str(s))
        taps = s.kernel**2 if s.kind == "conv" else 1
        columns = self.input[0] // s.groups * taps
        matrix = self._matrix(s.outputs, columns, weights)
        spread = np.sqrt(columns) * self.source.max_abs * weights.max_abs / 2 + 1
        requant = _requant(np.full(s.outputs, 1.0 if form.bits == 32 else form.max_abs / spread))
        bias = None
        if s.kind != "matmul":
            bias = self.rng.integers(-int(spread), int(spread) + 1, s.outputs).astype(np.int32)
        if s.kind == "linear":
            op = IntegerOp(LAYER, OpKind.LINEAR, inputs, LAYER, weight=matrix, weight_format=weights, bias=bias,
                           requant=requant)  # fmt: skip
            return self._add(op, (s.outputs,), form)
        if s.kind == "matmul":
            pair = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0)}
        kernel = pair["kernel"]
        # The generator lays columns out as (kernel height, kernel width, channels).
        weight = matrix.reshape(s.outputs, *kernel, -1).transpose(0, 3, 1, 2)
        op = IntegerOp(LAYER, OpKind.CONV2D, inputs, LAYER, attrs={**pair, "groups": s.groups},
                       weight=np.ascontiguousarray(weight), weight_format=weights, bias=bias,
                       requant=requant)  # fmt: skip
        shape = (s.outputs, *self.input[1:]) if s.kind == "matmul" else self._out()
        return self._add(op, shape, form)

    def _matrix(self, rows: int, columns: int, form: Format) -> NDArray[np.int8]:
        """Random weights ``(rows, columns)``; large ones row after row from the generator of the device."""
        row_words, rest = divmod(columns * form.bits, 32)
        if rest or rows * row_words < _FILL_WORDS or self.shape.groups > 1:
            if form.binary:
                return self.rng.choice(np.array([-1, 1], np.int8), (rows, columns))
            return self.rng.integers(form.qmin, form.qmax + 1, (rows, columns)).astype(np.int8)
        counter = (self.seed * 0x01000193) & 0x7FFFFFFF
        self.filled[LAYER] = counter
        matrix = np.empty((rows, columns), np.int8)
        for start in range(0, rows, 256):  # a part at a time: unpacking takes 8 bytes an element
            part = matrix[start : start + 256]
            words = random_words(counter + start * row_words, len(part) * row_words)
            layout = TensorLayout((part.size,), form)
            part[:] = unpack_tensor(words.astype("<u4").tobytes(), layout).reshape(part.shape)
        return matrix

    def case(self) -> Case:
        form = self.tensors["input"].format
        x = self.rng.integers(form.qmin, form.qmax + 1, (1, *self.input)).astype(form.dtype)
        name = f"{self.shape} {self.bits.activation}x{self.bits.weight}"
        return Case(IntegerModel(name, "input", self.ops[-1].output, self.tensors, tuple(self.ops)), x, self.filled)


def _requant(factors: NDArray[np.float64]) -> Requant:
    """Multipliers of 31 bits next to *factors*; powers of two are exact."""
    shift = np.floor(-np.log2(factors)).astype(np.int64) + 30
    multiplier = np.minimum(np.round(factors * 2.0**shift), 2**31 - 1)
    return Requant(multiplier.astype(np.int32), shift.astype(np.int32))
