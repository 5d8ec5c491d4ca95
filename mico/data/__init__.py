"""Datasets, one source a file: MNIST from IDX files, CIFAR-10, scikit-learn's digits without a download."""

from __future__ import annotations

from pathlib import Path

from mico.data import cifar10, digits, mnist
from mico.data.dataset import Dataset, Split
from mico.errors import UsageError

__all__ = ["NAMES", "Dataset", "Split", "load"]

NAMES = ("mnist", "cifar10", "digits")
"""Datasets by name."""


def load(name: str = "auto", root: Path | str | None = None) -> Dataset:
    """Load a dataset.

    Parameters
    ----------
    name
        ``"mnist"``, ``"cifar10"``, ``"digits"``, or ``"auto"``: MNIST where its files are on disk, else digits. Files
        that are there but damaged are an error, never a reason to take the other.
    root
        Only folder to search; by default those of :func:`mico.data.mnist.roots`.

    Raises
    ------
    UsageError
        Unknown name; files missing or damaged.
    """
    folder = None if root is None else Path(root)
    if name == "auto":
        name = "mnist" if mnist.find(folder) is not None else "digits"
    if name == "mnist":
        return mnist.load(folder)
    if name == "cifar10":
        return cifar10.load(folder)
    if name == "digits":
        return digits.load()
    raise UsageError(f"no dataset {name!r}", cure=f"one of auto, {', '.join(NAMES)}")
