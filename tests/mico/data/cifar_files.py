"""Small synthetic CIFAR-10: random pixels in the formats of the real one."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mico.data.cifar10 import CLASSES

Files = dict[str, bytes]


def random_images(seed: int, per_class: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images ``(10 per_class, 3, 32, 32)`` and shuffled labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(10), per_class)).astype(np.int64)
    return rng.integers(0, 256, (len(labels), 3, 32, 32), dtype=np.uint8), labels


def image_files(seed: int, train: int, test: int, suffix: str = "jpg") -> Files:
    """``train/<class>/NNNN.<suffix>`` and ``test/...`` with so many images of each class."""
    files = {}
    for part, count in (("train", train), ("test", test)):
        images, labels = random_images(seed + len(part), count)
        numbers = dict.fromkeys(CLASSES, 0)
        for image, label in zip(images, labels.tolist(), strict=True):
            name = CLASSES[label]
            files[f"{part}/{name}/{numbers[name]:04d}.{suffix}"] = encoded(image, suffix)
            numbers[name] += 1
    return files


def encoded(image: NDArray[np.uint8], suffix: str) -> bytes:
    """*image* ``(3, H, W)`` as a file of the format that belongs to *suffix*."""
    out = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(out, "PNG" if suffix == "png" else "JPEG")
    return out.getvalue()


def binary_files(seed: int, train: int, test: int) -> Files:
    """The six files of the binary version; *train* a multiple of 5."""
    images, labels = random_images(seed, train)
    files = {}
    for index, (x, y) in enumerate(zip(np.split(images, 5), np.split(labels, 5), strict=True)):
        files[f"data_batch_{index + 1}.bin"] = records(x, y)
    return files | {"test_batch.bin": records(*random_images(seed + 1, test))}


def records(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> bytes:
    return np.hstack([labels.astype(np.uint8)[:, None], images.reshape(len(images), -1)]).tobytes()


def write_folder(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_archive(path: Path, files: Files, prefix: str = "") -> Path:
    """A tar archive, compressed as the name of *path* says."""
    mode = {"xz": "w:xz", "gz": "w:gz", "bz2": "w:bz2"}.get(path.suffix[1:], "w")
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
