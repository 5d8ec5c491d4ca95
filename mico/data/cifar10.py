"""CIFAR-10: from the original binary files, or from a folder or archive of images.

Looked for in the folders of :func:`mico.data.mnist.roots`, in this order: ``cifar-10-batches-bin/``
(``data_batch_1.bin`` to ``data_batch_5.bin``, ``test_batch.bin``), ``cifar-10-binary.tar.gz``, an archive
``cifar10*.tar*``, a folder ``cifar10*/``; the root itself may be either folder. Images lie in ``train/<class>/`` and
``test/<class>/``.

The 50,000 training images give 45,000 for training and 5,000 for validation (stratified, the same for every seed); the
10,000 test images are the official ones. The dataset is named after its content: ``CIFAR-10``, or ``CIFAR-10 (JPEG)``
where the images are JPEG files and so are not exactly those of the original.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mico.data import image_archive, mnist
from mico.data.dataset import Dataset, Split, calibration_subset, carve
from mico.data.image_archive import Pixels
from mico.errors import UsageError

__all__ = ["CLASSES", "find", "load"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""In the order of their labels."""

PER_CLASS = {"train": 5000, "test": 1000}
"""Images of each class in the two parts of the original."""

VALIDATION_IMAGES = 5000
_SPLIT_SEED = 20240503
_SIZE = 32
_BINARY = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_BINARY_FOLDER, _BINARY_ARCHIVE = "cifar-10-batches-bin", "cifar-10-binary.tar.gz"
_RECORD_BYTES = 1 + 3 * _SIZE * _SIZE
_NAMES = re.compile(r"cifar-?10.*")
_ARCHIVES = re.compile(r"cifar-?10.*\.(tar|tar\.[a-z0-9]+|tgz|txz)")
_CURE = "get the archive again"


def find(root: Path | None = None) -> Path | None:
    """Folder or archive that holds CIFAR-10, or None. With *root* only that folder is searched."""
    for folder in mnist.roots() if root is None else (root,):
        inside = folder.iterdir() if folder.is_dir() else ()
        places: list[Path] = [folder, *sorted(path for path in inside if _NAMES.fullmatch(path.name))]
        for fits in (_is_binary_folder, _is_binary_archive, _is_image_archive, _is_image_folder):
            found = next((place for place in places if fits(place)), None)
            if found is not None:
                return found
    return None


def load(root: Path | None = None, cache_dir: Path | None = None) -> Dataset:
    """Read CIFAR-10.

    Parameters
    ----------
    root
        Only folder to search.
    cache_dir
        Where decoded images are kept, by default :func:`mico.cache.default_cache`.

    Raises
    ------
    UsageError
        It is nowhere, damaged, or not complete.
    """
    source = find(root)
    if source is None:
        places = ", ".join(str(path) for path in (mnist.roots() if root is None else (root,)))
        raise UsageError(
            f"no CIFAR-10 in {places}",
            cure=f"put {_BINARY_ARCHIVE}, or an archive of images cifar10*.tar.*, into one of them or set MICO_DATA",
        )
    if _is_binary_folder(source) or _is_binary_archive(source):
        pixels, name = _read_binary(source), "CIFAR-10"
    else:
        pixels, lossy = image_archive.read(source, CLASSES, _SIZE, cache_dir)
        name = "CIFAR-10 (JPEG)" if lossy else "CIFAR-10"
    _check_complete(pixels, source)
    images, labels = pixels["train"]
    rng = np.random.default_rng(_SPLIT_SEED)
    val, train = carve(labels, VALIDATION_IMAGES, rng)
    return Dataset(
        name=name,
        source=str(source),
        train=Split(images[train], labels[train]),
        val=Split(images[val], labels[val]),
        test=Split(*pixels["test"]),
        calibration=calibration_subset(images[train], rng),
        classes=len(CLASSES),
    )


def _is_binary_folder(place: Path) -> bool:
    return any((place / name).is_file() for names in _BINARY.values() for name in names)


def _is_binary_archive(place: Path) -> bool:
    return place.name == _BINARY_ARCHIVE and place.is_file()


def _is_image_archive(place: Path) -> bool:
    return _ARCHIVES.fullmatch(place.name) is not None and place.is_file()


def _is_image_folder(place: Path) -> bool:
    return all(any((place / part / name).is_dir() for name in CLASSES) for part in image_archive.PARTS)


def _read_binary(source: Path) -> Pixels:
    files = _binary_folder(source) if source.is_dir() else _binary_archive(source)
    pixels: Pixels = {}
    for part, names in _BINARY.items():
        for name in names:
            if name not in files:
                raise UsageError(f"no {name}", where=str(source), cure=_CURE)
        parts = [_parse_binary(files[name], f"{source}: {name}") for name in names]
        pixels[part] = np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])
    return pixels


def _binary_folder(folder: Path) -> dict[str, bytes]:
    try:
        return {path.name: path.read_bytes() for path in folder.glob("*_batch*.bin")}
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", where=str(folder)) from error


def _binary_archive(path: Path) -> dict[str, bytes]:
    wanted = {name for names in _BINARY.values() for name in names}
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:*") as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and name in wanted:
                    stream = archive.extractfile(member)
                    assert stream is not None
                    files[name] = stream.read()
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise UsageError(f"the archive is damaged or cut short: {error}", where=str(path), cure=_CURE) from error
    return files


def _parse_binary(data: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Records of a label and 3 x 32 x 32 pixels, red plane first, rows from the top."""
    if not data or len(data) % _RECORD_BYTES:
        raise UsageError(
            f"{len(data)} bytes are no whole number of images of {_RECORD_BYTES} bytes", where=where, cure=_CURE
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD_BYTES)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise UsageError(
            f"label {labels.max()}: not CIFAR-10 in its binary version", where=where, cure="CIFAR-100 is another format"
        )
    return records[:, 1:].reshape(-1, 3, _SIZE, _SIZE), labels


def _check_complete(pixels: Pixels, source: Path) -> None:
    for part, (_, labels) in pixels.items():
        counts = np.bincount(labels, minlength=len(CLASSES))
        for name, count in zip(CLASSES, counts.tolist(), strict=True):
            if count != PER_CLASS[part]:
                raise UsageError(
                    f"{count} images of {name} in {part}, CIFAR-10 has {PER_CLASS[part]}", where=str(source), cure=_CURE
                )
