"""How well a short training stands in for a full one: do both put schemes in the same order?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from mico.errors import UsageError

__all__ = ["rank_correlation"]


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's rank correlation of (proxy, truth), equal values sharing their rank; in -1..1.

    Raises
    ------
    UsageError
        Fewer than three pairs, a value that is not finite, or one side that is the same throughout: then there is no
        order to compare.
    """
    values = np.asarray(pairs, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2 or len(values) < 3:
        raise UsageError(f"a rank correlation needs at least three pairs, not {len(pairs)}")
    if not np.isfinite(values).all():
        raise UsageError("a rank correlation needs finite values")
    ranks = rankdata(values, axis=0) - (len(values) + 1) / 2
    spread = np.sqrt((ranks**2).sum(axis=0))
    if (spread == 0).any():
        raise UsageError("one side is the same throughout: there is no order to compare")
    return float((ranks[:, 0] * ranks[:, 1]).sum() / spread.prod())
