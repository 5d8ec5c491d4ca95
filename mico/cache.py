"""Where caches are kept: trained weights, trained schemes, decoded datasets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["default_cache", "write_whole"]


def default_cache() -> Path:
    """``build/cache`` in the repository, or ``MICO_CACHE`` where that is set."""
    configured = os.environ.get("MICO_CACHE")
    return Path(configured) if configured else Path(__file__).resolve().parents[1] / "build" / "cache"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let *write* make a file under another name and rename it to *path*: it appears whole or not at all.

    The other name has the suffix of *path*; the folder is made where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    scratch = Path(name)
    try:
        write(scratch)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
