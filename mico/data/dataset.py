"""Dataset: images and labels in three disjoint splits, with a calibration set and a digest for provenance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError

__all__ = ["SPLITS", "Dataset", "Split", "carve", "spread"]

SPLITS = ("train", "val", "test")
"""Names of the splits: training sees the first, a search the second, the report the third, once."""

CALIBRATION_IMAGES = 256
"""Images in the calibration set; a smaller training split is used whole."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images ``(N, C, H, W)`` uint8 and labels ``(N,)`` int64. The arrays are read-only."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.labels.shape != self.images.shape[:1]:
            raise UsageError(
                f"images {self.images.dtype} {self.images.shape} and labels {self.labels.shape} do not make a split",
                cure="images are uint8 (N, C, H, W), labels (N,)",
            )
        self.images.flags.writeable = False
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[NDArray[np.uint8] | NDArray[np.int64]]:
        """Images, then labels, so that ``x, y = dataset.test`` works."""
        return iter((self.images, self.labels))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification dataset.

    Attributes
    ----------
    name
        Short name: ``mnist``, ``digits``.
    source
        Where it came from, for people; not part of the digest.
    train, val, test
        Disjoint splits. *test* is the official test set where there is one.
    calibration
        Unlabelled images ``(N, C, H, W)``, a subset of *train*: disjoint from *val* and *test*, not from *train*.
    classes
        Number of classes; labels are ``0 .. classes - 1``.
    """

    name: str
    source: str
    train: Split
    val: Split
    test: Split
    calibration: NDArray[np.uint8]
    classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image, channel first."""
        return tuple(int(n) for n in self.train.images.shape[1:])

    def split(self, name: str) -> Split:
        """The split called *name*; UsageError for another name."""
        if name not in SPLITS:
            raise UsageError(f"no split {name!r}", cure=f"one of {', '.join(SPLITS)}")
        split = getattr(self, name)
        assert isinstance(split, Split)
        return split

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 over every image and label of every split, in order."""
        digest = hashlib.sha256(self.name.encode())
        for split in (self.train, self.val, self.test):
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
        digest.update(np.ascontiguousarray(self.calibration).data)
        return digest.hexdigest()


def carve(
    labels: NDArray[np.int64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of *count* samples with the class shares of the whole, and of all others.

    Parameters
    ----------
    labels
        ``(N,)``.
    count
        Samples to take, fewer than N. Shares are rounded down; the classes with the largest remainders get one more.

    Returns
    -------
    taken, rest
        Sorted indices; together they are ``0 .. N - 1``.
    """
    if not 0 < count < len(labels):
        raise UsageError(f"cannot take {count} of {len(labels)} samples")
    classes, sizes = np.unique(labels, return_counts=True)
    exact = sizes * count / len(labels)
    quota = np.floor(exact).astype(int)
    for index in np.argsort(quota - exact, kind="stable")[: count - int(quota.sum())]:
        quota[index] += 1
    chosen = [rng.permutation(np.flatnonzero(labels == c))[:q] for c, q in zip(classes, quota, strict=True)]
    taken = np.sort(np.concatenate(chosen))
    rest = np.setdiff1d(np.arange(len(labels)), taken, assume_unique=True)
    return taken.astype(np.int64), rest.astype(np.int64)


def spread(total: int, count: int | None) -> NDArray[np.int64]:
    """*count* of the indices ``0 .. total - 1``, evenly spaced; all of them where there are no more, or for None.

    The first few images of a split may all be of one class: datasets often come sorted.
    """
    wanted = total if count is None else min(count, total)
    return np.arange(wanted, dtype=np.int64) * total // max(wanted, 1)


def calibration_subset(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random :data:`CALIBRATION_IMAGES` of *images*, or all of them where there are fewer; read-only."""
    subset = images[np.sort(rng.permutation(len(images))[:CALIBRATION_IMAGES])]
    subset.flags.writeable = False
    return subset
