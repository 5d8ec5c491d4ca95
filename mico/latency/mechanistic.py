"""Cycles as what an engine does, each kind of work at its price, and trees for what the counts leave out."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from mico.errors import UsageError
from mico.latency.trees import Forest

__all__ = ["Mechanistic"]

_ROUNDS = 12
_SOFT = 0.01
"""Relative errors below this count squared, above it as they are."""


class Mechanistic(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Non-negative prices of counted work, least absolute relative error, times a forest's small correction.

    There is no constant beside the counts: what an operation costs at least is a count of 1. Columns that are zero in
    all samples get the price 0.

    Parameters
    ----------
    n_estimators
        Trees that predict the logarithm of the error from each count by predicted cycle; 0: none.
    shrink
        Part of the trees' correction that is applied.
    min_samples_leaf
        Samples that a tree's leaf averages at least.
    random_state
        Seed of the forest.

    Attributes
    ----------
    coef_
        ``(n_features,)``, cycles per unit of each count, >= 0.
    floor_
        Least cycles that are predicted.
    forest_
        :class:`mico.latency.trees.Forest`, or None.
    """

    def __init__(
        self, n_estimators: int = 30, shrink: float = 0.5, min_samples_leaf: int = 15, random_state: int | None = 0
    ) -> None:
        self.n_estimators = n_estimators
        self.shrink = shrink
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to counts ``X`` ``(n_samples, n_features)`` and cycles ``y`` ``(n_samples,)``, all positive."""
        data, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        target = np.asarray(target, dtype=np.float64)
        if np.any(target <= 0):
            raise UsageError("cycles must be positive", where=f"{type(self).__name__}.fit")
        self.coef_ = _prices(data, target)
        self.floor_ = float(target.min()) * 0.1
        self.forest_: Forest | None = None
        if self.n_estimators:
            linear = self._linear(data)
            trees = RandomForestRegressor(
                self.n_estimators,
                min_samples_leaf=self.min_samples_leaf,
                max_features=0.5,
                random_state=self.random_state,
            )
            self.forest_ = Forest.of(trees.fit(self._shares(data, linear), np.log(target / linear)))
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Cycles ``(n_samples,)``, positive."""
        check_is_fitted(self)
        data = validate_data(self, X, dtype=np.float64, reset=False)
        linear = self._linear(data)
        if self.forest_ is None:
            return linear
        return np.asarray(linear * np.exp(self.shrink * self.forest_.predict(self._shares(data, linear))))

    def _linear(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        cycles: NDArray[np.float64] = np.maximum(data @ self.coef_, self.floor_)
        return cycles

    def shares(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the trees see of counts ``(n, n_features)``: each by predicted cycle, and the logarithm of these."""
        return self._shares(data, self._linear(data))

    def _shares(self, data: NDArray[np.float64], linear: NDArray[np.float64]) -> NDArray[np.float64]:
        # No sizes beside the logarithm of the whole, so that trees need not extrapolate
        return np.column_stack([data / linear[:, None], np.log(linear)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True  # a target that falls with a count cannot be fitted, on purpose
        return tags


def _prices(data: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least sum of |relative error|, by reweighted non-negative least squares."""
    size = np.abs(data).max(axis=0)
    size[size == 0] = 1.0
    design, goal = data / size / target[:, None], np.ones(len(target))
    weight = np.ones(len(target))
    solution: NDArray[np.float64] = np.zeros(data.shape[1])
    for _ in range(_ROUNDS):
        solution, _ = nnls(design * weight[:, None], goal * weight, maxiter=200 * data.shape[1])
        error = design @ solution - 1
        weight = (error * error + _SOFT * _SOFT) ** -0.25
    prices: NDArray[np.float64] = solution / size
    return prices
