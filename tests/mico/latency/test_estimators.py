"""Latency estimators: scikit-learn's rules, and what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mico.errors import UsageError
from mico.latency.blend import Blend
from mico.latency.linear import Bops, Cbops


@parametrize_with_checks([Cbops(), Bops(), Blend(n_estimators=10)])  # type: ignore[untyped-decorator]
def test_estimator_follows_the_rules(estimator: Any, check: Any) -> None:
    check(estimator)


def test_cbops_finds_the_true_coefficients_over_six_decades() -> None:
    rng = np.random.default_rng(1)
    x = 10 ** rng.uniform(2, 8, size=(60, 3))
    y = 900 + x @ np.array([0.03, 0.0, 1.2])
    model = Cbops().fit(x, y)
    np.testing.assert_allclose(model.coef_, [0.03, 0, 1.2], rtol=1e-6, atol=1e-9)
    assert model.intercept_ == pytest.approx(900, rel=1e-4)


def test_coefficients_are_never_negative_and_small_layers_count() -> None:
    rng = np.random.default_rng(2)
    x = 10 ** rng.uniform(2, 7, size=(80, 3))
    y = 500 + x @ np.array([0.5, 0.1, 0.2])
    noisy = y * rng.lognormal(0, 0.3, len(y))
    model = Cbops().fit(x, noisy)
    assert np.all(model.coef_ >= 0)
    assert model.intercept_ >= 0
    small = y < np.quantile(y, 0.25)
    assert np.median(np.abs(model.predict(x[small]) / y[small] - 1)) < 0.35


def test_blend_is_closer_than_linear_where_the_target_is_not_linear() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(1, 100, size=(300, 2))
    y = 1000 + 50 * x[:, 0] * np.where(x[:, 1] > 50, 1, 3)
    train, test = slice(0, 200), slice(200, 300)
    error = [
        np.mean(np.abs(m.fit(x[train], y[train]).predict(x[test]) / y[test] - 1))
        for m in (Cbops(), Blend(n_estimators=50, random_state=3))
    ]
    assert error[1] < error[0] / 3


def test_blend_refuses_cycles_that_are_not_positive() -> None:
    with pytest.raises(UsageError, match="positive"):
        Blend().fit([[1.0], [2.0]], [1.0, 0.0])
