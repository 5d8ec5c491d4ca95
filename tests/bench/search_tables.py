"""What searchers are compared on: truth tables, constraints on them, and the latency model that a searcher sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mico.search.space import Space, Vectors
from mico.search.truth import TruthTable

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "build" / "tables"
HELD_OUT = ("cmsiscnn", "mobilenet5")
"""Tables that our searcher was not developed on, each summarised apart; one setting was changed after CmsisCNN's."""

FRACTIONS = (0.15, 0.2, 0.3, 0.5, 0.6, 0.8)
MODEL_ERROR = 0.05
"""Standard deviation of the logarithm of what the latency model says of a layer and pair that was not measured yet."""
PROFILED = 3
"""Pairs of every layer that were measured before the search, drawn by the seed, at some width of the output."""
OUTPUT_ERROR = 0.02
"""The same of a pair that was measured at another width of the output."""


@dataclass(frozen=True)
class Case:
    """One table under one constraint: a share of the 8-bit scheme's BOPs, or of its cycles on the simulated SoC."""

    table: str
    cost: str
    fraction: float

    @property
    def name(self) -> str:
        return f"{self.table} {self.cost} {self.fraction:g}"


@cache
def load(name: str) -> TruthTable:
    return TruthTable.load(TABLES / f"{name}.npz")


@cache
def vectors(name: str) -> Vectors:
    return load(name).space.every()


@cache
def costs(name: str, cost: str) -> NDArray[np.float64]:
    """True cost of every scheme ``(S,)``."""
    table = load(name)
    return np.asarray(table.bops() if cost == "bops" else table.cycles(cost), dtype=np.float64)


def limit(case: Case) -> float:
    """The fraction of the widest scheme's cost; the widest is the first of the table."""
    return case.fraction * float(costs(case.table, case.cost)[0])


def floor(name: str, cost: str) -> float:
    """The least possible fraction."""
    values = costs(name, cost)
    return float(values.min() / values[0])


def cases(names: tuple[str, ...]) -> list[Case]:
    """Every fraction that at least ten schemes meet."""
    found = []
    for name in names:
        kinds = ("bops", "soc") if "soc" in load(name).totals else ("bops",)
        for kind in kinds:
            for fraction in FRACTIONS:
                case = Case(name, kind, fraction)
                if (costs(name, kind) <= limit(case)).sum() >= 10:
                    found.append(case)
    return found


class Bops:
    """BOPs: known exactly."""

    exact = True

    def __init__(self, case: Case, seed: int) -> None:  # noqa: ARG002
        self.table = load(case.table)
        self.values = costs(case.table, "bops")

    def predict(self, rows: Vectors) -> NDArray[np.float64]:
        half = rows.shape[1] // 2
        macs = np.array(self.table.space.macs, dtype=np.float64)
        return np.asarray((rows[:, :half] * rows[:, half:]) @ macs, dtype=np.float64)

    upper = None

    def observe(self, index: int) -> None:
        """Nothing to learn."""


class Latency:
    """Cycles as a campaign knows them: what was measured, a prediction of the rest that is wrong by some per cent.

    As in :class:`mico.latency.network.NetworkLatency`, which is far too slow to be fitted a million times: a layer at a
    pair and an output width that were measured costs what was measured; at others the truth times lognormal errors that
    the seed draws, a small one where only the output differs. PROFILED pairs of every layer were measured before. So it
    is uncertain first what fits, and learnt on the way.
    """

    exact = False

    def __init__(self, case: Case, seed: int) -> None:
        self.table = load(case.table)
        self._case = case
        self.values = costs(case.table, case.cost)
        self._cells, self._base = _cells(case.table, case.cost)
        rng = np.random.default_rng([20261121, seed])
        self._known = np.zeros(self._cells.shape, dtype=np.bool_)
        self._pair_error = np.exp(rng.normal(0.0, MODEL_ERROR, size=self._cells.shape[:3]))[..., None]
        self._output_error = np.exp(rng.normal(0.0, OUTPUT_ERROR, size=self._cells.shape))
        for cells in self._known:
            for pair in rng.choice(cells.shape[0] * cells.shape[1], PROFILED, replace=False):
                cells.reshape(-1, cells.shape[2])[pair, rng.integers(cells.shape[2])] = True
        self._fill()

    def _fill(self) -> None:
        pair = self._known.any(axis=3, keepdims=True)
        self._seen = (
            self._cells * np.where(pair, 1.0, self._pair_error) * np.where(self._known, 1.0, self._output_error)
        )
        deviation = np.where(pair, OUTPUT_ERROR, np.hypot(MODEL_ERROR, OUTPUT_ERROR)) * self._seen
        self._spread = np.where(self._known, 0.0, deviation**2)

    def predict(self, rows: Vectors) -> NDArray[np.float64]:
        at = _positions(self.table.space, rows)
        return np.asarray(self._base + self._seen[at].sum(axis=1), dtype=np.float64)

    def upper(self, rows: Vectors) -> NDArray[np.float64]:
        """End of the two-sided interval of 90 %."""
        at = _positions(self.table.space, rows)
        spread = np.sqrt(self._spread[at].sum(axis=1))
        return np.asarray(self._base + self._seen[at].sum(axis=1) + 1.645 * spread, dtype=np.float64)

    def observe(self, index: int) -> None:
        """The scheme *index* was measured, layer by layer."""
        self._known[_positions(self.table.space, vectors(self._case.table)[index : index + 1])] = True
        self._fill()


def _positions(space: Space, rows: Vectors) -> tuple[NDArray[np.int64], ...]:
    """Cells of the schemes: layer, its weights, its activations, and the next layer's activations as its output."""
    half = len(space.names)
    index = space.encode(rows)
    w, a = index[:, :half], index[:, half:]
    out = np.concatenate([a[:, 1:], np.zeros_like(a[:, :1])], axis=1)
    return np.broadcast_to(np.arange(half), w.shape), w, a, out


@cache
def _cells(name: str, cost: str) -> tuple[NDArray[np.float64], float]:
    """Cycles by layer, pair and output ``(L, W, A, A)`` that come nearest to the true totals, and what is left."""
    rows, values = vectors(name), costs(name, cost)
    space = load(name).space
    shape = (len(space.names), len(space.weight_bits), len(space.activation_bits), len(space.activation_bits))
    at = np.ravel_multi_index(_positions(space, rows), shape)  # (S, L)
    size = int(np.prod(shape))
    gram, moment = np.zeros((size, size)), np.zeros(size)
    for i in range(at.shape[1]):
        moment += np.bincount(at[:, i], values - values.mean(), minlength=size)
        for j in range(at.shape[1]):
            gram += np.bincount(at[:, i] * size + at[:, j], minlength=size * size).reshape(size, size)
    cells = (np.linalg.pinv(gram, rcond=1e-9, hermitian=True) @ moment).reshape(shape)
    used = np.zeros(size, dtype=np.bool_)
    used[at] = True
    flat = np.where(used.reshape(shape), cells, np.inf).reshape(shape[0], -1)
    low = flat.min(axis=1)
    own = np.where(used.reshape(shape), cells - low[:, None, None, None], 0.0)
    left = float(values.mean() + low.sum())
    reach = own.reshape(shape[0], -1).max(axis=1)
    least = 0.5 * left * reach / reach.sum()  # what the narrowest layers take, as far as differences tell: a half
    return own + least[:, None, None, None], left - float(least.sum())
