"""Tensors as dense bit strings: element 0 in the least significant bits of the lowest byte (firmware/README.md)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Words", "field_bits", "pack", "unpack", "weight_stream"]

MASK32 = (1 << 32) - 1
Words = NDArray[np.uint32]


def field_bits(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Bits of *codes* ``(N,)``, *bits* each, least significant first: ``(N * bits,)`` of 0 and 1."""
    return (codes[:, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(-1)


def pack(values: NDArray[np.int64], bits: int, binary: bool) -> NDArray[np.uint8]:
    """Values ``(N,)`` as a dense bit string ``(N * bits,)``; *binary* values +1, -1 become codes 0, 1."""
    codes = (values < 0).astype(np.int64) if binary and bits == 1 else values
    return field_bits(codes, bits)


def unpack(string: NDArray[np.uint8], bits: int, unsigned: bool) -> NDArray[np.int64]:
    """Inverse of :func:`pack`: the values of a bit string whose length is a multiple of *bits*."""
    codes = string.reshape(-1, bits).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
    if unsigned:
        return codes
    if bits == 1:
        return 1 - 2 * codes
    return np.where(codes >> (bits - 1), codes - (1 << bits), codes)


def weight_stream(
    weight: NDArray[np.int64], bits: int, headers: NDArray[np.int64], filler: Callable[[int], int] = lambda _: 0
) -> Words:
    """Words of a RUN's weight stream: rows *weight* ``(N, K)`` behind *headers* ``(N, 0..3)``.

    *filler* gives the bits (a number below ``2^n`` for n) that pad a row to a word: they must not matter.
    """
    rows = []
    for row, header in zip(weight, headers, strict=True):
        string = pack(row, bits, binary=True)
        n = -len(string) % 32
        string = np.concatenate([string, field_bits(np.array([filler(n)], dtype=np.int64), n)])
        rows.append((header & MASK32).astype(np.uint32))
        rows.append(np.packbits(string, bitorder="little").view(np.uint32))
    return np.concatenate(rows)
