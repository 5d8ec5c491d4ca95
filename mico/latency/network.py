"""Cycles of a whole network at any scheme, from the runs measured so far and what is known of the target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.graph import Graph
from mico.latency.cells import IN
from mico.latency.correction import Cells
from mico.latency.engines import OUT_BITS, CountTable, Engine
from mico.latency.features import features, shape_of, tensor_bits
from mico.latency.model import LayerModel
from mico.latency.prior import Prior, prior_of_blend, prior_of_counts, prior_of_model
from mico.latency.samples import cached_table
from mico.quant.scheme import BITS, LayerBits, Scheme

__all__ = ["NetworkLatency", "Sample"]


@dataclass(frozen=True)
class Sample:
    """Cycles of one convolution or linear layer at its bits, its input's requantisation included."""

    layer: str
    shape: str
    bits: LayerBits
    output_bits: int
    features: NDArray[np.float64]
    cycles: float


@dataclass(frozen=True)
class _Tables:
    """Cycles and their believed relative errors; bits as indices of BITS, of outputs of OUT_BITS.

    *layers* ``(L, 4, 4, 5)``, *narrowing* ``(L, 4, 4)``: from, to; *others* by name ``(5,)``.
    """

    layers: NDArray[np.float64]
    layer_errors: NDArray[np.float64]
    narrowing: NDArray[np.float64]
    narrowing_errors: NDArray[np.float64]
    others: dict[str, NDArray[np.float64]]
    other_errors: dict[str, NDArray[np.float64]]
    glue: float
    factor: Callable[[float, bool], float]


class NetworkLatency:
    """Sum over the layers, plus everything else (pools, adds, glue).

    A layer at bits at which it was measured costs what was measured, the mean over the runs that had it. At other bits
    it costs what is believed of it (:mod:`mico.latency.prior`), corrected by what the measured bits of layers of its
    shape say (:class:`mico.latency.correction.PairProcess`): a layer seen at a few of its 16 pairs is known better than
    a new shape.

    Parameters
    ----------
    graph
        The network.
    model
        A model of the target: then cycles are predicted before anything is measured, and intervals are calibrated.
    engine
        Without a model: what the target does, with prices fitted to the runs observed. Without either, a
        :class:`mico.latency.blend.Blend` of features that hold for any target.
    trees, seed
        Of the forest in the Blend.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        trees: int = 100,
        seed: int = 0,
        model: LayerModel | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.graph, self.trees, self.seed, self.model = graph, trees, seed, model
        self.engine = engine if model is None else model.engine
        self._seen: dict[tuple[str, int, int, int], list[float]] = defaultdict(list)  # with the narrowing of the input
        self._own: dict[tuple[str, int, int, int], list[float]] = defaultdict(list)  # without
        self._narrow: dict[tuple[str, int, int], list[float]] = defaultdict(list)
        self._rest: dict[tuple[str, int], list[float]] = defaultdict(list)  # other layers by name and output bits
        self._glue: list[float] = []
        self._tables: _Tables | None = None

    def observe(self, scheme: Scheme, layers: Iterable[tuple[str, int]]) -> None:
        """Take in the measured cycles of every layer of one run, as ``(name, cycles)``."""
        cycles: dict[str, int] = defaultdict(int)
        names = {layer.name for layer in self.graph.layers}
        glue = 0
        for name, count in layers:
            if name.removesuffix(IN) in names:
                cycles[name] += count
            else:
                glue += count
        missing = [layer.name for layer in self.graph.quantisable if layer.name not in cycles]
        if missing:
            raise UsageError(f"no cycles of {', '.join(missing)}", where=self.graph.name)
        bits = tensor_bits(self.graph, np.array([scheme.vector()]))
        for layer in self.graph.layers:
            out = int(bits[layer.name][0])
            if layer.quantisable:
                pair, narrowing = scheme[layer.name], cycles.get(f"{layer.name}{IN}", 0)
                key = (layer.name, pair.weight, pair.activation, out)
                self._seen[key].append(cycles[layer.name] + narrowing)
                self._own[key].append(cycles[layer.name])
                source = int(bits[layer.inputs[0]][0])
                if source != pair.activation:
                    self._narrow[layer.name, source, pair.activation].append(narrowing)
            else:
                self._rest[layer.name, out].append(cycles.get(layer.name, 0))
        self._glue.append(glue)
        self._tables = None

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
            Nothing was observed yet, and there is no model.
        """
        return self._sum(vectors)[0]

    def predict_interval(
        self, vectors: NDArray[np.int64], coverage: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least and most cycles ``(N,)`` of the schemes ``(N, 2 L)``, right in *coverage* of all cases.

        With a model, calibrated on whole networks that the model had not seen; without, only an estimate.

        Raises
        ------
        UsageError
            As :meth:`predict`; or a coverage that was not calibrated.
        """
        cycles, error = self._sum(vectors)
        factor = self._filled().factor(coverage, bool(self._seen))
        ratio = np.exp(factor * error / np.maximum(cycles, 1.0))
        return cycles / ratio, cycles * ratio

    def layer_table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cycles and believed relative errors ``(L, 4, 4, 5)`` of every layer by itself; bits as in BITS, OUT_BITS."""
        tables = self._filled()
        return tables.layers.copy(), tables.layer_errors.copy()

    # ---- details

    def _sum(self, vectors: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cycles, and their believed error in cycles."""
        tables = self._filled()
        vectors = np.atleast_2d(np.asarray(vectors, dtype=np.int64))
        half = len(self.graph.quantisable)
        bits = tensor_bits(self.graph, vectors)
        index = np.zeros(33, dtype=np.int64)
        index[list(OUT_BITS)] = np.arange(len(OUT_BITS))
        cycles = np.full(len(vectors), tables.glue)
        errors: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(vectors)))
        position = 0
        for layer in self.graph.layers:
            out = index[bits[layer.name]]
            if not layer.quantisable:
                own = tables.others[layer.name][out]
                errors[layer.name] = errors[layer.name] + own * tables.other_errors[layer.name][out]
                cycles += own
                continue
            w, a = index[vectors[:, position]], index[vectors[:, half + position]]
            source = index[bits[layer.inputs[0]]]
            own, narrowing = tables.layers[position, w, a, out], tables.narrowing[position, source, a]
            cycles += own + narrowing
            # Errors of layers of one shape have the same sign; those of different shapes are independent
            group = self._shapes[position]
            errors[group] = errors[group] + own * tables.layer_errors[position, w, a, out]
            errors[f"{group}{IN}"] = errors[f"{group}{IN}"] + narrowing * tables.narrowing_errors[position, source, a]
            position += 1
        total = np.zeros(len(vectors))
        for error in errors.values():
            total += error * error
        return cycles, np.sqrt(total)

    @cached_property
    def _shapes(self) -> list[str]:
        return [shape_of(layer) for layer in self.graph.quantisable]

    @cached_property
    def _counts(self) -> CountTable:
        assert self.engine is not None
        return cached_table(self.engine, self.graph)

    @property
    def _prior(self) -> Prior:
        if self.model is not None:
            return self._of_model
        if self.engine is not None:
            return prior_of_counts(self._counts, *self._counted())
        return prior_of_blend(self.graph, self.samples(), self.trees, self.seed)

    @cached_property
    def _of_model(self) -> Prior:
        assert self.model is not None
        return prior_of_model(self.model, self._counts)

    def _counted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Counts and cycles of what was measured."""
        rows, cycles = [], []
        names = self.graph.layer_names
        for (name, w, a, out), values in sorted(self._own.items()):
            rows.append(self._counts.layers[names.index(name), _at(w), _at(a), OUT_BITS.index(out)])
            cycles.append(float(np.mean(values)))
        for (name, source, a), values in sorted(self._narrow.items()):
            rows.append(self._counts.narrowing[names.index(name), _at(source), _at(a)])
            cycles.append(float(np.mean(values)))
        for (name, out), values in sorted(self._rest.items()):
            rows.append(self._counts.others[name][OUT_BITS.index(out)])
            cycles.append(float(np.mean(values)))
        counts, measured = np.array(rows), np.array(cycles)
        used = counts.any(axis=1) & (measured > 0)
        return counts[used], measured[used]

    def _filled(self) -> _Tables:
        if self._tables is None:
            if not self._seen and self.model is None:
                raise UsageError(
                    "no run was observed yet", where=self.graph.name, cure="measure the 8-bit scheme first"
                )
            prior = self._prior
            layers, errors = self._layers(prior)
            narrowing, narrowing_errors = self._narrowings(prior)
            others, other_errors = self._others(prior)
            glue = float(np.mean(self._glue)) if self._glue else 0.0
            self._tables = _Tables(
                layers, errors, narrowing, narrowing_errors, others, other_errors, glue, prior.factor
            )
        return self._tables

    def _layers(self, prior: Prior) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        seen = self._seen if prior.narrowing is None else self._own
        names = self.graph.layer_names
        where, cycles = list[tuple[int, int, int, int]](), list[float]()
        for (name, w, a, out), values in sorted(seen.items()):
            where.append((names.index(name), _at(w), _at(a), OUT_BITS.index(out)))
            cycles.append(float(np.mean(values)))
        shapes = np.unique(np.array(self._shapes), return_inverse=True)[1].astype(np.int64)
        everywhere = np.indices(prior.layers.shape).reshape(4, -1).T
        known = np.array(where, dtype=np.int64).reshape(-1, 4)
        table, measured = prior.layers.copy(), np.array(cycles)
        scale = prior.scale[known[:, 0]]
        errors = np.log(measured / table[tuple(known.T)]) / scale
        belief = prior.process.posterior(
            _process_cells(known, shapes, prior), errors, _process_cells(everywhere, shapes, prior)
        )
        sizes = prior.scale[everywhere[:, 0]]
        table *= np.exp(belief.mean * sizes).reshape(table.shape)
        off = (belief.sd * sizes).reshape(table.shape)
        table[tuple(known.T)], off[tuple(known.T)] = measured, 0.0
        return table, off

    def _narrowings(self, prior: Prior) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if prior.narrowing is None:
            zero = np.zeros((len(self._shapes), len(BITS), len(BITS)))
            return zero, zero
        table, errors = prior.narrowing.copy(), np.full(prior.narrowing.shape, prior.rest_scale)
        for i, name in enumerate(self.graph.layer_names):
            own: dict[tuple[int, ...], float] = {
                (_at(f), _at(t)): float(np.mean(v)) for (n, f, t), v in self._narrow.items() if n == name
            }
            _correct(table[i], errors[i], own)
        return table, errors

    def _others(self, prior: Prior) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        tables, errors = {}, {}
        for layer in self.graph.layers:
            if layer.quantisable:
                continue
            own: dict[tuple[int, ...], float] = {
                (OUT_BITS.index(o),): float(np.mean(v)) for (n, o), v in self._rest.items() if n == layer.name
            }
            if prior.others is None:
                table = np.full(len(OUT_BITS), float(np.mean(list(own.values()))))
            else:
                table = prior.others[layer.name].copy()
            error = np.full(len(table), prior.rest_scale)
            _correct(table, error, own)
            tables[layer.name], errors[layer.name] = table, error
        return tables, errors


def _at(bits: int) -> int:
    return BITS.index(bits)


def _process_cells(where: NDArray[np.int64], shapes: NDArray[np.int64], prior: Prior) -> Cells:
    """Cells of the places *where* ``(n, 4)`` of a table of layers."""
    bits = np.column_stack([np.array(BITS)[where[:, 1]], np.array(BITS)[where[:, 2]], np.array(OUT_BITS)[where[:, 3]]])
    return Cells(shapes[where[:, 0]], bits, None if prior.work is None else prior.work[tuple(where.T)])


def _correct(table: NDArray[np.float64], errors: NDArray[np.float64], own: dict[tuple[int, ...], float]) -> None:
    """Measured cells as measured; the others by the mean ratio of those."""
    ratios = [np.log(cycles / table[at]) for at, cycles in own.items() if cycles > 0 and table[at] > 0]
    if ratios:
        table *= np.exp(np.mean(ratios))
        errors *= 0.5
    for at, cycles in own.items():
        table[at], errors[at] = cycles, 0.0
