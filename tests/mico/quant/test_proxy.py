"""Rank correlation: orders, ties, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from mico.errors import UsageError
from mico.quant.proxy import rank_correlation


def test_order_alone_counts() -> None:
    assert rank_correlation([(0.1, 10), (0.2, 20), (0.9, 21)]) == pytest.approx(1)
    assert rank_correlation([(0.1, 3), (0.2, 2), (0.9, 1)]) == pytest.approx(-1)


def test_it_is_spearmans_with_ties() -> None:
    """Seed 0; values from few levels."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        pairs = [(float(a), float(b)) for a, b in rng.integers(0, 5, (9, 2))]
        expected = spearmanr(*zip(*pairs, strict=True)).statistic
        assert rank_correlation(pairs) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(1, 2), (3, 4)], "three"),
        ([(1, 2), (2, 3), (3, float("nan"))], "finite"),
        ([(1, 2), (2, 2), (3, 2)], "no order"),
    ],
)
def test_what_has_no_order_is_refused(pairs: list[tuple[float, float]], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        rank_correlation(pairs)
