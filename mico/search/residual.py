"""What the additive prior gets wrong, learnt from schemes whose errors are known, wholly or in part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from mico.search.prior import Prior
from mico.search.space import Space, Vectors

__all__ = ["Residual"]

Floats = NDArray[np.float64]


class Residual:
    """Gaussian process over schemes: a trend in the prior's loss, an own effect of every width, and closeness.

    The covariance is a sum of a part linear in the loss and in its root, one that is additive over the entries, and
    one that falls with the number of steps of width between two schemes. Shares and length are those of the greatest
    marginal likelihood on a small grid.
    """

    GRID = tuple((t, a, length) for t in (1.0, 10.0) for a in (0.3, 1.0, 3.0) for length in (1.5, 4.0))

    def __init__(self, space: Space, prior: Prior) -> None:
        self.space, self.prior = space, prior

    def _features(self, vectors: Vectors) -> tuple[Floats, Floats, Floats]:
        index = self.space.encode(vectors)
        loss = self.prior(vectors)
        trend = np.stack([np.ones(len(vectors)), loss / self._scale, np.sqrt(loss / self._scale)], axis=1)
        width = self.prior.loss.shape[1]
        hot = (index[:, :, None] == np.arange(width)).reshape(len(vectors), -1).astype(np.float64)
        steps = index.astype(np.float64)
        return trend, hot, steps

    @staticmethod
    def _distance(a: Floats, b: Floats) -> Floats:
        """Squared steps ``(n, m)``."""
        return np.asarray((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, dtype=np.float64)

    def _kernel(
        self, a: tuple[Floats, Floats, Floats], b: tuple[Floats, Floats, Floats], p: tuple[float, ...]
    ) -> Floats:
        trend, additive, length = p
        out = trend * 10 * (a[0] @ b[0].T) + additive * (a[1] @ b[1].T) / self.space.dimensions
        out = out + np.exp(-np.maximum(self._distance(a[2], b[2]), 0.0) / (2 * length**2))
        return np.asarray(out, dtype=np.float64)

    def fit(self, vectors: Vectors, errors: Floats, noise: Floats) -> Residual:
        """Learn from ``errors`` ``(n,)`` known to a standard deviation of ``noise`` ``(n,)``, both in one unit."""
        self._scale = max(float(np.median(self.prior(vectors))), 1e-12)
        self.mean_ = float(np.mean(errors))
        self.unit_ = max(float(np.std(errors)), float(np.mean(noise)), 1e-9)
        y = (errors - self.mean_) / self.unit_
        self._x = self._features(vectors)
        best = -np.inf
        for p in self.GRID:
            kernel = self._kernel(self._x, self._x, p)
            for amplitude in (0.03, 0.3):
                k = amplitude * kernel + np.diag((noise / self.unit_) ** 2 + 1e-4)
                factor = cho_factor(k, lower=True)
                alpha = cho_solve(factor, y)
                likelihood = -0.5 * float(y @ alpha) - float(np.log(np.diag(factor[0])).sum())
                if likelihood > best:
                    best, self._p, self._amplitude = likelihood, p, amplitude
                    self._factor, self._alpha = factor, alpha
        return self

    def predict(self, vectors: Vectors) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(m,)`` of the errors."""
        x = self._features(vectors)
        k = self._amplitude * self._kernel(x, self._x, self._p)
        mean = self.mean_ + self.unit_ * (k @ self._alpha)
        trend, additive, _ = self._p
        own = trend * 10 * (x[0] ** 2).sum(1) + additive + 1.0
        spread = self._amplitude * own - np.einsum("ij,ji->i", k, cho_solve(self._factor, k.T))
        return mean, self.unit_ * np.sqrt(np.maximum(spread, 1e-9))
