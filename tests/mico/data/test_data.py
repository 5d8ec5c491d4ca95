"""Datasets: shapes, disjoint splits, and damaged files. The splits' seeds are constants of the product."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from mico.data import Dataset, idx, load, mnist
from mico.data.dataset import Split, carve, spread
from mico.errors import UsageError

needs_mnist = pytest.mark.skipif(
    mnist.find() is None, reason="no MNIST on disk: set MICO_DATA or `mico data get mnist`"
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def hashes(images: np.ndarray) -> set[bytes]:
    return {hashlib.sha256(image.tobytes()).digest() for image in images}


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_digits_have_disjoint_stratified_splits_of_28x28_bytes(digits: Dataset) -> None:
    assert (len(digits.train), len(digits.val), len(digits.test)) == (1197, 240, 360)
    assert digits.input_shape == (1, 28, 28)
    assert digits.train.images.max() == 255
    for split in (digits.train, digits.val, digits.test):
        shares = np.bincount(split.labels, minlength=10) / len(split)
        assert np.abs(shares - 0.1).max() < 0.01
    train, val, test = (hashes(split.images) for split in (digits.train, digits.val, digits.test))
    assert not train & val
    assert not train & test
    assert not val & test


def test_calibration_images_come_from_the_training_split_only(digits: Dataset) -> None:
    assert digits.calibration.shape == (256, 1, 28, 28)
    assert hashes(digits.calibration) <= hashes(digits.train.images)


def test_enlarged_digits_keep_their_picture(digits: Dataset) -> None:
    """The sorted mean brightness of all images is that of scikit-learn's originals."""
    from sklearn.datasets import load_digits

    small = load_digits().images
    images = np.concatenate([digits.train.images, digits.val.images, digits.test.images])[:, 0]
    brightness = np.sort(images.mean((1, 2)) / 255)
    assert np.abs(brightness - np.sort(small.mean((1, 2)) / 16)).max() < 0.02


def test_loading_twice_gives_the_same_data_and_digest(digits: Dataset) -> None:
    again = load("digits")
    assert again.digest == digits.digest
    assert np.array_equal(again.train.images, digits.train.images)
    assert not digits.train.images.flags.writeable


def test_digest_changes_with_one_pixel(digits: Dataset) -> None:
    images = digits.test.images.copy()
    images[0, 0, 0, 0] ^= 1
    fields = {k: getattr(digits, k) for k in ("name", "source", "train", "val", "calibration", "classes")}
    other = Dataset(**fields, test=Split(images, digits.test.labels))
    assert other.digest != digits.digest


@needs_mnist
def test_mnist_has_the_official_test_set_and_no_image_in_two_splits() -> None:
    data = load("mnist")
    assert (len(data.train), len(data.val), len(data.test)) == (55000, 5000, 10000)
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    train, val, test = (hashes(split.images) for split in (data.train, data.val, data.test))
    assert not train & val
    assert not train & test
    assert not val & test
    assert hashes(data.calibration) <= train


@needs_mnist
def test_mnist_on_disk_is_the_one_whose_checksums_we_know() -> None:
    paths = mnist.find()
    assert paths is not None
    for key, path in paths.items():
        assert hashlib.sha256(idx.content(path)).hexdigest() == mnist.FILES[key].sha256


def test_auto_takes_digits_where_the_folder_has_no_mnist(tmp_path: Path) -> None:
    assert load("auto", tmp_path).name == "digits"


def test_auto_does_not_hide_a_damaged_mnist(tmp_path: Path) -> None:
    for file in mnist.FILES.values():
        (tmp_path / file.name).write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 60000) + b"\1" * 10)
    with pytest.raises(UsageError, match="needs 60000 bytes, holds 10"):
        load("auto", tmp_path)


def test_mico_data_is_searched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for file in mnist.FILES.values():
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(idx_bytes(np.zeros(3, np.uint8))))
    monkeypatch.setenv("MICO_DATA", str(tmp_path))
    paths = mnist.find()
    assert paths is not None
    assert paths["test_images"].parent == folder
    with pytest.raises(UsageError, match=r"shape \(3,\) instead of"):
        load("mnist")


def test_missing_mnist_and_unknown_names_say_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mico data get mnist"):
        load("mnist", tmp_path)
    with pytest.raises(UsageError, match="auto, mnist, cifar10, digits"):
        load("imagenet")


@pytest.mark.parametrize("shape", [(5,), (3, 4, 2)])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_round_trip(tmp_path: Path, shape: tuple[int, ...], zipped: bool) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    assert np.array_equal(idx.read(path), array)


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing"),
        (b"PNG!", "not an IDX file"),
        (b"\0\0\x0d\x01" + GOOD[4:], "type 0x0d"),
        (GOOD[:7], "cut short"),
        (GOOD[:-1], "needs 12 bytes, holds 11"),
        (GOOD + b"x", "needs 12 bytes, holds 13"),
        (gzip.compress(GOOD)[:-6], "damaged gzip"),
        (gzip.compress(GOOD)[:12] + b"\xff" * 20, "damaged gzip"),
    ],
)
def test_damaged_idx_is_an_error_that_names_the_file(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad-idx"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        idx.read(path)
    assert "bad-idx" in caught.value.where


@pytest.mark.parametrize("count", [1, 7, 50, 99])
def test_carve_takes_exactly_so_many_with_the_class_shares(count: int) -> None:
    labels = np.repeat(np.arange(4), (10, 20, 30, 40)).astype(np.int64)
    taken, rest = carve(labels, count, np.random.default_rng(2))
    assert len(taken) == count
    assert np.array_equal(np.sort(np.concatenate([taken, rest])), np.arange(100))
    assert np.abs(np.bincount(labels[taken], minlength=4) - np.array([10, 20, 30, 40]) * count / 100).max() < 1


def test_spread_covers_sorted_classes() -> None:
    labels = np.repeat(np.arange(10), 37)
    assert np.bincount(labels[spread(len(labels), 20)]).tolist() == [2] * 10
    assert spread(5, None).tolist() == spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert len(set(spread(256, 128).tolist())) == 128
