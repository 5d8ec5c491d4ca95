"""How predictable the best scheme is: what no search without luck gets below, ``limit`` of search.json."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.search.space import Space, Vectors
from tests.bench import search_tables as tables
from tests.bench.search_tables import Case

FOLDS = 5
ORDER = 3
_RIDGE = 3.0
_NEAR = 0.1  # points
_EPSILON = 1e-9


def interactions(space: Space, vectors: Vectors, order: int = ORDER) -> NDArray[np.float32]:
    """Columns ``(N, features)``: a constant, and every product of widths of up to *order* entries, one-hot."""
    index = space.encode(vectors)
    hot = [np.stack([index[:, i] == k for k in range(1, len(bits))], 1) for i, bits in enumerate(space.choices)]
    columns = [np.ones((len(vectors), 1), dtype=np.float32)]
    for count in range(1, order + 1):
        for chosen in combinations(hot, count):
            product = chosen[0]
            for other in chosen[1:]:
                product = (product[:, :, None] & other[:, None, :]).reshape(len(vectors), -1)
            columns.append(product.astype(np.float32))
    return np.concatenate(columns, axis=1)


@cache
def predicted(name: str) -> NDArray[np.float64]:
    """Wrong images of every scheme ``(S,)`` as ridge regression on the other four fifths of the table has them."""
    table = tables.load(name)
    x = interactions(table.space, tables.vectors(name))
    errors = (1 - table.accuracy) * table.images
    centre = errors.mean()
    fold = np.random.default_rng(0).integers(0, FOLDS, len(errors))
    parts = [np.flatnonzero(fold == k) for k in range(FOLDS)]
    grams = [(x[rows].T @ x[rows]).astype(np.float64) for rows in parts]
    moments = [x[rows].T @ (errors[rows] - centre) for rows in parts]
    out = np.empty(len(errors))
    for k, rows in enumerate(parts):
        gram = sum(g for j, g in enumerate(grams) if j != k) + _RIDGE * np.eye(x.shape[1])
        moment = sum(m for j, m in enumerate(moments) if j != k)
        out[rows] = x[rows] @ np.linalg.solve(gram, moment) + centre
    return out


def limits(cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """By case: ``place`` of the first scheme within 0.1 point of the optimum in the order of :func:`predicted`.

    ``error`` is the regression's root mean square error in points over the 500 schemes that fit and look best to it,
    ``gap`` how far the optimum lies below what the regression says of it, in those errors.
    """
    found = {}
    for case in cases:
        table = tables.load(case.table)
        fits = np.flatnonzero(tables.costs(case.table, case.cost) <= tables.limit(case))
        wrong, guess = (1 - table.accuracy[fits]) * table.images, predicted(case.table)[fits]
        near = wrong <= wrong.min() + _NEAR / 100 * table.images + _EPSILON
        looks = np.argsort(guess, kind="stable")[:500]
        error = float(np.sqrt(np.mean((guess - wrong)[looks] ** 2)))
        best = int(np.argmin(wrong))
        found[case.name] = {
            "place": int((guess < guess[near].min()).sum()) + 1,
            "error": round(100 * error / table.images, 3),
            "gap": round(float(guess[best] - wrong[best]) / error, 2),
        }
    return found
