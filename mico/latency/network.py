"""Cycles of a whole network at any scheme, from the runs measured so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.graph import Graph
from mico.latency.blend import Blend
from mico.latency.features import EXTENDED, columns, features, shape_of, tensor_bits
from mico.quant.scheme import BITS, LayerBits, Scheme

__all__ = ["NetworkLatency", "Sample"]

_IN = "__in"  # suffix of the requant that narrows a layer's input: part of that layer's cost
_OUT_BITS = (*BITS, 32)


@dataclass(frozen=True)
class Sample:
    """Cycles of one convolution or linear layer at its bits, its input's requantisation included."""

    layer: str
    shape: str
    bits: LayerBits
    output_bits: int
    features: NDArray[np.float64]
    cycles: float


class NetworkLatency:
    """Sum over the layers, plus everything else (pools, adds, glue).

    A layer at bits at which it was measured costs what was measured, the mean over the runs that had it. At other bits
    it costs what :class:`mico.latency.blend.Blend` predicts from its features, corrected by the mean logarithmic error
    of that prediction on the same layer: a layer seen at a few of its 16 pairs is known better than a new shape.

    Parameters
    ----------
    graph
        The network.
    trees, seed
        Of the forest in the Blend.
    """

    def __init__(self, graph: Graph, *, trees: int = 100, seed: int = 0) -> None:
        self.graph, self.trees, self.seed = graph, trees, seed
        self._seen: dict[tuple[str, int, int, int], list[float]] = defaultdict(list)  # quantisable layers
        self._rest: dict[tuple[str, int], list[float]] = defaultdict(list)  # other layers by name and output bits
        self._glue: list[float] = []
        self._table: NDArray[np.float64] | None = None  # (L, w, a, output bits)

    def observe(self, scheme: Scheme, layers: Iterable[tuple[str, int]]) -> None:
        """Take in the measured cycles of every layer of one run, as ``(name, cycles)``."""
        total: dict[str, int] = defaultdict(int)
        names = {layer.name for layer in self.graph.layers}
        glue = 0
        for name, cycles in layers:
            owner = name.removesuffix(_IN)
            if owner in names:
                total[owner] += cycles
            else:
                glue += cycles
        missing = [layer.name for layer in self.graph.quantisable if layer.name not in total]
        if missing:
            raise UsageError(f"no cycles of {', '.join(missing)}", where=self.graph.name)
        bits = tensor_bits(self.graph, np.array([scheme.vector()]))
        for layer in self.graph.layers:
            out = int(bits[layer.name][0])
            if layer.quantisable:
                pair = scheme[layer.name]
                self._seen[layer.name, pair.weight, pair.activation, out].append(total[layer.name])
            else:
                self._rest[layer.name, out].append(total[layer.name])
        self._glue.append(glue)
        self._table = None

    def samples(self) -> list[Sample]:
        """What was measured, one sample per layer and bits, in a fixed order."""
        result = []
        for (name, w, a, out), cycles in sorted(self._seen.items()):
            layer, bits = self.graph[name], LayerBits(w, a)
            vector = features(layer, bits, out)
            result.append(Sample(name, shape_of(layer), bits, out, vector, float(np.mean(cycles))))
        return result

    def predict(self, vectors: NDArray[np.int64]) -> NDArray[np.float64]:
        """Cycles ``(N,)`` of the schemes ``(N, 2 L)``.

        Raises
        ------
        UsageError
            Nothing was observed yet.
        """
        if not self._seen:
            raise UsageError("no run was observed yet", where=self.graph.name, cure="measure the 8-bit scheme first")
        if self._table is None:
            self._table = self._fill()
        vectors = np.atleast_2d(np.asarray(vectors, dtype=np.int64))
        half = len(self.graph.quantisable)
        bits = tensor_bits(self.graph, vectors)
        index = np.zeros(33, dtype=np.int64)
        index[list(_OUT_BITS)] = np.arange(len(_OUT_BITS))
        cycles = np.full(len(vectors), float(np.mean(self._glue)))
        position = 0
        for layer in self.graph.layers:
            out = bits[layer.name]
            if layer.quantisable:
                w, a = index[vectors[:, position]], index[vectors[:, half + position]]
                cycles += self._table[position, w, a, index[out]]
                position += 1
            else:
                cost = {int(b): self._other(layer.name, int(b)) for b in np.unique(out)}
                cycles += np.array([cost[int(b)] for b in out])
        return cycles

    def _other(self, name: str, out: int) -> float:
        exact = self._rest.get((name, out))
        if exact:
            return float(np.mean(exact))
        seen = [c for (other, _), values in sorted(self._rest.items()) if other == name for c in values]
        return float(np.mean(seen))

    def _fill(self) -> NDArray[np.float64]:
        samples = self.samples()
        use = columns(EXTENDED)
        blend = Blend(self.trees, self.seed)
        blend.fit(np.array([s.features[use] for s in samples]), np.array([s.cycles for s in samples]))
        table = np.empty((len(self.graph.quantisable), len(BITS), len(BITS), len(_OUT_BITS)))
        for i, layer in enumerate(self.graph.quantisable):
            cells = [(LayerBits(w, a), out) for w in BITS for a in BITS for out in _OUT_BITS]
            x = np.array([features(layer, bits, out)[use] for bits, out in cells])
            predicted = blend.predict(x)
            own = [s for s in samples if s.layer == layer.name]
            if own:
                error = np.log([s.cycles for s in own]) - np.log(
                    blend.predict(np.array([s.features[use] for s in own]))
                )
                predicted = predicted * np.exp(error.sum() / (len(own) + 0.5))
            table[i] = predicted.reshape(table.shape[1:])
            pairs: dict[tuple[int, int], list[float]] = defaultdict(list)
            for s in own:
                pairs[BITS.index(s.bits.weight), BITS.index(s.bits.activation)].append(s.cycles)
            for (w, a), cycles in pairs.items():  # the output's width matters little: better than any prediction
                table[i, w, a, :] = np.mean(cycles)
            for s in own:
                at = BITS.index(s.bits.weight), BITS.index(s.bits.activation), _OUT_BITS.index(s.output_bits)
                table[i][at] = s.cycles
        return table
