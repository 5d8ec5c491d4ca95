"""What the additive prior gets wrong, learnt from schemes whose errors are known, wholly or in part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from mico.search.prior import Prior
from mico.search.space import Space, Vectors

__all__ = ["Residual"]

Floats = NDArray[np.float64]
_TREND = 10.0
_DOUBT = 0.5  # of departures from the trend, until they are seen: exponent of the amplitude's prior
_MOST = 250  # schemes that are learnt from


class Residual:
    """Gaussian process over schemes: a trend in the prior's loss, an own effect of every width, closeness, and luck.

    The covariance is a sum of a part linear in the loss and in its root, one that is additive over the entries, one
    that falls with the number of steps of width between two schemes, and one that a scheme has with itself alone.
    Shares and length are those of the greatest marginal likelihood on a small grid.
    """

    GRID = tuple(
        (amplitude, additive, length, luck)
        for amplitude in (0.001, 0.01, 0.1, 1.0)
        for additive in (0.3, 3.0)
        for length in (1.5, 4.0)
        for luck in (0.03, 0.3)
    )

    def __init__(self, space: Space, prior: Prior) -> None:
        self.space, self.prior = space, prior

    def _features(self, vectors: Vectors) -> tuple[Floats, Floats, Floats]:
        index = self.space.encode(vectors)
        loss = self.prior(vectors) / self._scale
        trend = np.stack([np.ones(len(vectors)), loss, np.sqrt(loss)], axis=1)
        width = self.prior.loss.shape[1]
        hot = (index[:, :, None] == np.arange(width)).reshape(len(vectors), -1).astype(np.float64)
        return trend, hot, index.astype(np.float64)

    @staticmethod
    def _parts(a: tuple[Floats, ...], b: tuple[Floats, ...]) -> tuple[Floats, Floats, Floats]:
        """Covariance of the trend and of the widths, and squared steps between the schemes, ``(n, m)`` each."""
        steps = (a[2] ** 2).sum(1)[:, None] + (b[2] ** 2).sum(1)[None] - 2 * a[2] @ b[2].T
        return _TREND * (a[0] @ b[0].T), (a[1] @ b[1].T) / a[2].shape[1], np.maximum(steps, 0.0)

    @staticmethod
    def _kernel(parts: tuple[Floats, Floats, Floats], p: tuple[float, ...]) -> Floats:
        amplitude, additive, length, _ = p
        near = np.exp(-parts[2] / (2 * length**2))
        return np.asarray(parts[0] + amplitude * (additive * parts[1] + near), dtype=np.float64)

    def fit(self, vectors: Vectors, errors: Floats, noise: Floats, shares: tuple[float, ...] | None = None) -> Residual:
        """Learn from ``errors`` ``(n,)`` known to a standard deviation of ``noise`` ``(n,)``, both in one unit.

        Of more schemes than can be afforded, those with the fewest errors. *shares* are ``shares_`` of an earlier fit,
        where they need not be found again.
        """
        if len(vectors) > _MOST:
            keep = np.sort(np.argsort(errors, kind="stable")[:_MOST])
            vectors, errors, noise = vectors[keep], errors[keep], noise[keep]
        self._scale = max(float(np.median(self.prior(vectors))), 1e-12)
        self.mean_ = float(np.mean(errors))
        self.unit_ = max(float(np.std(errors)), float(np.mean(noise)), 1e-9)
        y = (errors - self.mean_) / self.unit_
        variance = np.diag((noise / self.unit_) ** 2 + 1e-6)
        self._at = {tuple(v): i for i, v in enumerate(vectors.tolist())}
        self._x = self._features(vectors)
        parts = self._parts(self._x, self._x)
        best = -np.inf
        for p in self.GRID if shares is None else (shares,):
            factor = cho_factor(self._kernel(parts, p) + p[0] * p[3] * np.eye(len(y)) + variance, lower=True)
            alpha = cho_solve(factor, y)
            likelihood = -0.5 * float(y @ alpha) - float(np.log(np.diag(factor[0])).sum())
            likelihood -= _DOUBT * float(np.log(p[0] / self.GRID[0][0]))
            if likelihood > best:
                best, self.shares_, self._factor, self._alpha = likelihood, p, factor, alpha
        return self

    def predict(self, vectors: Vectors) -> tuple[Floats, Floats]:
        """Mean and standard deviation ``(m,)`` of the errors."""
        x = self._features(vectors)
        amplitude, additive, _, luck = self.shares_
        k = self._kernel(self._parts(x, self._x), self.shares_)
        for i, vector in enumerate(vectors.tolist()):
            j = self._at.get(tuple(vector))
            if j is not None:
                k[i, j] += amplitude * luck
        mean = self.mean_ + self.unit_ * (k @ self._alpha)
        own = _TREND * (x[0] ** 2).sum(1) + amplitude * (additive + 1.0 + luck)
        spread = own - np.einsum("ij,ji->i", k, cho_solve(self._factor, k.T))
        return mean, self.unit_ * np.sqrt(np.maximum(spread, 1e-9))
