"""Files of vectors for simd_bench: operations of the SIMD unit with the results that the Python model expects.

A file is a sequence of records of four big-endian words: function id, rs1, rs2, expected result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.harness.simd_model import Encoding, decode, dot_many, encodings

RECORD_BYTES = 16
Words = NDArray[np.uint32]

# Words whose fields are extreme at some width: the most negative, the largest, alternating signs.
CORNERS = np.array(
    [0, 0xFFFFFFFF, 0x80808080, 0x7F7F7F7F, 0x88888888, 0x77777777, 0xAAAAAAAA, 0x55555555, 0x01010101, 0x80000000],
    dtype=np.uint32,
)


def records(function_id: int, rs1: Words, rs2: Words) -> NDArray[np.uint32]:
    """Records ``(N, 4)`` of one function id."""
    expected = dot_many(function_id, rs1, rs2).view(np.uint32)
    return np.stack([np.full_like(rs1, function_id), rs1, rs2, expected], axis=1)


def write(path: Path, blocks: Iterable[NDArray[np.uint32]]) -> int:
    """Write *blocks* of records; returns how many records there are."""
    count = 0
    with open(path, "wb") as file:
        for block in blocks:
            file.write(block.astype(">u4").tobytes())
            count += len(block)
    return count


def random_operations(per_pair: int, seed: int) -> Iterator[NDArray[np.uint32]]:
    """*per_pair* (at least 800) operations of every bit pair and sign, spread over its indices; CORNERS first."""
    rng = np.random.default_rng(seed)
    corners_1, corners_2 = (grid.ravel() for grid in np.meshgrid(CORNERS, CORNERS))
    for encoding in encodings():
        count = per_pair // encoding.sub_words
        rs1, rs2 = _words(rng, count), _words(rng, count)
        rs1[: len(corners_1)], rs2[: len(corners_2)] = corners_1, corners_2
        yield records(encoding.function_id, rs1, rs2)


def every_product(seed: int) -> Iterator[NDArray[np.uint32]]:
    """Every operand pair of every lane of every encoding; other used fields are 0, unused sub-words are random."""
    rng = np.random.default_rng(seed)
    for encoding in encodings():
        a_code, w_code = (
            grid.ravel().astype(np.uint32)
            for grid in np.meshgrid(np.arange(1 << encoding.activation), np.arange(1 << encoding.weight))
        )
        a_first, w_first = first_elements(encoding)
        for lane in range(encoding.elements):
            rs1 = a_code << np.uint32((a_first + lane) * encoding.activation)
            rs2 = w_code << np.uint32((w_first + lane) * encoding.weight)
            rs1 |= _words(rng, len(rs1)) & unused_bits(encoding.activation, a_first, encoding.elements)
            rs2 |= _words(rng, len(rs2)) & unused_bits(encoding.weight, w_first, encoding.elements)
            yield records(encoding.function_id, rs1, rs2)


def every_sub_word(seed: int) -> Iterator[NDArray[np.uint32]]:
    """Every value of the selected sub-word (at most 16 bits) of every mixed encoding, against random wide operands."""
    rng = np.random.default_rng(seed)
    for encoding in encodings():
        if encoding.sub_words == 1:
            continue
        bits = 32 // encoding.sub_words
        shift = np.uint32(encoding.index * bits)
        values = np.arange(1 << bits, dtype=np.uint32) << shift
        narrow = values | _words(rng, len(values)) & ~np.uint32(((1 << bits) - 1) << int(shift))
        wide = _words(rng, len(values))
        pair = (narrow, wide) if encoding.activation < encoding.weight else (wide, narrow)
        yield records(encoding.function_id, *pair)


def illegal_operations(per_id: int, seed: int) -> Iterator[NDArray[np.uint32]]:
    """Random operands under every function id outside the table."""
    rng = np.random.default_rng(seed)
    for function_id in range(1 << 10):
        if decode(function_id) is None:
            yield records(function_id, _words(rng, per_id), _words(rng, per_id))


def first_elements(encoding: Encoding) -> tuple[int, int]:
    """First element used of the activation word and of the weight word."""
    first = encoding.index * encoding.elements
    a_narrow = encoding.activation < encoding.weight
    return (first, 0) if a_narrow else (0, first if encoding.weight < encoding.activation else 0)


def unused_bits(bits: int, first: int, count: int) -> np.uint32:
    """Mask of a word's bits outside *count* elements from element *first*."""
    used = ((1 << (bits * count)) - 1) << (bits * first)
    return np.uint32(~used & 0xFFFFFFFF)


def _words(rng: np.random.Generator, count: int) -> Words:
    return rng.integers(0, 1 << 32, count, dtype=np.uint32)
