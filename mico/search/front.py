"""Accuracy against cycles: the front, the volume under it, and where it would gain most."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

__all__ = ["front", "hypervolume", "widest_gap"]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Positions of the points ``(cost, accuracy)`` that no other beats in both, cheapest first; of equals the first."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    kept, reached = [], -np.inf
    for i in order:
        if points[i][1] > reached:
            kept.append(i)
            reached = points[i][1]
    return kept


def hypervolume(points: Sequence[tuple[float, float]], cost: float) -> float:
    """Area under the front's staircase up to *cost*: accuracy times cost."""
    kept = [points[i] for i in front(points) if points[i][0] < cost]
    ends = [p[0] for p in kept[1:]] + [cost]
    return float(sum((end - c) * a for (c, a), end in zip(kept, ends, strict=True)))


def widest_gap(points: Sequence[tuple[float | None, float | None]], turn: int) -> float:
    """The cost under which a new point could add most to the hypervolume; infinite where there are no two points.

    Between two neighbours of the front the gain is at most their rectangle; one that was tried in vain counts less for
    every point that fell into it. Within the gap the limit alternates between the middle and just below the upper end.
    """
    told = [(float(c), float(a)) for c, a in points if c is not None and a is not None]
    kept = [told[i] for i in front(told)]
    if len(kept) < 2:
        return np.inf
    gains = []
    for (c0, a0), (c1, a1) in itertools.pairwise(kept):
        inside = sum(c0 < c < c1 for c, _ in told)
        gains.append((c1 - c0) * (a1 - a0) / (1 + inside))
    at = int(np.argmax(gains))
    low, high = kept[at][0], kept[at + 1][0]
    share = (0.5, 0.25, 0.75)[turn % 3]
    return low + share * (high - low)
