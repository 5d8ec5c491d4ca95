"""Linear latency proxies: non-negative coefficients, least relative error."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["Bops", "Cbops"]


class Cbops(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Cycles as a constant plus a non-negative linear function of the features (MiCo's CBOPs, re-fitted).

    Every sample is weighted by the inverse of its magnitude, so that a layer of a thousand cycles counts as much as one
    of a million: squared *relative* error is what is minimised. No coefficient is negative, since no work takes
    negative time; this also keeps an extrapolation from going below zero.

    Parameters
    ----------
    fit_intercept
        Whether there is a constant.

    Attributes
    ----------
    coef_
        ``(n_features,)``, cycles per unit of each feature, >= 0.
    intercept_
        Cycles, >= 0.
    """

    def __init__(self, fit_intercept: bool = True) -> None:
        self.fit_intercept = fit_intercept

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to ``X`` ``(n_samples, n_features)`` and cycles ``y`` ``(n_samples,)``."""
        data, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        target = np.asarray(target, dtype=np.float64)
        magnitude = np.abs(target)
        largest = magnitude.max()
        weight = 1 / np.maximum(magnitude, 1e-6 * largest if largest > 0 else 1.0)
        design = np.column_stack([data, np.ones(len(data))]) if self.fit_intercept else data
        # MACs and bytes differ by 10^6: scale the columns, or the solver meets its tolerance too early
        size = np.maximum(np.abs(design).max(axis=0), np.finfo(float).tiny)
        solution, _ = nnls(design / size * weight[:, None], target * weight, maxiter=100 * design.shape[1])
        solution = solution / size
        self.intercept_ = float(solution[-1]) if self.fit_intercept else 0.0
        self.coef_ = solution[:-1] if self.fit_intercept else solution
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Cycles ``(n_samples,)``."""
        check_is_fitted(self)
        data = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(data @ self.coef_ + self.intercept_, dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # a target that falls with a feature cannot be fitted, on purpose
        return tags


class Bops(Cbops):
    """The usual proxy, fitted the same way: what differs from :class:`Cbops` is the feature it is given, BOPs alone."""
