"""scikit-learn's digits enlarged to 28x28: the dataset that needs no download.

1,797 images of 8x8 pixels and 17 grey levels, the test part of UCI's "Optical recognition of handwritten digits".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mico.data.dataset import Dataset, Split, calibration_subset, carve

__all__ = ["load", "small"]

TEST_IMAGES = 360
VALIDATION_IMAGES = 240
_SPLIT_SEED = 20240502
_SIZE = 28


def load() -> Dataset:
    """Load, enlarge bilinearly and split, stratified: 360 test, 240 validation, the other 1,197 training images."""
    from sklearn.datasets import load_digits  # takes half a second, and most commands need no data

    images, targets = load_digits(return_X_y=True)
    labels = np.asarray(targets, np.int64)
    pixels = _enlarge(np.asarray(images, np.float64).reshape(-1, 8, 8))
    rng = np.random.default_rng(_SPLIT_SEED)
    test, rest = carve(labels, TEST_IMAGES, rng)
    val, train = (rest[part] for part in carve(labels[rest], VALIDATION_IMAGES, rng))
    return Dataset(
        name="digits",
        source="scikit-learn load_digits, enlarged to 28x28",
        train=Split(pixels[train], labels[train]),
        val=Split(pixels[val], labels[val]),
        test=Split(pixels[test], labels[test]),
        calibration=calibration_subset(pixels[train], rng),
        classes=10,
    )


def _enlarge(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """``(N, 8, 8)`` of 0..16 to ``(N, 1, 28, 28)`` of 0..255."""
    from scipy.ndimage import zoom

    factor = _SIZE / images.shape[-1]
    large = zoom(images, (1, factor, factor), order=1, mode="nearest", grid_mode=True)
    levels: NDArray[np.uint8] = np.clip(np.rint(large * (255 / 16)), 0, 255).astype(np.uint8)[:, np.newaxis]
    return levels


def small() -> Dataset:
    """Every fourth pixel of them, 7 x 7: for networks that are trained and measured in seconds."""
    full = load()

    def shrink(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return images[:, :, 2::4, 2::4].copy()

    train, val, test = (Split(shrink(s.images), s.labels.copy()) for s in (full.train, full.val, full.test))
    return Dataset("digits7", full.source, train, val, test, shrink(full.calibration), full.classes)
