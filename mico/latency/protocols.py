"""How far off latency models are on networks that they never saw, and after a few pairs of a network were measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from mico.latency.active import spread_pairs
from mico.latency.blend import Blend
from mico.latency.corpus import CORNERS, Corpus
from mico.latency.engines import Engine
from mico.latency.features import BOPS, CBOPS, EXTENDED, FEATURES, columns
from mico.latency.linear import Bops, Cbops
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.latency.samples import Operations, corpus_graphs
from mico.quant.scheme import BITS, Scheme

__all__ = ["BASELINES", "Baseline", "Errors", "held_out_networks"]


@dataclass(frozen=True)
class Baseline:
    """An estimator and the features that it is given; ``what`` says it in words."""

    what: str
    make: Callable[[], Any]
    features: tuple[str, ...]


_BYTES = (*CBOPS, "weight_bytes", "input_bytes", "output_bytes", "outputs", "patch")

BASELINES: Mapping[str, Baseline] = {
    "bops": Baseline("BOPs, linear", Bops, BOPS),
    "cbops": Baseline("CBOPs as published, linear", Cbops, CBOPS),
    "cbops_bytes": Baseline("CBOPs, true bytes of the tensors and shapes, linear", Cbops, _BYTES),
    "blend": Baseline("CBOPs and outputs, linear, forest on the residual", Blend, EXTENDED),
    "log_blend": Baseline("all features, log-linear, forest on the residual", lambda: Blend(base="log"), FEATURES),
}

OURS = "ours"


@dataclass
class Errors:
    """Measured and predicted cycles of one protocol; ``inside``: whether the interval of 90 % held the measured."""

    measured: list[float]
    predicted: list[float]
    inside: list[bool]
    network: list[str]

    @classmethod
    def empty(cls) -> Errors:
        return cls([], [], [], [])

    def add(
        self,
        network: str,
        measured: NDArray[np.float64],
        predicted: NDArray[np.float64],
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        self.measured += measured.tolist()
        self.predicted += predicted.tolist()
        self.inside += [] if inside is None else inside.tolist()
        self.network += [network] * len(measured)

    def summary(self) -> dict[str, Any]:
        """Errors in percent, of all and by network; R2; how many of 100 intervals held.

        ``coverage_90`` is the mean over the networks, each of which counts the same: a new network is what intervals
        are for, and what they are calibrated for. ``coverage_90_pooled`` counts every layer the same.
        """
        measured, predicted = np.array(self.measured), np.array(self.predicted)
        off, names = 100 * np.abs(predicted / measured - 1), np.array(self.network)
        result: dict[str, Any] = {
            "n": len(measured),
            "mape": round(float(off.mean()), 3),
            "median": round(float(np.median(off)), 3),
            "p95": round(float(np.quantile(off, 0.95)), 3),
            "worst": round(float(off.max()), 3),
            "r2": round(float(r2_score(measured, predicted)), 4),
            "mape_by_network": {
                name: round(float(off[names == name].mean()), 3) for name in dict.fromkeys(self.network)
            },
        }
        if self.inside:
            inside = np.array(self.inside)
            by_network = {name: 100 * float(inside[names == name].mean()) for name in dict.fromkeys(self.network)}
            result["coverage_90"] = round(float(np.mean(list(by_network.values()))), 2)
            result["coverage_90_pooled"] = round(100 * float(inside.mean()), 2)
            result["coverage_by_network"] = {name: round(share, 1) for name, share in by_network.items()}
        return result


@dataclass(frozen=True)
class _Layers:
    """Convolution and linear layers of one corpus: their own operation and the requantisation in front of it."""

    rows: NDArray[np.int64]
    narrow: NDArray[np.int64]  # row of the requantisation, or -1
    cycles: NDArray[np.float64]

    @classmethod
    def of(cls, operations: Operations) -> _Layers:
        rows = np.flatnonzero(operations.role == "layer")
        place = {(operations.run[i], operations.layer[i]): i for i in np.flatnonzero(operations.role == "in")}
        narrow = np.array([place.get((operations.run[i], operations.layer[i]), -1) for i in rows])
        extra = np.where(narrow >= 0, operations.cycles[narrow], 0.0)
        return cls(rows, narrow, operations.cycles[rows] + extra)


def held_out_networks(
    corpus: Corpus,
    engine: Engine,
    *,
    seed: int = 0,
    measured: Sequence[int] = (1, 2, 3, 5, 8),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Every model under every protocol, each network of the zoo held out in turn, and with it every shape it has.

    Layers count with the requantisation in front of them. ``network_out``: nothing of the network was measured;
    ``1of16`` ...: so many pairs of bits were, in all of its layers, and the other pairs are predicted; ``3of16`` is
    with the pairs that active profiling chooses, ``3of16_random`` the mean over five random choices. ``whole_*`` are
    whole networks, of ours all operations, of the others convolutions and linear layers alone.

    Returns
    -------
    ``{protocol: {model: summary}}``, see :meth:`Errors.summary`.
    """
    graphs = corpus_graphs(corpus)
    operations = Operations.of(corpus, engine, graphs)
    layers = _Layers.of(operations)
    uniform = np.array([run.uniform for run in corpus.runs])
    tables: dict[str, dict[str, Errors]] = {}

    def table(protocol: str, model: str) -> Errors:
        return tables.setdefault(protocol, {}).setdefault(model, Errors.empty())

    rng = np.random.default_rng(seed)
    choices = {k: [_random_pairs(rng, k) for _ in range(5)] for k in measured}
    for name in corpus.networks:
        if name == CORNERS:
            continue
        say(f"{name} held out")
        held = operations.network == name
        seen = ~held & ~np.isin(operations.group, np.unique(operations.group[held]))
        mine = held[layers.rows]
        train = seen[layers.rows]
        own, cycles = layers.rows[mine], layers.cycles[mine]
        runs, names = operations.run[own], operations.layer[own]
        pairs = operations.bits[own, :2]
        total = np.array([float(corpus.runs[i].cycles) for i in np.unique(runs)])

        model = LayerModel.of(operations[seen], engine, corpus.target, "", seed=seed)
        predictions = {OURS: _ours(model, operations, layers, mine)}
        for key, baseline in BASELINES.items():
            use = columns(baseline.features)
            x = operations.features[layers.rows][:, use]
            predictions[key] = baseline.make().fit(x[train], layers.cycles[train]).predict(x[mine])
        for key, predicted in predictions.items():
            inside = _inside(model, operations, own) if key == OURS else None
            table("network_out", key).add(name, cycles, predicted, inside)
            whole = _by_run(runs, cycles), _by_run(runs, predicted)
            table("whole_layers_network_out", key).add(name, *whole)
        for k in measured:
            variants = {"": [spread_pairs(model.process, k)], "_random": choices[k]}
            for suffix, trials in variants.items():
                for trial in trials:
                    known = uniform[runs] & np.isin(pairs @ (100, 1), np.array(trial) @ (100, 1))
                    ask = uniform[runs] & ~known
                    for key, predicted in predictions.items():
                        if key == OURS:
                            corrected, inside = _after(model, operations, own, known, predicted)
                        else:
                            corrected, inside = _shifted(names, known, cycles, predicted), None
                        entry = table(f"{k}of16{suffix}", key)
                        entry.add(name, cycles[ask], corrected[ask], None if inside is None else inside[ask])

        graph = graphs[name]
        vectors = np.array([corpus.runs[i].vector for i in np.unique(runs)])
        for k in (0, 3):
            latency = NetworkLatency(graph, model=model)
            trio = set(spread_pairs(model.process, k))
            fresh = np.ones(len(vectors), bool)
            for place, i in enumerate(np.unique(runs)):
                run = corpus.runs[i]
                if run.uniform and (run.vector[0], run.vector[-1]) in trio:
                    latency.observe(Scheme.from_vector(graph.layer_names, run.vector), run.layers)
                    fresh[place] = False
            low, high = latency.predict_interval(vectors[fresh])
            protocol = "whole_network_out" if k == 0 else f"whole_{k}of16"
            held_in = (low <= total[fresh]) & (total[fresh] <= high)
            table(protocol, OURS).add(name, total[fresh], latency.predict(vectors[fresh]), held_in)
    return {protocol: {key: errors.summary() for key, errors in row.items()} for protocol, row in tables.items()}


def _random_pairs(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    pairs = [(w, a) for w in BITS for a in BITS]
    return [pairs[i] for i in rng.permutation(len(pairs))[:count]]


def _ours(model: LayerModel, operations: Operations, layers: _Layers, mine: NDArray[np.bool_]) -> NDArray[np.float64]:
    own, narrow = layers.rows[mine], layers.narrow[mine]
    extra = np.where(narrow >= 0, model.cycles(operations.counts[narrow]), 0.0)
    return model.cycles(operations.counts[own]) + extra


def _inside(model: LayerModel, operations: Operations, own: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the interval of each layer, of which nothing was measured, holds what was measured."""
    error = np.abs(np.log(operations.cycles[own] / model.cycles(operations.counts[own])))
    factor = model.calibrated.of_layer(0.9, 0) * model.process.prior_sd()
    held: NDArray[np.bool_] = error <= factor * _scales(model, operations, own)
    return held


def _after(
    model: LayerModel,
    operations: Operations,
    own: NDArray[np.int64],
    known: NDArray[np.bool_],
    predicted: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Predictions corrected by the layer's *known* ones; whether the intervals held the measured operation."""
    prior = model.cycles(operations.counts[own])
    extra = predicted - prior  # the requantisation in front
    error = np.log(operations.cycles[own] / prior)
    names = operations.layer[own]
    scale = _scales(model, operations, own)
    shapes = np.unique(operations.group[own], return_inverse=True)[1].astype(np.int64)
    cells = model.cells(shapes, operations.bits[own], operations.counts[own])
    belief = model.process.posterior(cells[known], (error / scale)[known], cells[~known])
    corrected, inside = predicted.copy(), np.ones(len(own), bool)
    corrected[~known] = prior[~known] * np.exp(belief.mean * scale[~known]) + extra[~known]
    count = {name: int(known[names == name].sum()) for name in dict.fromkeys(names)}
    factor = np.array([model.calibrated.of_layer(0.9, count[name]) for name in names])
    inside[~known] = np.abs((error / scale)[~known] - belief.mean) <= factor[~known] * belief.sd
    return corrected, inside


def _scales(model: LayerModel, operations: Operations, own: NDArray[np.int64]) -> NDArray[np.float64]:
    names, scale = operations.layer[own], np.empty(len(own))
    for name in dict.fromkeys(names):
        rows = names == name
        scale[rows] = model.scale(operations.counts[own][rows])
    return scale


def _shifted(
    names: NDArray[np.str_], known: NDArray[np.bool_], cycles: NDArray[np.float64], predicted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Predictions times the mean ratio of measured to predicted of the layer's *known* ones."""
    corrected = predicted.copy()
    for name in dict.fromkeys(names):
        rows = names == name
        ratio = np.log(cycles[rows & known] / predicted[rows & known])
        corrected[rows] *= np.exp(ratio.mean())
    return corrected


def _by_run(runs: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.bincount(runs, values).astype(np.float64)
    return sums[np.unique(runs)]
