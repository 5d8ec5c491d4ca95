"""Words and results of the fusion unit (``rtl/common/fusion_unit.sv``): packing for a compiler, numpy for the tests.

With *a*-bit activations and *w*-bit weights the unit adds ``products(a, w) = (8 / a) * (8 / w)`` products a cycle.
Element k of the activations stands at bit ``k * a`` of their word. Its weight stands as element
``weight_order(a, w)[k]`` of the other word: seen as a matrix of 8 / w rows and 8 / a columns, the weights are stored
column by column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError

__all__ = [
    "FUSION_BITS",
    "fusion_dot",
    "pack_activations",
    "pack_weights",
    "products",
    "unpack_activations",
    "unpack_weights",
    "weight_order",
]

FUSION_BITS = (2, 4, 8)

Values = NDArray[np.int64]
Words = NDArray[np.uint32]


def products(act_bits: int, wgt_bits: int) -> int:
    """Products that the unit adds in a cycle: 1, 2, 4, 8 or 16.

    Raises
    ------
    UsageError
        The unit has no such width; 1-bit operands are widened to 2 bits before.
    """
    for name, bits in (("activation", act_bits), ("weight", wgt_bits)):
        if bits not in FUSION_BITS:
            raise UsageError(
                f"{name} bits must be one of {FUSION_BITS}, not {bits!r}",
                where="fusion unit",
                cure="widen 1-bit operands to 2 bits",
            )
    return (8 // act_bits) * (8 // wgt_bits)


def weight_order(act_bits: int, wgt_bits: int) -> NDArray[np.int64]:
    """Position in the word of the weight that multiplies activation k: a permutation ``(products,)``."""
    k = np.arange(products(act_bits, wgt_bits), dtype=np.int64)
    columns, rows = 8 // act_bits, 8 // wgt_bits
    return k % columns * rows + k // columns


def _pack(values: Values, bits: int) -> Words:
    codes = values & ((1 << bits) - 1)
    shifts = bits * np.arange(values.shape[-1], dtype=np.int64)
    words: Words = (codes << shifts).sum(axis=-1).astype(np.uint32)
    return words


def _unpack(words: Words, bits: int, count: int, signed: bool) -> Values:
    codes = words.astype(np.int64)[..., None] >> (bits * np.arange(count, dtype=np.int64)) & ((1 << bits) - 1)
    return np.where(codes >> (bits - 1) & int(signed), codes - (1 << bits), codes)


def _check(values: Values, count: int, bits: int, name: str) -> None:
    if values.shape[-1:] != (count,):
        raise UsageError(f"{name} of shape {values.shape}, not (..., {count})", where="fusion unit")
    if values.size and (values.min() < -(1 << (bits - 1)) or values.max() >= 1 << bits):
        raise UsageError(f"{name} do not fit into {bits} bits, signed or unsigned", where="fusion unit")


def pack_activations(values: Values, act_bits: int, wgt_bits: int) -> Words:
    """Activations ``(..., products)`` as words ``(...)``; the bits above the elements are 0."""
    _check(values, products(act_bits, wgt_bits), act_bits, "activations")
    return _pack(values, act_bits)


def unpack_activations(words: Words, act_bits: int, wgt_bits: int, *, signed: bool) -> Values:
    """Inverse of :func:`pack_activations`; bits above the elements are ignored."""
    return _unpack(words, act_bits, products(act_bits, wgt_bits), signed)


def pack_weights(values: Values, act_bits: int, wgt_bits: int) -> Words:
    """Weights ``(..., products)``, weight k beside activation k, as words ``(...)`` in the unit's order."""
    _check(values, products(act_bits, wgt_bits), wgt_bits, "weights")
    stored = np.empty_like(values)
    stored[..., weight_order(act_bits, wgt_bits)] = values
    return _pack(stored, wgt_bits)


def unpack_weights(words: Words, act_bits: int, wgt_bits: int, *, signed: bool) -> Values:
    """Inverse of :func:`pack_weights`; bits above the elements are ignored."""
    stored = _unpack(words, wgt_bits, products(act_bits, wgt_bits), signed)
    return stored[..., weight_order(act_bits, wgt_bits)]


def fusion_dot(
    act: Words, wgt: Words, act_bits: int, wgt_bits: int, *, act_signed: bool, wgt_signed: bool
) -> NDArray[np.int64]:
    """What the unit computes for words ``(...)``: the exact sums ``(...)``, -32640 to 65025."""
    a = unpack_activations(act, act_bits, wgt_bits, signed=act_signed)
    w = unpack_weights(wgt, act_bits, wgt_bits, signed=wgt_signed)
    sums: NDArray[np.int64] = (a * w).sum(axis=-1)
    return sums
