"""A linear proxy that extrapolates, corrected by trees that interpolate."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data

from mico.errors import UsageError
from mico.latency.linear import Cbops

__all__ = ["Blend"]


class _LogLinear:
    """Cycles as a product of powers of the features, each plus one."""

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Self:
        self.ridge_ = Ridge(1.0).fit(self._logs(X), np.log(y))
        self.span_ = np.log(y.min()) - 3, np.log(y.max()) + 3
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(np.clip(self.ridge_.predict(self._logs(X)), *self.span_)), dtype=np.float64)

    @staticmethod
    def _logs(X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log1p(np.maximum(X, 0))


class Blend(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """:class:`Cbops`, times the exponential of a random forest on the logarithm of its relative error.

    A CPU is not linear in bits, and trees cannot predict beyond what they saw: use both (nn-Meter, and the re-fits of
    public profiles: the blend errs by 19 % on unseen convolutions where BOPs errs by 170 %).

    Parameters
    ----------
    n_estimators
        Trees.
    random_state
        Seed of the forest.
    base
        ``linear``, or ``log``: a ridge regression of the logarithm of cycles on logarithms of the features, which must
        not be below zero then.
    """

    def __init__(self, n_estimators: int = 100, random_state: int | None = 0, base: str = "linear") -> None:
        self.n_estimators = n_estimators
        self.random_state = random_state
        self.base = base

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to ``X`` ``(n_samples, n_features)`` and cycles ``y`` ``(n_samples,)``, all positive."""
        data, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        target = np.asarray(target, dtype=np.float64)
        if np.any(target <= 0):
            raise UsageError("cycles must be positive", where=f"{type(self).__name__}.fit")
        if self.base not in ("linear", "log"):
            raise UsageError(f"no such base: {self.base!r}", where="Blend", cure="linear or log")
        self.linear_ = Cbops().fit(data, target) if self.base == "linear" else _LogLinear().fit(data, target)
        self.floor_ = float(target.min()) * 1e-3
        residual = np.log(target / np.maximum(self.linear_.predict(data), self.floor_))
        self.forest_ = RandomForestRegressor(self.n_estimators, random_state=self.random_state).fit(data, residual)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Cycles ``(n_samples,)``, positive."""
        check_is_fitted(self)
        data = validate_data(self, X, dtype=np.float64, reset=False)
        linear = np.maximum(self.linear_.predict(data), self.floor_)
        return np.asarray(linear * np.exp(self.forest_.predict(data)), dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
