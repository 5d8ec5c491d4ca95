"""How well cycles of layers are predicted whose shape was never measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import mean_absolute_percentage_error, r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from mico.errors import UsageError
from mico.latency.blend import Blend
from mico.latency.features import BOPS, CBOPS, EXTENDED, columns
from mico.latency.linear import Bops, Cbops
from mico.latency.network import Sample

__all__ = ["Score", "compare", "held_out", "out_of_fold"]


@dataclass(frozen=True)
class Score:
    """Quality on held-out shapes; ``mape`` is a fraction (0.1 is 10 %)."""

    r2: float
    mape: float
    n: int
    shapes: int


def held_out(
    estimator: Any, X: NDArray[np.float64], y: NDArray[np.float64], shapes: Sequence[str], *, folds: int = 10
) -> Score:
    """Score *estimator* on :func:`out_of_fold` predictions."""
    predicted = out_of_fold(estimator, X, y, shapes, folds=folds)
    r2, mape = float(r2_score(y, predicted)), float(mean_absolute_percentage_error(y, predicted))
    return Score(r2, mape, len(y), len(set(shapes)))


def out_of_fold(
    estimator: Any, X: NDArray[np.float64], y: NDArray[np.float64], shapes: Sequence[str], *, folds: int = 10
) -> NDArray[np.float64]:
    """Cycles ``(n,)`` predicted with whole shapes left out: none is in the training and the test part of a fold.

    Parameters
    ----------
    X, y
        Features ``(n, k)`` and cycles ``(n,)``.
    shapes
        Group of every sample.
    folds
        At most; one shape a fold where there are fewer.

    Raises
    ------
    UsageError
        Fewer than two shapes: nothing can be left out.
    """
    count = len(set(shapes))
    if count < 2:
        raise UsageError(f"{count} shape of layer: none can be left out", cure="measure layers of more shapes")
    split = GroupKFold(min(folds, count))
    return np.asarray(cross_val_predict(clone(estimator), X, y, groups=list(shapes), cv=split), dtype=np.float64)


def compare(samples: Sequence[Sample]) -> dict[str, Score]:
    """Scores of ``bops``, ``cbops``, and ``blend`` (all features, with trees) on the same held-out shapes."""
    X = np.array([s.features for s in samples])
    y = np.array([s.cycles for s in samples])
    shapes = [s.shape for s in samples]
    candidates = {"bops": (Bops(), BOPS), "cbops": (Cbops(), CBOPS), "blend": (Blend(), EXTENDED)}
    return {name: held_out(model, X[:, columns(use)], y, shapes) for name, (model, use) in candidates.items()}
