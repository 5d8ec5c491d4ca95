"""The latency model of one target: prices of what its engine does, how far off they are, and for what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from mico.errors import UsageError
from mico.latency.corpus import CORNERS, Corpus
from mico.latency.correction import Cells, PairProcess
from mico.latency.engines import Engine
from mico.latency.mechanistic import Mechanistic
from mico.latency.samples import Operations
from mico.latency.trees import Forest

__all__ = ["Calibrated", "LayerModel", "out_of_fold", "weighted_quantile"]

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.98)
"""Coverages that intervals are calibrated for; between them quantiles are interpolated."""

_FOLDS = 8
_MEASURED = (0, 1, 2, 3, 5)
"""Measured cells of a layer for which quantiles are kept; in between, those of fewer."""
_LEAST = 5e-4  # relative error that is never believed to be undercut


@dataclass(frozen=True)
class Calibrated:
    """Quantiles of error over believed error, by coverage (rows as COVERAGES).

    Attributes
    ----------
    layer
        ``(len(COVERAGES), len(_MEASURED))``, of one layer, by how many of its cells were measured.
    network
        ``(len(COVERAGES), 2)``, of a whole network: nothing measured, something measured.
    """

    layer: NDArray[np.float64]
    network: NDArray[np.float64]

    def of_layer(self, coverage: float, measured: int) -> float:
        """Factor on a layer's believed error."""
        column = int(np.searchsorted(_MEASURED, measured, side="right")) - 1
        return _between(coverage, self.layer[:, column])

    def of_network(self, coverage: float, measured: bool) -> float:
        """Factor on a network's believed error."""
        return _between(coverage, self.network[:, int(measured)])


def _between(coverage: float, values: NDArray[np.float64]) -> float:
    if not COVERAGES[0] <= coverage <= COVERAGES[-1]:
        raise UsageError(f"coverage must be within {COVERAGES[0]} and {COVERAGES[-1]}, not {coverage}")
    return float(np.interp(coverage, COVERAGES, values))


@dataclass(frozen=True)
class LayerModel:
    """Cycles of any operation at any bits, with how far off that may be.

    Attributes
    ----------
    engine
        Counts what the target does.
    prices
        Cycles of counts.
    process
        Of errors within a layer, over its bits.
    unit
        ``(K + 1,)``: differences of shares of the counts that are much.
    spread
        Logarithm of the absolute error from the shares of the counts.
    calibrated
        Factors for intervals.
    target
        What it holds for: kind, parameters, hardware, firmware, clock.
    corpus
        Digest of the corpus that it was fitted on.
    """

    engine: Engine
    prices: Mechanistic
    process: PairProcess
    unit: NDArray[np.float64]
    spread: Forest
    calibrated: Calibrated
    target: Mapping[str, Any]
    corpus: str

    @classmethod
    def fit(cls, corpus: Corpus, engine: Engine, *, seed: int = 0) -> LayerModel:
        """Fit to all that was measured of *corpus*."""
        return cls.of(Operations.of(corpus, engine), engine, corpus.target, corpus.digest(), seed=seed)

    @classmethod
    def of(
        cls, operations: Operations, engine: Engine, target: Mapping[str, Any], corpus: str, *, seed: int = 0
    ) -> LayerModel:
        """Fit to *operations*, those without cycles left out.

        Errors are of predictions that saw nothing of an operation's shape: intervals are calibrated on them, shape by
        shape.
        """
        used = operations[operations.cycles > 0]
        if len(set(used.group)) < 4:
            raise UsageError("fewer than four shapes were measured", where="latency", cure="measure more networks")
        prices = Mechanistic(random_state=seed)
        errors = np.log(used.cycles / out_of_fold(prices, used, seed))
        prices.fit(used.counts, used.cycles)
        shares = prices.shares(used.counts)
        spread = _spread(shares, errors, seed)
        believed = np.empty(len(used))
        fold = _held_together(used, seed)
        for part in np.unique(fold):  # as unseen as the errors
            held = fold == part
            rest = ~held & ~np.isin(used.group, np.unique(used.group[held]))
            believed[held] = _spread(shares[rest], errors[rest], seed).predict(shares[held])
        weighted = used.role == "layer"
        names = np.char.add(np.char.add(used.network, " "), used.layer)
        members = [np.flatnonzero(weighted & (names == name)) for name in dict.fromkeys(names[weighted])]
        for rows in members:
            believed[rows] = believed[rows].mean()
        scale = np.maximum(np.exp(believed), _LEAST)
        process = PairProcess.fit(
            [used.bits[rows] for rows in members], [errors[rows] / scale[rows] for rows in members], seed=seed
        )
        unit = np.maximum(shares[weighted].std(axis=0), 1e-9)
        calibrated = _calibrated(used, errors, scale, shares / unit, process, seed)
        return cls(engine, prices, process, unit, spread, calibrated, target, corpus)

    def cycles(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicted cycles ``(...)`` of counts ``(..., K)``; 0 where nothing is counted."""
        flat = counts.reshape(-1, counts.shape[-1])
        result = np.where(flat.any(axis=1), self.prices.predict(flat), 0.0)
        return result.reshape(counts.shape[:-1])

    def cells(self, shapes: NDArray[np.int64], bits: NDArray[np.int64], counts: NDArray[np.float64]) -> Cells:
        """Cells for the process: numbers of shapes ``(n,)``, bits ``(n, 3)``, counts ``(n, K)``."""
        return Cells(shapes, bits, self.prices.shares(counts) / self.unit)

    def scale(self, counts: NDArray[np.float64]) -> float:
        """Scale of the relative error of :meth:`cycles` of a layer at different bits, counts ``(n, K)``."""
        used = counts[counts.any(axis=1)]
        if not len(used):
            return 0.0
        return max(float(np.exp(self.spread.predict(self.prices.shares(used)).mean())), _LEAST)


def out_of_fold(prices: Mechanistic, operations: Operations, seed: int) -> NDArray[np.float64]:
    """Predictions ``(n,)`` of models that saw no operation of the same network, nor any of the same shape.

    Where there are fewer than four networks, of models that saw none of the same shape.
    """
    fold = _held_together(operations, seed)
    predicted = np.empty(len(operations))
    for part in np.unique(fold):
        held = fold == part
        rest = ~held & ~np.isin(operations.group, np.unique(operations.group[held]))
        model = Mechanistic(**prices.get_params()).fit(operations.counts[rest], operations.cycles[rest])
        predicted[held] = model.predict(operations.counts[held])
    return predicted


def _held_together(operations: Operations, seed: int) -> NDArray[Any]:
    """A fold for each sample: its network, or one for all of its shape where there are fewer than four networks."""
    if len(np.unique(operations.network)) >= 4:
        return operations.network
    names = np.unique(operations.group)
    count = min(_FOLDS, len(names))
    number = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % count, strict=True))
    return np.array([number[group] for group in operations.group])


def _spread(shares: NDArray[np.float64], errors: NDArray[np.float64], seed: int) -> Forest:
    trees = RandomForestRegressor(30, min_samples_leaf=30, max_features=0.5, random_state=seed)
    return Forest.of(trees.fit(shares, np.log(np.abs(errors) + _LEAST)))


def _calibrated(
    used: Operations,
    errors: NDArray[np.float64],
    scale: NDArray[np.float64],
    work: NDArray[np.float64],
    process: PairProcess,
    seed: int,
) -> Calibrated:
    """Quantiles of |error| over believed error: nothing measured of a network, and some cells of each layer."""
    rng = np.random.default_rng(seed)
    layer, network = np.empty((len(COVERAGES), len(_MEASURED))), np.empty((len(COVERAGES), 2))
    # Nobody will ask for the corner cases, and what only they have is unknown to a model that did not see them
    names = [name for name in np.unique(used.network) if name != CORNERS] or list(np.unique(used.network))
    networks = [np.flatnonzero(used.network == name) for name in names]
    for column, measured in enumerate(_MEASURED):
        scores, weights, ratios = [], [], []
        for rows in networks:
            off, believed = errors[rows].copy(), scale[rows] * process.prior_sd()
            weighted = used.role[rows] == "layer"
            known = weighted & _some(used.layer[rows], weighted, measured, rng)
            ask = weighted & ~known
            shapes = np.unique(used.group[rows], return_inverse=True)[1].astype(np.int64)
            cells = Cells(shapes, used.bits[rows], work[rows])
            belief = process.posterior(cells[known], (errors[rows] / scale[rows])[known], cells[ask])
            off[ask] -= belief.mean * scale[rows][ask]
            believed[ask] = belief.sd * scale[rows][ask]
            off[known], believed[known] = 0.0, 0.0
            scores.append(np.abs(off[ask]) / believed[ask])
            # A layer of a network of few layers counts as much as several of one of many: networks are what is drawn
            weights.append(np.full(ask.sum(), 1 / max(1, ask.sum())))
            if measured in (0, 3):
                for run in np.unique(used.run[rows]):
                    own = used.run[rows] == run
                    entry = used.group[rows][own], used.cycles[rows][own], off[own], believed[own]
                    ratios.append(_network_score(*entry))
        layer[:, column] = weighted_quantile(np.concatenate(scores), np.concatenate(weights), COVERAGES)
        if ratios:
            network[:, int(measured > 0)] = weighted_quantile(np.array(ratios), np.ones(len(ratios)), COVERAGES)
    return Calibrated(layer, network)


def _some(
    names: NDArray[np.str_], allowed: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """*count* samples of each name, at random among those *allowed*."""
    chosen = np.zeros(len(names), bool)
    for name in np.unique(names[allowed]):
        rows = np.flatnonzero(allowed & (names == name))
        chosen[rows[rng.permutation(len(rows))[:count]]] = True
    return chosen


def _network_score(
    groups: NDArray[np.str_],
    cycles: NDArray[np.float64],
    off: NDArray[np.float64],
    believed: NDArray[np.float64],
) -> float:
    """|error| over believed error of a sum: errors of one shape add up, those of different shapes are independent."""
    numbers = np.unique(groups, return_inverse=True)[1]
    by_group = np.bincount(numbers, cycles * believed)
    error = float((cycles * (1 - np.exp(-off))).sum())
    return abs(error) / max(float(np.sqrt((by_group**2).sum())), 1e-9)


def weighted_quantile(
    values: NDArray[np.float64], weights: NDArray[np.float64], levels: tuple[float, ...]
) -> NDArray[np.float64]:
    """Quantiles of *values* ``(n,)`` that have *weights* ``(n,)``."""
    order = np.argsort(values)
    part = np.cumsum(weights[order]) / weights.sum()
    index = np.minimum(np.searchsorted(part, levels), len(values) - 1)
    return np.asarray(values[order][index], dtype=np.float64)
