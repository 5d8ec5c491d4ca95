"""Random schemes that are predicted to meet the constraint: the baseline that a searcher must beat."""

from __future__ import annotations

import numpy as np

from mico.search.base import Searcher, Vectors
from mico.search.sampling import spread

__all__ = ["RandomSearch"]


class RandomSearch(Searcher):
    """A uniform draw among random schemes whose predicted cycles are within the limit."""

    name = "random"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        for _ in range(20):
            candidates = self.unknown(spread(self.space, 500, rng))
            if len(candidates):
                fitting = candidates[self.cost(candidates) <= self.limit]
                if len(fitting):
                    choice: Vectors = fitting[rng.integers(len(fitting))]
                    return choice
        return None
