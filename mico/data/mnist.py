"""MNIST from IDX files, gzipped or plain.

Looked for in ``MICO_DATA``, then ``../shared/data`` beside the repository, then ``~/.cache/mico``: in the folder itself
or in its ``mnist/``. The 60,000 training images give 55,000 for training and 5,000 for validation (stratified, the same
for every seed); the 10,000 test images are the official ones.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico.data import idx
from mico.data.dataset import Dataset, Split, calibration_subset, carve
from mico.errors import UsageError

__all__ = ["FILES", "IdxFile", "default_dir", "find", "load", "roots"]

VALIDATION_IMAGES = 5000
_SPLIT_SEED = 20240501


@dataclass(frozen=True)
class IdxFile:
    """One of MNIST's four files.

    Attributes
    ----------
    name
        Without ``.gz``.
    sha256
        Of the *uncompressed* content: gzip files of the same content differ between mirrors.
    shape
        Of the array it holds.
    """

    name: str
    sha256: str
    shape: tuple[int, ...]


FILES: dict[str, IdxFile] = {
    "train_images": IdxFile(
        "train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", (60000, 28, 28)
    ),
    "train_labels": IdxFile(
        "train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", (60000,)
    ),
    "test_images": IdxFile(
        "t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", (10000, 28, 28)
    ),
    "test_labels": IdxFile(
        "t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", (10000,)
    ),
}


def default_dir() -> Path:
    """Where a download goes: ``mnist/`` in ``MICO_DATA`` if it is set, else in ``~/.cache/mico``."""
    root = os.environ.get("MICO_DATA")
    return (Path(root) if root else Path.home() / ".cache" / "mico") / "mnist"


def roots() -> tuple[Path, ...]:
    """Folders that are searched, in order."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    configured = os.environ.get("MICO_DATA")
    return (*((Path(configured),) if configured else ()), beside, Path.home() / ".cache" / "mico")


def find(root: Path | None = None) -> dict[str, Path] | None:
    """Paths of the four files, keyed as :data:`FILES`, or None where no folder has all four.

    With *root* only that folder is searched.
    """
    for folder in roots() if root is None else (root,):
        for place in (folder / "mnist", folder):
            paths = {key: _existing(place, file.name) for key, file in FILES.items()}
            found = {key: path for key, path in paths.items() if path is not None}
            if len(found) == len(FILES):
                return found
    return None


def load(root: Path | None = None) -> Dataset:
    """Read MNIST.

    Raises
    ------
    UsageError
        The files are nowhere, damaged, or hold arrays of other shapes than MNIST's.
    """
    paths = find(root)
    if paths is None:
        places = ", ".join(str(path) for path in (roots() if root is None else (root,)))
        raise UsageError(
            f"no MNIST in {places}", cure="`mico data get mnist`, or set MICO_DATA to the folder that has it"
        )
    arrays = {key: idx.read(path) for key, path in paths.items()}
    for key, array in arrays.items():
        if array.shape != FILES[key].shape:
            raise UsageError(f"shape {array.shape} instead of {FILES[key].shape}", where=str(paths[key]))
    labels = arrays["train_labels"].astype(np.int64)
    images = arrays["train_images"][:, np.newaxis]
    rng = np.random.default_rng(_SPLIT_SEED)
    val, train = carve(labels, VALIDATION_IMAGES, rng)
    return Dataset(
        name="mnist",
        source=str(paths["train_images"].parent),
        train=Split(images[train], labels[train]),
        val=Split(images[val], labels[val]),
        test=Split(arrays["test_images"][:, np.newaxis], arrays["test_labels"].astype(np.int64)),
        calibration=calibration_subset(images[train], rng),
        classes=10,
    )


def _existing(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None
