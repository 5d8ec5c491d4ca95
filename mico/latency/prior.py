"""What is believed of a network's layers before they are measured.

From a fitted model, from an engine's counts, or from nothing but the layers measured so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mico.graph import Graph
from mico.latency.blend import Blend
from mico.latency.correction import PairProcess
from mico.latency.engines import OUT_BITS, CountTable
from mico.latency.features import EXTENDED, columns, features
from mico.latency.mechanistic import Mechanistic
from mico.quant.scheme import BITS, LayerBits

if TYPE_CHECKING:
    from mico.latency.model import LayerModel
    from mico.latency.network import Sample

__all__ = ["Prior", "prior_of_blend", "prior_of_counts", "prior_of_model"]

_UNCALIBRATED = 0.05
"""Scale of the relative error of an engine's counts whose prices were never tried on other shapes."""


@dataclass(frozen=True)
class Prior:
    """Cycles by bits (indices of BITS, of outputs of OUT_BITS) and how far off they may be.

    Attributes
    ----------
    layers
        ``(L, 4, 4, 5)``: weight, activation, output.
    narrowing
        ``(L, 4, 4)``: from, to; None: the requantisation in front of a layer is part of it.
    others
        By name of a layer without weights ``(5,)``; None: as measured.
    scale
        ``(L,)``: of a layer's relative error, in units of the process.
    rest_scale
        Of an operation without weights.
    process
        Of errors by layer and bits.
    work
        ``(L, 4, 4, 5, F)`` for the process; None: layers of different shapes say nothing of each other.
    factor
        Of a coverage and of whether anything was measured: on the believed error of a network.
    """

    layers: NDArray[np.float64]
    narrowing: NDArray[np.float64] | None
    others: Mapping[str, NDArray[np.float64]] | None
    scale: NDArray[np.float64]
    rest_scale: float
    process: PairProcess
    factor: Callable[[float, bool], float]
    work: NDArray[np.float64] | None = None


def prior_of_model(model: LayerModel, counts: CountTable) -> Prior:
    """From a model that was fitted and calibrated on a corpus."""
    return Prior(
        model.cycles(counts.layers),
        model.cycles(counts.narrowing),
        {name: model.cycles(table) for name, table in counts.others.items()},
        np.array([model.scale(_rows(table)) for table in counts.layers]),
        model.process.prior_sd() * model.scale(np.concatenate([_rows(counts.narrowing), *counts.others.values()])),
        model.process,
        model.calibrated.of_network,
        (model.prices.shares(_rows(counts.layers)) / model.unit).reshape(*counts.layers.shape[:-1], -1),
    )


def prior_of_counts(counts: CountTable, seen: NDArray[np.float64], cycles: NDArray[np.float64]) -> Prior:
    """From prices of an engine's counts that are fitted to the operations measured so far.

    Parameters
    ----------
    seen, cycles
        Counts ``(n, K)`` and cycles ``(n,)`` of what was measured.
    """
    prices = Mechanistic(n_estimators=0).fit(seen, cycles)

    def priced(table: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = table.reshape(-1, table.shape[-1])
        result: NDArray[np.float64] = np.where(flat.any(axis=1), prices.predict(flat), 0.0)
        return result.reshape(table.shape[:-1])

    process = PairProcess()
    return Prior(
        priced(counts.layers),
        priced(counts.narrowing),
        {name: priced(table) for name, table in counts.others.items()},
        np.full(len(counts.layers), _UNCALIBRATED / process.prior_sd()),
        _UNCALIBRATED,
        process,
        _normal,
    )


def prior_of_blend(graph: Graph, samples: Sequence[Sample], trees: int, seed: int) -> Prior:
    """From features that hold for any target, fitted to the layers measured so far."""
    use = columns(EXTENDED)
    blend = Blend(trees, seed)
    blend.fit(np.array([s.features[use] for s in samples]), np.array([s.cycles for s in samples]))
    cells = [(LayerBits(w, a), out) for w in BITS for a in BITS for out in OUT_BITS]
    tables = []
    for layer in graph.quantisable:
        x = np.array([features(layer, bits, out)[use] for bits, out in cells])
        tables.append(blend.predict(x).reshape(len(BITS), len(BITS), len(OUT_BITS)))
    process = PairProcess()
    return Prior(np.array(tables), None, None, np.ones(len(tables)), 0.0, process, _normal)


def _rows(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return table.reshape(-1, table.shape[-1])


def _normal(coverage: float, measured: bool) -> float:
    del measured
    return float(norm.ppf((1 + coverage) / 2))
