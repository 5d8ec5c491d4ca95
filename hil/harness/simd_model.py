"""The SIMD unit in Python: encodings and exact results of its dot products (table in rtl/simd/README.md).

``dot`` computes one operation as the table reads, on Python integers; ``dot_many`` computes many in numpy. They share
only the decoding, and both are independent of how the RTL is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.quant.scheme import BITS

__all__ = ["WORD_BITS", "Encoding", "decode", "dot", "dot_many", "elements", "encodings", "function_id"]

WORD_BITS = 32
FUNCTION_IDS = 1 << 10

_WEIGHT_CODE = {8: 0, 4: 1, 2: 2, 1: 3}
_ACTIVATION_CODE = {8: 0b0001, 4: 0b0010, 2: 0b0100, 1: 0b1000}
_WEIGHT_BITS = {code: bits for bits, code in _WEIGHT_CODE.items()}
_ACTIVATION_BITS = {code: bits for bits, code in _ACTIVATION_CODE.items()}


@dataclass(frozen=True)
class Encoding:
    """What one instruction computes.

    Attributes
    ----------
    activation, weight
        Bits of the elements in rs1 and rs2.
    index
        Sub-word of the narrower operand, ``0 <= index < sub_words``.
    unsigned
        Activations are plain binary.
    """

    activation: int
    weight: int
    index: int = 0
    unsigned: bool = False

    def __post_init__(self) -> None:
        for name, bits in (("activation", self.activation), ("weight", self.weight)):
            if bits not in BITS:
                raise UsageError(f"{name} bits must be one of {BITS}, not {bits!r}", where="SIMD encoding")
        if not 0 <= self.index < self.sub_words:
            raise UsageError(
                f"index {self.index} is outside 0..{self.sub_words - 1}",
                where=f"SIMD encoding a{self.activation}w{self.weight}",
                cure="a word of the narrower operand holds wider / narrower bits sub-words",
            )

    @property
    def elements(self) -> int:
        """Products of one instruction: 4, 8, 16 or 32."""
        return WORD_BITS // max(self.activation, self.weight)

    @property
    def sub_words(self) -> int:
        """Sub-words of the narrower operand's word: 1, 2, 4 or 8."""
        return max(self.activation, self.weight) // min(self.activation, self.weight)

    @property
    def funct3(self) -> int:
        return (~self.index >> 2 & 1) << 2 | _WEIGHT_CODE[self.weight]

    @property
    def funct7(self) -> int:
        return (self.index & 3) << 5 | int(self.unsigned) << 4 | _ACTIVATION_CODE[self.activation]

    @property
    def function_id(self) -> int:
        """``{funct7, funct3}``, 10 bits."""
        return self.funct7 << 3 | self.funct3

    def __str__(self) -> str:
        return f"a{'u' if self.unsigned else 's'}{self.activation}w{self.weight}[{self.index}]"


def function_id(a_bits: int, w_bits: int, index: int = 0, unsigned: bool = False) -> int:
    """Function id of a legal encoding; UsageError for widths or an index outside the table."""
    return Encoding(a_bits, w_bits, index, unsigned).function_id


def decode(function_id: int) -> Encoding | None:
    """The encoding of a function id (10 bits), or None outside the table."""
    if not 0 <= function_id < FUNCTION_IDS:
        raise UsageError(f"a function id has 10 bits, not {function_id:#x}")
    funct7, funct3 = function_id >> 3, function_id & 7
    activation = _ACTIVATION_BITS.get(funct7 & 0xF)
    if activation is None:
        return None
    weight = _WEIGHT_BITS[funct3 & 3]
    index = (~funct3 >> 2 & 1) << 2 | funct7 >> 5
    if index >= max(activation, weight) // min(activation, weight):
        return None
    return Encoding(activation, weight, index, bool(funct7 >> 4 & 1))


def encodings() -> Iterator[Encoding]:
    """All 96 legal encodings: activation bits, weight bits, index, signed before unsigned."""
    for activation in BITS:
        for weight in BITS:
            for index in range(max(activation, weight) // min(activation, weight)):
                for unsigned in (False, True):
                    yield Encoding(activation, weight, index, unsigned)


def elements(word: int, bits: int, unsigned: bool = False) -> list[int]:
    """Values of all ``32 / bits`` elements of *word*, element 0 first; one signed bit is {0: +1, 1: -1}."""
    values = []
    for i in range(WORD_BITS // bits):
        code = word >> (i * bits) & ((1 << bits) - 1)
        if unsigned:
            values.append(code)
        elif bits == 1:
            values.append(1 - 2 * code)
        else:
            values.append(code - (1 << bits) if code >> (bits - 1) else code)
    return values


def dot(function_id: int, rs1: int, rs2: int) -> int:
    """Signed result of one operation; 0 for an encoding outside the table. Operands are 32-bit words."""
    encoding = decode(function_id)
    if encoding is None:
        return 0
    a = elements(rs1, encoding.activation, encoding.unsigned)
    w = elements(rs2, encoding.weight)
    first = encoding.index * encoding.elements
    if encoding.activation < encoding.weight:
        a = a[first : first + encoding.elements]
    elif encoding.weight < encoding.activation:
        w = w[first : first + encoding.elements]
    return sum(x * y for x, y in zip(a, w, strict=True))


def dot_many(function_id: int, rs1: NDArray[np.uint32], rs2: NDArray[np.uint32]) -> NDArray[np.int32]:
    """:func:`dot` of arrays of words ``(N,)``: int32 ``(N,)``."""
    encoding = decode(function_id)
    total = np.zeros(rs1.shape, dtype=np.int32)
    if encoding is None:
        return total
    first = encoding.index * encoding.elements
    a_first = first if encoding.activation < encoding.weight else 0
    w_first = first if encoding.weight < encoding.activation else 0
    for i in range(encoding.elements):
        a = _field(rs1, encoding.activation, a_first + i, encoding.unsigned)
        total += a * _field(rs2, encoding.weight, w_first + i, unsigned=False)
    return total


def _field(words: NDArray[np.uint32], bits: int, position: int, unsigned: bool) -> NDArray[np.int32]:
    """Element *position* of every word, by shifting its top bit into bit 31 and back."""
    up = np.uint32(WORD_BITS - bits * (position + 1))
    down = WORD_BITS - bits
    if unsigned:
        return ((words << up) >> np.uint32(down)).view(np.int32)
    values = (words << up).view(np.int32) >> np.int32(down)
    return values * 2 + 1 if bits == 1 else values
