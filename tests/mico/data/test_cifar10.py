"""CIFAR-10 in its two forms: what is read, how it is split, what is refused. Small archives stand in, of random pixels;
the real one is read where it is on disk."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from cifar_files import Files, binary_files, encoded, image_files, random_images, records, write_archive, write_folder

from mico.data import Dataset, cifar10, load
from mico.errors import UsageError

TRAIN, TEST, VALIDATION = 10, 4, 20
BINARY, JPEG = "cifar-10-binary.tar.gz", "cifar10_jpeg.tar.xz"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Ten images a class instead of 5,000, a cache of the test's own."""
    if "real" not in request.node.name:
        monkeypatch.setattr(cifar10, "PER_CLASS", {"train": TRAIN, "test": TEST})
        monkeypatch.setattr(cifar10, "VALIDATION_IMAGES", VALIDATION)
        monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def pixels_by_label(data: Dataset) -> list[tuple[int, bytes]]:
    splits = (data.train, data.val, data.test)
    return sorted((int(y), x.tobytes()) for s in splits for x, y in zip(s.images, s.labels, strict=True))


def write_binary(root: Path, files: Files) -> Path:
    return write_archive(root / BINARY, files, "cifar-10-batches-bin/")


def test_binary_archive_and_its_unpacked_folder_are_the_same_dataset(root: Path, tmp_path: Path) -> None:
    files = binary_files(1, TRAIN, TEST)
    write_binary(root, files | {"batches.meta.txt": b"airplane\n", "readme.html": b"<html>"})
    folder = write_folder(tmp_path / "other" / "cifar-10-batches-bin", files)
    packed, unpacked, itself = load("cifar10", root), load("cifar10", folder.parent), load("cifar10", folder)
    assert packed.name == "CIFAR-10"
    assert packed.digest == unpacked.digest == itself.digest
    assert (len(packed.train), len(packed.val), len(packed.test)) == (80, 20, 40)
    images, labels = random_images(1, TRAIN)
    test_images, test_labels = random_images(2, TEST)
    expected = [(int(y), x.tobytes()) for x, y in zip(images, labels, strict=True)]
    expected += [(int(y), x.tobytes()) for x, y in zip(test_images, test_labels, strict=True)]
    assert pixels_by_label(packed) == sorted(expected)
    assert np.array_equal(packed.test.images, test_images)


@pytest.mark.parametrize("name", ["cifar10_jpeg.tar.xz", "cifar10.tar.gz", "cifar-10.tar", "cifar10-images.tar.bz2"])
def test_archive_of_jpegs_and_its_unpacked_folder_are_the_same_dataset(root: Path, tmp_path: Path, name: str) -> None:
    files = image_files(3, TRAIN, TEST)
    write_archive(root / name, files, "./" if name.endswith("xz") else "cifar/")
    folder = write_folder(tmp_path / "other" / "cifar10_jpeg", files)
    packed, unpacked, itself = load("cifar10", root), load("cifar10", folder.parent), load("cifar10", folder)
    assert packed.name == "CIFAR-10 (JPEG)"
    assert packed.digest == unpacked.digest == itself.digest
    decoded = np.asarray(Image.open(io.BytesIO(files["test/automobile/0002.jpg"]))).transpose(2, 0, 1)
    assert packed.test.labels[TEST + 2] == 1
    assert np.array_equal(packed.test.images[TEST + 2], decoded)


def test_images_without_loss_are_the_original_by_name_and_pixels(root: Path, tmp_path: Path) -> None:
    images, labels = random_images(8, TRAIN)
    tests, test_labels = random_images(9, TEST)
    files = {}
    for part, xs, ys in (("train", images, labels), ("test", tests, test_labels)):
        for index, (x, y) in enumerate(zip(xs, ys.tolist(), strict=True)):
            files[f"{part}/{cifar10.CLASSES[y]}/{index}.png"] = encoded(x, "png")
    write_archive(root / "cifar10.tar.gz", files)
    batches = [records(x, y) for x, y in zip(np.split(images, 5), np.split(labels, 5), strict=True)]
    binary = {f"data_batch_{i + 1}.bin": batch for i, batch in enumerate(batches)}
    folder = write_folder(tmp_path / "binary", binary | {"test_batch.bin": records(tests, test_labels)})
    one, two = load("cifar10", root), load("cifar10", folder)
    assert one.name == two.name == "CIFAR-10"
    assert pixels_by_label(one) == pixels_by_label(two)


def test_splits_are_stratified_disjoint_and_calibration_is_of_the_training_split(root: Path) -> None:
    write_binary(root, binary_files(4, TRAIN, TEST))
    data = load("cifar10", root)
    for split, each in ((data.train, 8), (data.val, 2), (data.test, 4)):
        assert np.bincount(split.labels).tolist() == [each] * 10
    train, val, test = ({x.tobytes() for x in s.images} for s in (data.train, data.val, data.test))
    assert not train & val
    assert not (train | val) & test
    assert {x.tobytes() for x in data.calibration} <= train


def test_original_is_preferred_to_images_and_a_damaged_original_is_not_passed_over(root: Path) -> None:
    write_archive(root / JPEG, image_files(3, TRAIN, TEST))
    path = write_binary(root, binary_files(1, TRAIN, TEST))
    assert load("cifar10", root).name == "CIFAR-10"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UsageError, match="damaged or cut short"):
        load("cifar10", root)


def test_images_are_decoded_once_and_a_damaged_cache_entry_is_made_again(root: Path, tmp_path: Path) -> None:
    write_archive(root / JPEG, image_files(5, TRAIN, TEST))
    first = load("cifar10", root)
    (entry,) = (tmp_path / "cache").iterdir()
    content, made = entry.read_bytes(), entry.stat().st_mtime_ns
    assert load("cifar10", root).digest == first.digest
    assert entry.stat().st_mtime_ns == made
    for damage in (content[:-500], b"", content[:100_000] + bytes([content[100_000] ^ 1]) + content[100_001:]):
        entry.write_bytes(damage)
        assert load("cifar10", root).digest == first.digest
        assert entry.read_bytes() == content


def test_changed_archive_or_folder_is_another_cache_entry(root: Path, tmp_path: Path) -> None:
    write_folder(root / "cifar10", image_files(5, TRAIN, TEST))
    first = load("cifar10", root)
    image = random_images(99, 1)[0][0]
    (root / "cifar10" / "train" / "cat" / "0003.jpg").write_bytes(encoded(image, "jpg"))
    assert load("cifar10", root).digest != first.digest
    assert len(list((tmp_path / "cache").iterdir())) == 2


def damaged(change: Callable[[Files], object]) -> Files:
    files = image_files(6, TRAIN, TEST)
    change(files)
    return files


SMALL = encoded(np.zeros((3, 16, 32), np.uint8), "jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("train/cat/0003.jpg"), "9 images of cat in train, CIFAR-10 has 10"),
        (lambda f: f.update({"test/dog/0099.jpg": f["test/dog/0000.jpg"]}), "5 images of dog in test"),
        (lambda f: [f.pop(n) for n in list(f) if "test/ship" in n], "no images of ship in test"),
        (lambda f: [f.pop(n) for n in list(f) if n.startswith("test/")], "no images of airplane, .* in test"),
        (lambda f: f.clear(), "no images of airplane"),
        (lambda f: f.update({"train/cat/0003.jpg": b"junk"}), "not an image, or a damaged one"),
        (lambda f: f.update({"train/cat/0003.jpg": f["train/cat/0003.jpg"][:200]}), "a damaged one"),
        (lambda f: f.update({"train/cat/0003.jpg": SMALL}), "32x16 pixels instead of 32x32"),
        (lambda f: f.update({"train/unicorn/0000.jpg": SMALL}), "no class of train or test"),
        (lambda f: f.update({"cover.png": SMALL}), "no class of train or test"),
    ],
)
def test_wrong_set_of_images_is_refused_with_its_place(
    root: Path, change: Callable[[Files], object], message: str
) -> None:
    write_archive(root / JPEG, damaged(change))
    with pytest.raises(UsageError, match=message) as caught:
        load("cifar10", root)
    assert JPEG in caught.value.where


@pytest.mark.parametrize("cut", [0, 20, 5000, -200])
@pytest.mark.parametrize("suffix", ["tar.xz", "tar.gz", "tar.bz2"])
def test_archive_cut_short_is_refused(root: Path, cut: int, suffix: str) -> None:
    path = write_archive(root / f"cifar10.{suffix}", image_files(7, TRAIN, TEST))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UsageError, match=r"damaged or cut short|no images of|images of \w+ in"):
        load("cifar10", root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.pop("data_batch_3.bin"), r"no data_batch_3\.bin"),
        (lambda f: f.update({"test_batch.bin": f["test_batch.bin"][:-1]}), "no whole number of images"),
        (lambda f: f.update({"test_batch.bin": b""}), "no whole number of images"),
        (lambda f: f.update({"data_batch_1.bin": f["data_batch_1.bin"][:-3073]}), r"9 images of \w+ in train"),
        (lambda f: f.update({"data_batch_1.bin": b"\x0b" + f["data_batch_1.bin"][1:]}), "label 11: not CIFAR-10"),
    ],
)
def test_wrong_binary_files_are_refused(root: Path, change: Callable[[Files], object], message: str) -> None:
    files = binary_files(1, TRAIN, TEST)
    change(files)
    write_binary(root, files)
    with pytest.raises(UsageError, match=message):
        load("cifar10", root)


def test_missing_dataset_says_what_to_put_where(root: Path) -> None:
    with pytest.raises(UsageError, match=r"cifar-10-binary\.tar\.gz"):
        load("cifar10", root)


@pytest.mark.slow
@pytest.mark.skipif(cifar10.find() is None, reason="no CIFAR-10 on disk: set MICO_DATA to the folder that has it")
def test_real_cifar10_is_complete_and_no_image_is_in_two_splits() -> None:
    data = load("cifar10")
    assert (len(data.train), len(data.val), len(data.test)) == (45000, 5000, 10000)
    train, val, test = (
        {hashlib.sha256(x.tobytes()).digest() for x in s.images} for s in (data.train, data.val, data.test)
    )
    assert not train & val
    assert not (train | val) & test
    assert data.calibration.shape == (256, 3, 32, 32)
