"""Which validation images tell schemes apart, and what is known of each scheme from some of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["Screen"]

Key = tuple[int, ...]
_TRUST = 2.0  # answers that the margin's own prediction weighs


class Screen:
    """Answers collected so far, and for every image the chance that a scheme of interest is wrong there.

    Before anything was asked that chance follows from the margin of the widest scheme: quantisation noise turns those
    images whose margin is small. What schemes answered then counts more and more. Images on which nearly all agree,
    right or wrong, cost as much as the others and tell nothing: they are asked last.

    Parameters
    ----------
    margins
        Signed margin ``(N,)`` of the widest scheme.
    """

    def __init__(self, margins: NDArray[np.float64]) -> None:
        self.margins = margins
        self.images = len(margins)
        self._answers: dict[Key, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}  # asked, wrong
        self._asked = np.zeros(self.images)
        self._wrong = np.zeros(self.images)
        self._noise = float(np.quantile(np.abs(margins), np.mean(margins < 0))) + 1e-12  # until answers tell it
        self._chance: NDArray[np.float64] | None = None

    def __contains__(self, key: Key) -> bool:
        return key in self._answers

    def __iter__(self) -> Iterator[Key]:
        return iter(self._answers)

    def add(self, key: Key, images: NDArray[np.int64], right: NDArray[np.bool_]) -> None:
        """Take in whether the scheme *key* answers *images* right."""
        if key not in self._answers:
            self._answers[key] = np.zeros(self.images, dtype=np.bool_), np.zeros(self.images, dtype=np.bool_)
        asked, wrong = self._answers[key]
        new = ~asked[images]
        asked[images] = True
        wrong[images] = ~right
        self._asked[images[new]] += 1
        self._wrong[images[new]] += ~right[new]
        self._chance = None

    @property
    def chance(self) -> NDArray[np.float64]:
        """Chance ``(N,)`` of a wrong answer."""
        if self._chance is None:
            if self._asked.any():
                grid = self._noise_grid()
                self._noise = grid[int(np.argmax([self._likelihood(s) for s in grid]))]
            expected = ndtr(-self.margins / self._noise)
            self._chance = (_TRUST * expected + self._wrong) / (_TRUST + self._asked)
        return self._chance

    def _noise_grid(self) -> NDArray[np.float64]:
        return np.asarray(np.quantile(np.abs(self.margins), 0.03) * np.geomspace(0.05, 20.0, 25) + 1e-12)

    def _likelihood(self, noise: float) -> float:
        p = np.clip(ndtr(-self.margins / noise), 0.002, 0.998)
        return float((self._wrong * np.log(p) + (self._asked - self._wrong) * np.log(1 - p)).sum())

    def order(self) -> NDArray[np.int64]:
        """Images, those that tell most first."""
        p = self.chance
        return np.argsort(-p * (1 - p), kind="stable").astype(np.int64)

    def stages(self, shares: tuple[float, ...], least: int) -> list[int]:
        """How many images of the order hold these shares of all that can vary, at least *least*."""
        p = np.sort(self.chance * (1 - self.chance))[::-1]
        total = np.cumsum(p)
        found = np.searchsorted(total, np.array(shares) * total[-1]) + 1
        return [int(n) for n in np.clip(found, min(least, self.images), self.images)]

    def missing(self, key: Key, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of *images* that the scheme was not asked."""
        if key not in self._answers:
            return images
        return images[~self._answers[key][0][images]]

    def errors(self, keys: list[Key]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wrong images of all expected of each scheme ``(n,)``, and the standard deviation of that."""
        p = self.chance
        asked = np.array([self._answers[key][0] for key in keys])
        wrong = np.array([self._answers[key][1] for key in keys])
        counted = wrong.sum(axis=1)
        unseen = (~asked).astype(np.float64)
        return counted + unseen @ p, np.sqrt(unseen @ (p * (1 - p)))
