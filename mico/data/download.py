"""Downloads that can be interrupted and resumed, and are kept only when their checksum is right.

A file comes down as ``NAME.part``; a second attempt asks the server for what is missing (HTTP Range). Only a complete
file with the right content gets its name, by a rename, so a file that has its name is whole.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from mico.data import idx, mnist
from mico.errors import MeasurementError, MicoError, UsageError

__all__ = ["MNIST_URL", "DownloadError", "Progress", "fetch", "fetch_mnist"]

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
"""Public mirror of MNIST's four files, gzipped."""

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes that are here, and the bytes in all, None where the server does not say."""

_CHUNK_BYTES = 1 << 16
_TIMEOUT_S = 30.0


class DownloadError(MicoError):
    """The server cannot be reached, refuses, or sends something else than what was asked for."""


def fetch(
    url: str, path: Path, sha256: str, *, progress: Progress | None = None, timeout_s: float = _TIMEOUT_S
) -> bool:
    """Download the gzip file *url* to *path*, from where an earlier attempt stopped.

    Parameters
    ----------
    sha256
        Hex digest of the *decompressed* content.
    timeout_s
        Longest silence of the server.

    Returns
    -------
    bool
        Whether anything was downloaded; False where *path* is there already and right.

    Raises
    ------
    DownloadError
        No connection, an HTTP error, or an end before all bytes had come; what came is kept for the next attempt.
    MeasurementError
        The checksum is wrong; what came is deleted, so that the next attempt begins anew.
    """
    if path.is_file() and _content_digest(path) == sha256:
        return False
    part = path.with_name(path.name + ".part")
    _make_folder(path.parent)
    _receive(url, part, progress, timeout_s)
    found = _content_digest(part)
    if found != sha256:
        part.unlink()
        raise MeasurementError(
            f"wrong content: SHA-256 {found}, expected {sha256}",
            where=url,
            cure="try again; if it stays, use another mirror with --url",
        )
    os.replace(part, path)
    return True


def fetch_mnist(folder: Path, *, url: str = MNIST_URL, progress: Progress | None = None) -> tuple[Path, ...]:
    """Download what is missing of MNIST's four files into *folder*. Errors as :func:`fetch`."""
    paths = []
    for file in mnist.FILES.values():
        name = f"{file.name}.gz"
        fetch(f"{url.rstrip('/')}/{name}", folder / name, file.sha256, progress=progress)
        paths.append(folder / name)
    return tuple(paths)


def _receive(url: str, part: Path, progress: Progress | None, timeout_s: float) -> None:
    """Bring *part* to its full length."""
    have = part.stat().st_size if part.is_file() else 0
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    except ValueError as error:
        raise UsageError(f"not an address: {error}", where=url, cure="it begins with http:// or https://") from error
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            resumed = have > 0 and response.status == http.client.PARTIAL_CONTENT and _starts_at(response, have)
            if not resumed:
                have = 0  # the server ignored the range and sends everything
            total = _total(response, have)
            with part.open("ab" if resumed else "wb") as out:
                while chunk := response.read(_CHUNK_BYTES):
                    out.write(chunk)
                    have += len(chunk)
                    if progress is not None:
                        progress(part.name.removesuffix(".part"), have, total)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # nothing is missing: the checksum decides
        raise DownloadError(f"HTTP {error.code} {error.reason}", where=url, cure="check the address") from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(
            f"no answer or a broken connection: {reason}", where=url, cure="run it again: it goes on where it stopped"
        ) from error
    if total is not None and have < total:
        raise DownloadError(
            f"the connection ended after {have} of {total} bytes", where=url, cure="run it again: it goes on there"
        )


def _starts_at(response: http.client.HTTPResponse, offset: int) -> bool:
    """Whether a 206 answer begins at *offset*."""
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {offset}-")


def _total(response: http.client.HTTPResponse, offset: int) -> int | None:
    length = response.headers.get("Content-Length")
    return offset + int(length) if length is not None and length.isdigit() else None


def _content_digest(path: Path) -> str:
    """SHA-256 of the decompressed content; of a damaged gzip stream, a word that equals no digest."""
    try:
        return hashlib.sha256(idx.content(path)).hexdigest()
    except UsageError:
        return "of a damaged gzip file"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder: {error.strerror}", where=str(folder), cure="--dir") from error
