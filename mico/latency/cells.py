"""Operations of a network at their bits, without values: what an engine's work is counted for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import TensorLayout
from mico.graph import Graph, Layer, OpKind, Shape
from mico.quant.integer import Format, IntegerOp, Requant
from mico.quant.scheme import LayerBits

__all__ = ["IN", "Cell", "Cells", "signs"]

IN = "__in"
"""Suffix of the requantisation that narrows a layer's input."""

_WIDE = Format(32, True)


@dataclass(frozen=True)
class Cell:
    """One operation with the formats of its tensors.

    Attributes
    ----------
    op
        Weights are an array of stride zero, constants those of no network.
    inputs, out
        Its tensors.
    picture
        Shape of the picture that its input was flattened from, if it was.
    pool
        The max-pool that alone reads its result, if there is one: an accelerator may do it on the way out.
    """

    op: IntegerOp
    inputs: tuple[TensorLayout, ...]
    out: TensorLayout
    picture: Shape | None = None
    pool: Layer | None = None

    @property
    def kind(self) -> str:
        return str(self.op.kind)

    @property
    def weight_bits(self) -> int:
        """0 for an operation without weights."""
        return 0 if self.op.weight_format is None else self.op.weight_format.bits

    def key(self) -> tuple[object, ...]:
        """Cells of the same key cost the same."""
        op = self.op
        weight = None if op.weight is None else op.weight.shape
        pool = None if self.pool is None else tuple(sorted(self.pool.attrs.items()))
        tensors = tuple((t.shape, t.format.bits, t.format.signed) for t in (*self.inputs, self.out))
        return (self.kind, tuple(sorted(op.attrs.items())), weight, self.weight_bits, tensors, self.picture, pool)


def signs(graph: Graph, input_signed: bool = False) -> dict[str, bool]:
    """Whether each tensor can be negative, by the rules of calibration."""
    signed = {"input": input_signed}
    for layer in graph.layers:
        negative = layer.quantisable or any(signed[name] for name in layer.inputs)
        signed[layer.name] = negative and not layer.relu and layer.kind is not OpKind.RELU
    return signed


@dataclass(frozen=True)
class Cells:
    """Makes the cells of one network."""

    graph: Graph
    input_signed: bool = False

    def weighted(self, layer: Layer, bits: LayerBits, out_bits: int) -> Cell:
        """The layer itself, behind its input's requantisation."""
        assert layer.weight is not None
        signed = signs(self.graph, self.input_signed)
        count = layer.weight.shape[0]
        op = IntegerOp(
            layer.name,
            layer.kind,
            ("source",),
            "out",
            layer.attrs,
            np.broadcast_to(np.ones((), np.int8), layer.weight.shape),
            Format(bits.weight, True),
            np.ones(count, np.int32),
            _scale(count),
        )
        source = TensorLayout(layer.in_shapes[0], Format(bits.activation, signed[layer.inputs[0]]))
        out = TensorLayout(layer.out_shape, _format(out_bits, signed[layer.name]))
        return Cell(op, (source,), out, self._picture(layer), self._pool(layer))

    def narrowing(self, layer: Layer, from_bits: int, to_bits: int) -> Cell:
        """The requantisation in front of *layer*."""
        signed = signs(self.graph, self.input_signed)[layer.inputs[0]]
        shape = self._picture(layer) or layer.in_shapes[0]
        op = IntegerOp(f"{layer.name}{IN}", "requant", ("source",), "out", requant=_scale(1))
        source = TensorLayout(shape, Format(from_bits, signed))
        return Cell(op, (source,), TensorLayout(shape, Format(to_bits, signed)))

    def other(self, layer: Layer, out_bits: int) -> Cell:
        """An operation without weights; its inputs have the bits that the rules of demand give them."""
        signed = signs(self.graph, self.input_signed)
        transparent = layer.kind in (OpKind.MAX_POOL, OpKind.FLATTEN)
        bits = out_bits if transparent else 8
        inputs = tuple(
            TensorLayout(shape, Format(bits, signed[name]))
            for name, shape in zip(layer.inputs, layer.in_shapes, strict=True)
        )
        kind = "requant" if layer.kind is OpKind.RELU else layer.kind
        count = len(layer.inputs) if layer.kind in (OpKind.ADD, OpKind.CONCAT) else 1
        requant = None if transparent else _scale(count, 1 if layer.kind is OpKind.ADD else count)
        attrs = {} if layer.kind is OpKind.RELU else layer.attrs
        names = tuple(f"source{i}" for i in range(len(inputs)))
        op = IntegerOp(layer.name, kind, names, "out", attrs, requant=requant)
        form = inputs[0].format if transparent else _format(out_bits, signed[layer.name])
        return Cell(op, inputs, TensorLayout(layer.out_shape, form))

    def of_scheme(self, bits: dict[str, int], scheme: dict[str, LayerBits]) -> Iterator[tuple[str, Cell]]:
        """Names and cells of all operations of a scheme; *bits* are those of every tensor.

        What only views the output is left out.
        """
        layers = list(self.graph.layers)
        while layers[-1].kind is OpKind.FLATTEN and bits[layers[-1].name] == 32:
            layers.pop()
        for layer in layers:
            if layer.quantisable:
                own, source = scheme[layer.name], bits[layer.inputs[0]]
                if source != own.activation:
                    yield f"{layer.name}{IN}", self.narrowing(layer, source, own.activation)
                yield layer.name, self.weighted(layer, own, bits[layer.name])
            else:
                yield layer.name, self.other(layer, bits[layer.name])

    def _picture(self, layer: Layer) -> Shape | None:
        """Shape in front of the flattens in front of *layer*."""
        name, shape = layer.inputs[0], None
        while name != "input" and self.graph[name].kind is OpKind.FLATTEN:
            shape, name = self.graph[name].in_shapes[0], self.graph[name].inputs[0]
        return shape

    def _pool(self, layer: Layer) -> Layer | None:
        readers = self.graph.consumers(layer.name)
        if layer.kind is not OpKind.CONV2D or len(readers) != 1 or readers[0].kind is not OpKind.MAX_POOL:
            return None
        pool = readers[0]
        plain = pool.pair("stride") == pool.pair("kernel") and pool.pair("padding") == (0, 0)
        return pool if plain else None


def _format(bits: int, signed: bool) -> Format:
    return _WIDE if bits == 32 else Format(bits, signed)


def _scale(multipliers: int, shifts: int | None = None) -> Requant:
    many: NDArray[np.int32] = np.full(multipliers, 1 << 30, np.int32)
    return Requant(many, np.full(multipliers if shifts is None else shifts, 38, np.int32))
