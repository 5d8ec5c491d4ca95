"""Random schemes that are predicted to meet the constraints: the baseline that a searcher must beat."""

from __future__ import annotations

import numpy as np

from mico.search.base import Searcher, Vectors
from mico.search.sampling import anything

__all__ = ["RandomSearch"]


class RandomSearch(Searcher):
    """A uniform draw among random schemes whose predicted costs are within the limits."""

    name = "random"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        return anything(self, rng)
