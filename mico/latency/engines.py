"""What each kind of target does for every layer of a network at every bits: counts, on which a model puts prices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.machine import Machine
from mico.codegen.c.stream import LANES
from mico.errors import UsageError
from mico.graph import Graph, Layer, OpKind
from mico.latency import bitfusion_cost, stream_cost
from mico.latency.cells import IN, Cell, Cells
from mico.latency.features import tensor_bits
from mico.quant.scheme import BITS, LayerBits, Scheme

__all__ = ["OUT_BITS", "BitFusion", "CountTable", "Engine", "Stream", "engine_for"]

OUT_BITS = (*BITS, 32)
"""Widths that a layer may write."""


@dataclass(frozen=True)
class CountTable:
    """Counts of all that a scheme of one network can consist of; bits as indices of BITS, of outputs of OUT_BITS.

    Attributes
    ----------
    layers
        ``(L, 4, 4, 5, K)``: layer, weight bits, activation bits, output bits; the layer alone.
    narrowing
        ``(L, 4, 4, K)``: layer, bits of its input tensor, activation bits: the requantisation between them.
    others
        By name of a layer without weights: ``(5, K)``, by output bits.
    """

    layers: NDArray[np.float64]
    narrowing: NDArray[np.float64]
    others: Mapping[str, NDArray[np.float64]]


class Engine(ABC):
    """Counts of one kind of target.

    Attributes
    ----------
    name
        Of the kind.
    columns
        What is counted; each is worth a non-negative number of cycles.
    """

    name: str
    columns: tuple[str, ...]

    def identity(self) -> str:
        """All that decides the counts beside the code."""
        return self.name

    @abstractmethod
    def cell(self, cell: Cell) -> NDArray[np.float64]:
        """Counts ``(K,)`` of one operation by itself."""

    def table(self, graph: Graph) -> CountTable:
        """Counts of everything that a scheme of *graph* may ask for."""
        cells, known = Cells(graph), dict[tuple[object, ...], NDArray[np.float64]]()

        def counted(cell: Cell) -> NDArray[np.float64]:
            key = cell.key()
            if key not in known:
                known[key] = self.cell(cell)
            return known[key]

        layers = graph.quantisable
        width = len(self.columns)
        table = np.zeros((len(layers), len(BITS), len(BITS), len(OUT_BITS), width))
        narrowing = np.zeros((len(layers), len(BITS), len(BITS), width))
        for i, layer in enumerate(layers):
            outs = self._outputs(graph, layer)
            for j, w in enumerate(BITS):
                for k, a in enumerate(BITS):
                    for m, out in enumerate(OUT_BITS):
                        if out in outs:
                            table[i, j, k, m] = counted(cells.weighted(layer, LayerBits(w, a), out))
            for j, source in enumerate(BITS):
                for k, a in enumerate(BITS):
                    if a < source:
                        narrowing[i, j, k] = counted(cells.narrowing(layer, source, a))
        others = {}
        for layer in graph.layers:
            if not layer.quantisable:
                outs = self._outputs(graph, layer)
                zero = np.zeros(width)
                others[layer.name] = np.array(
                    [counted(cells.other(layer, out)) if out in outs else zero for out in OUT_BITS]
                )
        return CountTable(table, narrowing, others)

    @staticmethod
    def _outputs(graph: Graph, layer: Layer) -> tuple[int, ...]:
        """Widths that *layer* may write: 32 where nobody but flattens reads it."""
        readers = graph.consumers(layer.name)
        while len(readers) == 1 and readers[0].kind is OpKind.FLATTEN:
            readers = graph.consumers(readers[0].name)
        if readers or layer.relu:
            return BITS
        return (*BITS, 32)


class Stream(Engine):
    """The SoC with its streaming engine."""

    name = "stream"
    columns = stream_cost.COLUMNS

    def cell(self, cell: Cell) -> NDArray[np.float64]:
        return stream_cost.stream_counts(cell.op, list(cell.inputs), cell.out)


class BitFusion(Engine):
    """The accelerator: cycles that its compiler predicts.

    A layer of a network at one pair of bits throughout costs what the compiler predicts for that network, where weights
    arrive while the layer before runs; other output bits differ from that as they do for the layer by itself.
    """

    name = "bitfusion"
    columns = bitfusion_cost.COLUMNS

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()

    def identity(self) -> str:
        return f"{self.name} {self.machine.parameters()}"

    def cell(self, cell: Cell) -> NDArray[np.float64]:
        return bitfusion_cost.bitfusion_counts(cell, self.machine)

    def table(self, graph: Graph) -> CountTable:
        table = super().table(graph)
        cycles, vector = self.columns.index("array_cycles"), self.columns.index("vector_cycles")
        position = {layer.name: i for i, layer in enumerate(graph.quantisable)}
        inside = set[str]()
        for j, w in enumerate(BITS):
            for k, a in enumerate(BITS):
                scheme = Scheme.uniform(graph.layer_names, w, a)
                bits = {n: int(b[0]) for n, b in tensor_bits(graph, np.array([scheme.vector()])).items()}
                found = bitfusion_cost.network_cycles(graph, scheme, bits, self.machine)
                inside |= set(found)
                for name, i in position.items():
                    if f"{name}{IN}" in found and a < 8:  # of a tensor of 8 bits
                        table.narrowing[i, 0, k, vector] = found[f"{name}{IN}"]
                    alone = table.layers[i, j, k, :, cycles]
                    m = OUT_BITS.index(bits[name])
                    shifted = np.maximum(alone - alone[m] + found[name], 0.3 * found[name])
                    table.layers[i, j, k, :, cycles] = np.where(alone > 0, shifted, 0)
        for name in table.others:
            if name not in inside:  # a max-pool that its convolution does on the way out, or a flatten
                table.others[name][:] = 0
        return table


def engine_for(kind: str, parameters: Mapping[str, str | int]) -> Engine:
    """The engine of a target, from its provenance: *kind* and *parameters*.

    Raises
    ------
    UsageError
        No engine of ours: a board with another SoC, or one without the streaming engine.
    """
    if kind == "bitfusion-sim" or "ibuf_bytes" in parameters:
        names = Machine().parameters()
        return BitFusion(Machine(**{name: int(parameters[name]) for name in names if name in parameters}))
    if (int(parameters.get("simd_version", 0)), int(parameters.get("simd_lanes", LANES))) == (2, LANES):
        return Stream()
    raise UsageError(
        f"no latency model knows the engine of {kind}",
        where="latency",
        cure="let predictions learn from its runs: NetworkLatency without a model",
    )
