"""MiCo's search (arXiv 2508.09500, section III): random forest, orthogonal start, candidates near the constraint."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

from mico.search.base import Cost, Searcher, Space, Vectors
from mico.search.sampling import near_constraint, orthogonal

__all__ = ["MicoSearch"]


def _forest(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64], trees: int, seed: int
) -> NDArray[np.float64]:
    """What each tree of a random forest on ``x`` ``(n, f)``, ``y`` ``(n,)`` says of ``at``: ``(trees, m)``.

    The forest of scikit-learn's RandomForestRegressor, bootstrap and all features at each split, without the checks
    that it repeats for every tree: they take most of its time on so few samples.
    """
    rng = np.random.RandomState(seed)
    narrow, asked = x.astype(np.float32), at.astype(np.float32)
    votes = np.empty((trees, len(at)))
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for i in range(trees):
            tree = DecisionTreeRegressor(random_state=rng.randint(2**31 - 1))
            weight = np.bincount(rng.randint(0, len(x), len(x)), minlength=len(x)).astype(np.float64)
            tree.fit(narrow, y, sample_weight=weight, check_input=False)
            votes[i] = tree.predict(asked, check_input=False)
    return votes


class MicoSearch(Searcher):
    """Forest on ``[w, a, w * mac_fraction, a * mac_fraction]``; its mean plus a shrinking part of its spread decides.

    Two things beside the paper. The band is one of *predicted cycles* of a latency model that learns from every
    measurement, not of BOPs. And of a chosen scheme, widths that cost nothing are raised before it is evaluated.

    Parameters
    ----------
    initial
        Schemes of the orthogonal start; by default a third of the budget, 4 to 16.
    optimism
        Multiple of the spread over trees when the search starts; it falls linearly to a tenth at the end of the budget.
    trees
        Of the forest; by default as published, 250 to 450 by the number of entries.
    band
        Width of the band under the limit, as a fraction of the all-widest scheme's cycles, at the start and at the end.
    """

    name = "mico"

    def __init__(
        self,
        space: Space,
        cost: Cost,
        limit: float | None,
        *,
        initial: int | None = None,
        optimism: float = 1.0,
        band: tuple[float, float] = (0.1, 0.3),
        trees: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(space, cost, limit, **options)
        self.initial = min(16, max(4, self.budget // 3)) if initial is None else initial
        self.optimism, self.band = optimism, band
        self.trees = int(np.clip(250 + 5 * (space.dimensions - 10), 250, 450)) if trees is None else trees
        self._start = orthogonal(space, self.initial, np.random.default_rng(self.seed))
        total = max(sum(space.macs), 1)
        self._fractions = np.array(space.macs, dtype=np.float64) / total

    @property
    def progress(self) -> float:
        """0 when the start is done, 1 at the end of the budget."""
        searched = len(self.history) - len(self._start)
        return float(np.clip(searched / max(1, self.budget - len(self._start)), 0, 1))

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        start = self.unknown(self._start)
        if len(start) and len(self.history) < self.initial:
            first: Vectors = start[0]
            return first
        widest = float(self.ratios(self.space.corner(0)[None])[0])
        width = widest * (self.band[0] + (self.band[1] - self.band[0]) * self.progress)
        fitting = [o.vector for o in self.history if self.meets(o)]
        parents = np.array(fitting, dtype=np.int64).reshape(-1, self.space.dimensions)
        candidates = near_constraint(self.space, self.ratios, 1.0, width, rng, parents=parents)
        candidates = self.unknown(candidates)
        if not len(candidates):
            return None
        measured = [o for o in self.history if o.accuracy is not None]
        if not measured:
            unscored: Vectors = candidates[0]
            return unscored
        known = np.array([o.vector for o in measured], dtype=np.int64)
        score = self._score(known, np.array([o.accuracy for o in measured], dtype=np.float64), candidates)
        chosen: Vectors = candidates[int(np.argmax(score))]
        return self._raise_free_bits(chosen)

    def _score(self, known: Vectors, accuracy: NDArray[np.float64], candidates: Vectors) -> NDArray[np.float64]:
        """Mean plus spread over trees ``(n,)`` of the candidates."""
        votes = _forest(
            self._features(known), accuracy, self._features(candidates), self.trees, self.seed + len(self.history)
        )
        kappa = self.optimism * (1 - 0.9 * self.progress)
        return np.asarray(votes.mean(axis=0) + kappa * votes.std(axis=0), dtype=np.float64)

    def _features(self, vectors: Vectors) -> NDArray[np.float64]:
        count = len(self.space.names)
        w, a = vectors[:, :count], vectors[:, count:]
        return np.concatenate([w, a, w * self._fractions, a * self._fractions], axis=1).astype(np.float64)

    def _raise_free_bits(self, vector: Vectors) -> Vectors:
        """Raise every width that the latency model says costs nothing, as long as the scheme stays unknown."""
        vector, cost = vector.copy(), float(self.ratios(vector[None])[0])
        for i, bits in enumerate(self.space.choices):
            for wider in bits[: bits.index(int(vector[i]))]:
                trial = vector.copy()
                trial[i] = wider
                trial_cost = float(self.ratios(trial[None])[0])
                if trial_cost <= min(cost, 1.0) and tuple(trial.tolist()) not in self._known:
                    vector, cost = trial, trial_cost
                    break
        return vector
