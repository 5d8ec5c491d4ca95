"""Practical mixed-precision PTQ (AMP, arXiv 2302.05397): operands narrowed in the order of what each loses alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from mico.search.base import Cost, Searcher, Space, Vectors
from mico.search.prior import Prior, guessed, probed
from mico.search.sampling import anything

__all__ = ["AmpSearch"]


class AmpSearch(Searcher):
    """The order of sensitivity, walked from the widest scheme.

    Its first proposal is the shortest prefix of the order that is predicted to fit, found by bisection; then the order
    is followed: prefixes that are longer. Where a budget is left at the end, one of the flips of the first prefix is
    taken back and the order continued until it fits again; at last schemes are random. It knows no cost of a flip and
    no interactions.
    """

    name = "amp"

    def __init__(self, space: Space, cost: Cost, limit: float | None, **options: Any) -> None:
        super().__init__(space, cost, limit, **options)
        self._prior: Prior | None = None

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        if self._prior is None:
            allowance = 2 * self.probe.images if self.probe is not None else 0
            self._prior = probed(self.space, self.divergence, allowance) if self.probe else guessed(self.space)
        steps = self._order(self._prior)
        prefixes = self._prefixes(steps)
        fits = self.feasible(prefixes)
        first = self._first(prefixes)
        rows = [prefixes[first:][fits[first:]]]
        for skipped in range(first - 1, -1, -1):  # the dearest flips first
            without = self._prefixes([s for s in steps if s[0] != steps[skipped][0] or s[1] > steps[skipped][1]])
            within = np.flatnonzero(self.feasible(without))
            if len(within):
                rows.append(without[within[:1]])
        unknown = self.unknown(np.concatenate(rows))
        return unknown[0] if len(unknown) else anything(self, rng)

    def _order(self, prior: Prior) -> list[tuple[int, int]]:
        """``(entry, bits)`` in the order of loss; an entry's wider step always before its narrower."""
        moves = self.space.singles()
        index = {bits: k for k, bits in enumerate(self.space.weight_bits)}
        index_a = {bits: k for k, bits in enumerate(self.space.activation_bits)}
        half = len(self.space.names)
        return sorted(moves, key=lambda m: (prior.loss[m[0], (index if m[0] < half else index_a)[m[1]]], -m[1]))

    def _prefixes(self, steps: list[tuple[int, int]]) -> Vectors:
        rows = [self.space.corner(0)]
        for entry, bits in steps:
            rows.append(rows[-1].copy())
            rows[-1][entry] = bits
        return np.array(rows)

    def _first(self, prefixes: Vectors) -> int:
        """The shortest prefix that fits, by bisection; the longest where none does."""
        low, high = 0, len(prefixes) - 1
        while low < high:
            middle = (low + high) // 2
            if self.feasible(prefixes[middle : middle + 1])[0]:
                high = middle
            else:
                low = middle + 1
        return low
