"""Labelled images of one size in a folder or a tar archive: ``train/<class>/<file>``, ``test/<class>/<file>``.

Decoded by Pillow once; the pixels are kept in the cache, under a name that holds what they came from.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from mico.cache import default_cache, write_whole
from mico.errors import UsageError

__all__ = ["PARTS", "Pixels", "read"]

PARTS = ("train", "test")
"""Names of the two outer folders."""

Pixels = dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]
"""By part: images ``(N, 3, H, W)``, labels ``(N,)``."""

_LOSSY = (".jpg", ".jpeg")
_SUFFIXES = (*_LOSSY, ".png")
_FORMAT = "image_archive 1"
_DAMAGES = (EOFError, OSError, tarfile.TarError, lzma.LZMAError, zlib.error)


def read(path: Path, classes: Sequence[str], size: int, cache_dir: Path | None = None) -> tuple[Pixels, bool]:
    """Images and labels of *path*, sorted by class, then by name of the file; and whether any of them is a JPEG.

    Parameters
    ----------
    path
        Folder, or a tar archive with any compression that Python knows. ``train`` and ``test`` may lie deeper in it.
    classes
        Names of the class folders; a label is the index in this list.
    size
        Width and height that every image must have. Grey images become RGB.
    cache_dir
        Folder of the cache, by default :func:`mico.cache.default_cache`. A damaged entry is made again.

    Raises
    ------
    UsageError
        It cannot be read, is cut short or damaged; an image lies elsewhere, is no image or has another size; a class
        has no image.
    """
    source = _fingerprint(path)
    key = hashlib.sha256("\n".join([_FORMAT, PIL.__version__, str(size), *classes, source]).encode()).hexdigest()
    entry = (default_cache() if cache_dir is None else cache_dir) / f"images-{path.name}-{key[:24]}.npz"
    known = _load(entry)
    if known is not None:
        return known
    pixels, lossy = _decode(path, classes, size)
    arrays = _arrays(pixels)
    notes = {"digest": np.array(_digest(arrays)), "lossy": np.array(lossy)}
    write_whole(entry, lambda scratch: np.savez(scratch, allow_pickle=False, **notes, **arrays))
    return pixels, lossy


def _decode(path: Path, classes: Sequence[str], size: int) -> tuple[Pixels, bool]:
    images: dict[tuple[str, int, str], NDArray[np.uint8]] = {}
    for name, content in _files(path):
        place = PurePosixPath(name).parts[-3:]
        where = f"{path}: {name}"
        if len(place) < 3 or place[0] not in PARTS or place[1] not in classes:
            raise UsageError(
                "an image that is in no class of train or test",
                where=where,
                cure=f"expected train/<class>/<file> and test/<class>/<file> with classes {', '.join(classes)}",
            )
        key = (place[0], classes.index(place[1]), place[2])
        if key in images:
            raise UsageError("an image that is there twice", where=where)
        images[key] = _pixels(content, size, where)
    pixels = {part: _part(images, part, len(classes)) for part in PARTS}
    for part, (_, labels) in pixels.items():
        missing = [name for label, name in enumerate(classes) if label not in set(labels.tolist())]
        if missing:
            raise UsageError(
                f"no images of {', '.join(missing)} in {part}", where=str(path), cure="is the archive complete?"
            )
    return pixels, any(PurePosixPath(name).suffix.lower() in _LOSSY for _, _, name in images)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every image file in the folder or archive at *path*."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in _SUFFIXES and file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                if member.isfile() and member.name.lower().endswith(_SUFFIXES):
                    stream = archive.extractfile(member)
                    assert stream is not None
                    yield member.name, stream.read()
    except _DAMAGES as error:
        kind = "a zip file: unpack it" if zipfile.is_zipfile(path) else f"damaged or cut short: {error}"
        raise UsageError(f"cannot read the archive: {kind}", where=str(path), cure="get the archive again") from error


def _pixels(content: bytes, size: int, where: str) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            found: NDArray[np.uint8] = np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"not an image, or a damaged one: {error}", where=where) from error
    if found.shape != (size, size, 3):
        raise UsageError(f"{found.shape[1]}x{found.shape[0]} pixels instead of {size}x{size}", where=where)
    return found.transpose(2, 0, 1)


def _part(
    images: dict[tuple[str, int, str], NDArray[np.uint8]], part: str, classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    keys = sorted(key for key in images if key[0] == part)
    if not keys:
        return np.empty((0, 3, 1, 1), np.uint8), np.empty(0, np.int64)
    labels = np.array([key[1] for key in keys], np.int64)
    assert labels.max() < classes
    return np.stack([images[key] for key in keys]), labels


def _fingerprint(path: Path) -> str:
    """Of an archive, the SHA-256 of its content; of a folder, that of its files' names, sizes and times of change."""
    try:
        if path.is_dir():
            lines = [
                f"{file.relative_to(path).as_posix()} {file.stat().st_size} {file.stat().st_mtime_ns}"
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in _SUFFIXES
            ]
            return hashlib.sha256("\n".join(lines).encode()).hexdigest()
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", where=str(path)) from error


def _arrays(pixels: Pixels) -> dict[str, NDArray[np.uint8] | NDArray[np.int64]]:
    named: dict[str, NDArray[np.uint8] | NDArray[np.int64]] = {}
    for part, (images, labels) in pixels.items():
        named |= {f"{part}_images": images, f"{part}_labels": labels}
    return named


def _digest(arrays: dict[str, NDArray[np.uint8] | NDArray[np.int64]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape} {arrays[name].dtype}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _load(entry: Path) -> tuple[Pixels, bool] | None:
    """What :func:`read` returns, from the cache's *entry*; None where it is missing or its checksum is wrong."""
    try:
        with np.load(entry, allow_pickle=False) as archive:
            pixels = {part: (archive[f"{part}_images"], archive[f"{part}_labels"]) for part in PARTS}
            whole = _digest(_arrays(pixels)) == str(archive["digest"])
            return (pixels, bool(archive["lossy"])) if whole else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
