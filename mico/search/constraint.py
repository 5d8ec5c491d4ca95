"""What a scheme may cost, and whether anything can meet it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mico.errors import UsageError
from mico.search.space import Space, Vectors

__all__ = ["Constraint", "Cost", "chances", "flash_bytes", "least", "ratios"]

Cost = Callable[[Vectors], NDArray[np.float64]]
"""A predicted cost ``(N,)`` of the schemes ``(N, 2 L)``. May change between asks, as measurements arrive."""


@dataclass(frozen=True)
class Constraint:
    """An upper limit of one cost.

    Attributes
    ----------
    name
        What is limited, in words: ``cycles``, ``flash bytes``.
    predict
        Its prediction.
    limit
        The largest value allowed; infinite where there is no limit.
    upper
        The high end of the prediction's interval: searchers that can choose stay below the limit with it.
    exact
        The prediction is the truth (bytes, BOPs): what it says is impossible is refused without a trial.
    """

    name: str
    predict: Cost
    limit: float
    upper: Cost | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if np.isnan(self.limit) or self.limit <= 0:
            raise UsageError(f"the limit of {self.name} must be a positive number, not {self.limit}")


def flash_bytes(parameters: Sequence[int], other: float = 0.0) -> Cost:
    """Bytes of the weights, every layer's packed by itself, plus *other* bytes that no scheme changes.

    Parameters
    ----------
    parameters
        Number of weights of every quantisable layer.
    """
    counts = np.asarray(parameters, dtype=np.int64)

    def cost(vectors: Vectors) -> NDArray[np.float64]:
        bits = np.asarray(vectors)[:, : len(counts)]
        return np.asarray(other + np.ceil(bits * counts / 8).sum(axis=1), dtype=np.float64)

    return cost


def ratios(constraints: Sequence[Constraint], vectors: Vectors, *, sure: bool = False) -> NDArray[np.float64]:
    """The largest of predicted value over limit ``(N,)``: at most 1 where everything is met.

    Parameters
    ----------
    sure
        Take the high end of the intervals, where there are any.
    """
    worst = np.zeros(len(vectors))
    for c in constraints:
        if np.isfinite(c.limit):
            value = c.upper(vectors) if sure and c.upper is not None else c.predict(vectors)
            worst = np.maximum(worst, value / c.limit)
    return worst


def chances(constraints: Sequence[Constraint], vectors: Vectors) -> NDArray[np.float64]:
    """Probability ``(N,)`` that all limits are met, an interval's high end taken for the 95th percentile."""
    found = np.ones(len(vectors))
    for c in constraints:
        if np.isfinite(c.limit):
            value = c.predict(vectors)
            if c.upper is None:
                found *= value <= c.limit
            else:
                spread = np.maximum((c.upper(vectors) - value) / 1.645, 1e-9 * np.abs(value) + 1e-12)
                found *= ndtr((c.limit - value) / spread)
    return found


def least(space: Space, value: Cost, rng: np.random.Generator, starts: int = 4) -> tuple[Vectors, float]:
    """The least of *value* that descent finds, and the scheme ``(2 L,)``: narrower is not always less.

    All changes of one entry are tried at once from the narrowest, the widest and a few random schemes; those that help
    are made together, or the best half of them, and so on down to the best alone.
    """
    choices = space.choices
    rows = [space.corner(-1), space.corner(0)]
    rows += [np.array([rng.choice(bits) for bits in choices], dtype=np.int64) for _ in range(starts)]
    best, best_value = rows[0], np.inf
    moves = [(i, b) for i, bits in enumerate(choices) for b in bits]
    for row in rows:
        at, here = row.copy(), float(value(row[None])[0])
        while True:
            trials = np.repeat(at[None], len(moves), axis=0)
            trials[np.arange(len(moves)), [i for i, _ in moves]] = [b for _, b in moves]
            values = value(trials)
            order = [k for k in np.argsort(values, kind="stable") if values[k] < here - 1e-9 * abs(here)]
            if not order:
                break
            first: dict[int, int] = {}
            for k in order:
                first.setdefault(moves[k][0], moves[k][1])
            steps = list(first.items())
            while True:
                trial = at.copy()
                for i, b in steps:
                    trial[i] = b
                reached = float(value(trial[None])[0])
                if reached < here - 1e-9 * abs(here) or len(steps) == 1:
                    break
                steps = steps[: (len(steps) + 1) // 2]
            if reached >= here:
                break
            at, here = trial, reached
        if here < best_value - 1e-9 * abs(best_value if np.isfinite(best_value) else 1.0):
            best, best_value = at, here
    return best, best_value
