"""A forest as arrays: what is left of one when nothing of scikit-learn may be stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError

__all__ = ["Forest"]

_LEAF = -1


@dataclass(frozen=True)
class Forest:
    """Regression trees, their nodes one after another.

    Attributes
    ----------
    roots
        First node of each tree.
    left, right
        Nodes ``(nodes,)`` where the sample's feature is at most the threshold, and where it is above; -1 of a leaf.
    feature, threshold, value
        ``(nodes,)``; a sample's values are compared in float32, as scikit-learn does.
    features
        Columns of a sample.
    """

    roots: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    value: NDArray[np.float64]
    features: int

    @classmethod
    def of(cls, forest: Any) -> Forest:
        """The arrays of a fitted ``RandomForestRegressor``."""
        parts: list[list[NDArray[Any]]] = [[] for _ in range(5)]
        roots, start = [], 0
        for estimator in forest.estimators_:
            tree = estimator.tree_
            leaf = tree.children_left < 0
            shift = np.where(leaf, 0, start)
            roots.append(start)
            parts[0].append(np.where(leaf, _LEAF, tree.children_left + shift))
            parts[1].append(np.where(leaf, _LEAF, tree.children_right + shift))
            parts[2].append(np.where(leaf, 0, tree.feature))
            parts[3].append(np.where(leaf, 0.0, tree.threshold))
            parts[4].append(tree.value[:, 0, 0])
            start += tree.node_count
        left, right, feature, threshold, value = (np.concatenate(part) for part in parts)
        return cls(
            np.array(roots, np.int64),
            left.astype(np.int64),
            right.astype(np.int64),
            feature.astype(np.int64),
            threshold.astype(np.float64),
            value.astype(np.float64),
            int(forest.n_features_in_),
        )

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the trees ``(n,)`` of samples ``(n, features)``."""
        data = np.asarray(X, dtype=np.float32)
        total = np.zeros(len(data))
        rows = np.arange(len(data))
        for root in self.roots:
            node = np.full(len(data), root)
            while True:
                inner = self.left[node] >= 0
                if not inner.any():
                    break
                below = data[rows, self.feature[node]] <= self.threshold[node]
                node = np.where(inner, np.where(below, self.left[node], self.right[node]), node)
            total += self.value[node]
        return total / len(self.roots)

    def to_json(self) -> dict[str, Any]:
        """JSON types only; floats keep all their bits."""
        names = ("roots", "left", "right", "feature", "threshold", "value")
        return {"features": self.features, **{name: getattr(self, name).tolist() for name in names}}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Inverse of :meth:`to_json`; UsageError for arrays that are no forest."""
        try:
            roots, left, right, feature = (np.array(data[n], np.int64) for n in ("roots", "left", "right", "feature"))
            threshold, value = (np.array(data[n], np.float64) for n in ("threshold", "value"))
            features = int(data["features"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"no forest: {error!r}", where="latency model") from error
        count = len(left)
        nodes = np.arange(count)
        inner = left >= 0
        whole = (
            count > 0
            and len(roots) > 0
            and all(array.shape == (count,) for array in (right, feature, threshold, value))
            and bool(((roots >= 0) & (roots < count)).all())
            and bool(((feature >= 0) & (feature < features)).all())
            and bool((left[~inner] == _LEAF).all() and (right[~inner] == _LEAF).all())
            # children lie behind their parents: a walk ends
            and bool(((left > nodes) & (right > nodes) & (left < count) & (right < count))[inner].all())
            and bool(np.isfinite(threshold).all() and np.isfinite(value).all())
        )
        if not whole:
            raise UsageError("no forest: its arrays do not fit each other", where="latency model")
        return cls(roots, left, right, feature, threshold, value, features)
