"""The same widths in every layer: what one tries by hand."""

from __future__ import annotations

import numpy as np

from mico.search.base import Searcher, Vectors
from mico.search.sampling import anything

__all__ = ["UniformSearch"]


class UniformSearch(Searcher):
    """Every pair of widths over the whole network that is predicted to fit, widest products first; then at random."""

    name = "uniform"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        count = len(self.space.names)
        pairs = [(w, a) for w in self.space.weight_bits for a in self.space.activation_bits]
        pairs.sort(key=lambda p: (-p[0] * p[1], -min(p)))
        rows = self.unknown(np.array([[w] * count + [a] * count for w, a in pairs], dtype=np.int64))
        fitting = rows[self.feasible(rows)]
        return fitting[0] if len(fitting) else anything(self, rng)
