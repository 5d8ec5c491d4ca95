"""IDX files, the format of MNIST: plain or gzipped, unsigned bytes only.

Format (http://yann.lecun.com/exdb/mnist): two zero bytes, a type byte (0x08 is unsigned byte), the number of
dimensions, each dimension as a big-endian uint32, then the values, last dimension fastest.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError

__all__ = ["parse", "read"]

_UNSIGNED_BYTE = 0x08
_CURE = "the file is damaged: delete it, then `mico data get mnist`"


def read(path: Path) -> NDArray[np.uint8]:
    """Read the IDX file at *path*; gzipped where its first two bytes say so, whatever its name.

    Raises
    ------
    UsageError
        The file cannot be read, the gzip stream is damaged, or the content is not an IDX file of unsigned bytes.
    """
    return parse(content(path), str(path))


def content(path: Path) -> bytes:
    """Bytes of the file at *path*, decompressed where it is gzipped. Errors as :func:`read`."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", where=str(path)) from error
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise UsageError(f"damaged gzip stream: {error}", where=str(path), cure=_CURE) from error


def parse(data: bytes, where: str) -> NDArray[np.uint8]:
    """The array that *data*, an uncompressed IDX file, holds; *where* names it in errors."""
    if len(data) < 4 or data[:2] != b"\0\0":
        raise UsageError(f"not an IDX file: it begins with {data[:4].hex() or 'nothing'}", where=where, cure=_CURE)
    kind, dimensions = data[2], data[3]
    if kind != _UNSIGNED_BYTE:
        raise UsageError(f"IDX type 0x{kind:02x} is not supported, only unsigned bytes (0x08)", where=where)
    header = 4 + 4 * dimensions
    if dimensions == 0 or len(data) < header:
        raise UsageError(f"IDX header of {dimensions} dimensions is cut short", where=where, cure=_CURE)
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    size = 1
    for extent in shape:
        size *= extent
    if len(data) - header != size:
        raise UsageError(
            f"IDX of shape {shape} needs {size} bytes, holds {len(data) - header}", where=where, cure=_CURE
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
