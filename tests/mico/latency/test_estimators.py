"""Latency estimators: scikit-learn's rules, and what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mico.errors import UsageError
from mico.latency.blend import Blend
from mico.latency.linear import Bops, Cbops
from mico.latency.mechanistic import Mechanistic


@parametrize_with_checks([Cbops(), Bops(), Blend(10), Blend(10, base="log"), Mechanistic(10), Mechanistic(0)])  # type: ignore[untyped-decorator]
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


def test_prices_are_those_of_the_work_even_where_some_samples_are_far_off() -> None:
    rng = np.random.default_rng(4)
    x = np.column_stack([np.ones(200), 10 ** rng.uniform(1, 6, (200, 2)), np.zeros(200)])
    y = x @ np.array([370.0, 1.0, 16.0, 0.0])
    y[:20] *= 1.5
    model = Mechanistic(0).fit(x, y)
    np.testing.assert_allclose(model.coef_, [370, 1, 16, 0], rtol=2e-3)


def test_the_forest_corrects_what_the_counts_leave_out() -> None:
    rng = np.random.default_rng(5)
    x = np.column_stack([np.ones(400), 10 ** rng.uniform(2, 5, (400, 2))])
    y = x @ np.array([100.0, 1.0, 1.0]) * np.where(x[:, 1] > x[:, 2], 1.2, 1.0)
    train, test = slice(0, 300), slice(300, 400)
    plain, forest = (Mechanistic(n, shrink=1.0).fit(x[train], y[train]).predict(x[test]) for n in (0, 50))
    assert np.mean(np.abs(forest / y[test] - 1)) < 0.5 * np.mean(np.abs(plain / y[test] - 1))


def test_blend_refuses_cycles_that_are_not_positive() -> None:
    with pytest.raises(UsageError, match="positive"):
        Blend().fit([[1.0], [2.0]], [1.0, 0.0])
