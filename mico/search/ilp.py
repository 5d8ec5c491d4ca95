"""Integer linear program on an additive prior, then its next-best solutions, or the moves around the best evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from mico.search.base import Cost, Searcher, Space, Vectors
from mico.search.candidates import ENUMERABLE, neighbours, pair_ratios
from mico.search.prior import Prior, guessed, probed

__all__ = ["IlpLocalSearch", "IlpSearch"]

_TIGHTEN = 12  # times that a solution may turn out over the limit, costs not being additive


class IlpSearch(Searcher):
    """The k best schemes of the prior, one after the other.

    One binary variable for each layer and pair of widths; costs are what a layer's pair saves from the widest scheme.
    A solution that was told is cut off. Where the predicted cost of a solution, which need not be additive, is over
    the limit, the program's limit is tightened. A space that is small enough is put in order as a whole: the same
    solutions, with costs as they are.

    Parameters
    ----------
    enumerable
        Largest space that is put in order.
    """

    name = "ilp"

    def __init__(
        self, space: Space, cost: Cost, limit: float | None, *, enumerable: int = ENUMERABLE, **options: Any
    ) -> None:
        super().__init__(space, cost, limit, **options)
        self.enumerable = enumerable
        self._prior: Prior | None = None
        self._ordered: Vectors | None = None

    @property
    def prior(self) -> Prior:
        if self._prior is None:
            allowance = 2 * self.probe.images if self.probe is not None else 0
            self._prior = probed(self.space, self.divergence, allowance) if self.probe else guessed(self.space)
        return self._prior

    def _propose(self, rng: np.random.Generator) -> Vectors | None:  # noqa: ARG002
        return self._next_best()

    def _next_best(self) -> Vectors | None:
        if self.space.size > self.enumerable:
            return self._solve()
        if self._ordered is None:
            every = self.space.every()
            self._ordered = every[np.argsort(self.prior(every), kind="stable")]
        for chunk in np.array_split(self._ordered, 1 + len(self._ordered) // 4096):
            rows = self.unknown(chunk[self.feasible(chunk)])
            if len(rows):
                first: Vectors = rows[0]
                return first
        return None

    def _solve(self) -> Vectors | None:
        space, loss = self.space, self.prior.loss
        count, w, a = len(space.names), len(space.weight_bits), len(space.activation_bits)
        pairs = w * a
        objective = (loss[:count, :w, None] + loss[count:, None, :a]).reshape(-1)
        scale = max(float(objective.max()), 1e-12)
        saved = pair_ratios(space, self.ratios).reshape(-1)
        room = 1 - float(self.ratios(space.corner(0)[None])[0])
        one = coo_array((np.ones(count * pairs), (np.repeat(np.arange(count), pairs), np.arange(count * pairs))))
        told = space.encode(np.array([o.vector for o in self.history], dtype=np.int64).reshape(-1, 2 * count))
        cuts: NDArray[np.float64] = np.zeros((len(told), count * pairs))
        for cut, index in zip(cuts, told, strict=True):
            cut[np.arange(count) * pairs + index[:count] * a + index[count:]] = 1.0
        for _ in range(_TIGHTEN):
            limits = [LinearConstraint(one, 1, 1), LinearConstraint(saved[None], -np.inf, room)]
            if len(cuts):
                limits.append(LinearConstraint(cuts, -np.inf, count - 1))
            found = milp(
                objective / scale,
                integrality=np.ones(count * pairs),
                bounds=Bounds(0, 1),
                constraints=limits,
                options={"time_limit": 10.0, "mip_rel_gap": 1e-6},
            )
            if found.x is None:
                return None
            choice = found.x.reshape(count, pairs).argmax(axis=1)
            vector: Vectors = space.decode(np.concatenate([choice // a, choice % a])[None])[0]
            over = float(self.ratios(vector[None])[0]) - 1
            if over <= 0 and tuple(vector.tolist()) not in self._known:
                return vector
            room -= max(over, 1e-6)
        return None


class IlpLocalSearch(IlpSearch):
    """The program's solution, then the unknown scheme at most a step up and a step down from the best evaluated.

    Of several, the one that loses least by the prior; where there is none, the program's next-best solution.
    """

    name = "ilp-local"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:  # noqa: ARG002
        best = self.best()
        if best is not None:
            rows = self.unknown(neighbours(self.space, np.array(best.vector)))
            rows = rows[self.feasible(rows)]
            if len(rows):
                chosen: Vectors = rows[int(np.argmin(self.prior(rows)))]
                return chosen
        return self._next_best()
