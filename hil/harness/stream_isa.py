"""Names of the streaming engine's instructions, registers and settings. The contract is rtl/simd/stream/README.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mico.quant.scheme import BITS

__all__ = [
    "HIGHEST_FUNCT3",
    "RESET",
    "WIDTHS",
    "WRITABLE",
    "Config",
    "Error",
    "Op",
    "Out",
    "Register",
    "Run",
    "function_id",
]


class Op(IntEnum):
    """funct7[6:4] of an instruction."""

    SET = 0
    GET = 1
    GATHER = 2
    GATHER_LANE = 3
    RUN = 4
    WAIT = 5
    RESET = 6


class Run(IntEnum):
    """funct3 of :attr:`Op.RUN`."""

    RUN = 0
    POOL = 1
    POOL_KEEP = 2
    MAP = 3


class Register(IntEnum):
    """Register indices of SET and GET."""

    CONFIG = 0
    K = 1
    LANES_ON = 2
    SRC_BASE = 3
    ROWS = 4
    COLS = 5
    LEN = 6
    ROW_STRIDE = 7
    COL_STRIDE = 8
    LANE_STEP = 9
    Y = 10
    WIDTH = 11
    HEIGHT = 12
    DST_BASE = 13
    DST_STRIDE = 14
    N = 15
    STATUS = 16
    ERROR = 17
    OPS = 18
    BUSY = 19
    STALL = 20
    INFO = 21
    M0 = 22
    M1 = 23
    M2 = 24
    M3 = 25
    SHIFT = 26


class Error(IntEnum):
    """Codes of the ERROR register."""

    NONE = 0
    ENCODING = 1
    REGISTER = 2
    CONFIG = 3
    LANE = 4
    COUNT = 5
    BUFFER = 6
    SOURCE = 7
    WEIGHTS = 8
    DESTINATION = 9
    REQUANT = 10


class Out(IntEnum):
    """OUT field of CONFIG."""

    INT32 = 0
    PACK = 1
    LOGIT = 2


# Bits of a register where it has fewer than 32
WIDTHS = {Register.CONFIG: 15, Register.K: 17, Register.LANES_ON: 3, Register.ROWS: 16, Register.COLS: 16}
WIDTHS |= {Register.LEN: 17, Register.WIDTH: 31, Register.HEIGHT: 31, Register.N: 16, Register.SHIFT: 6}
WIDTHS |= dict.fromkeys((Register.M0, Register.M1, Register.M2, Register.M3), 31)
RESET = {Register.LANES_ON: 1, Register.ROWS: 1, Register.COLS: 1, Register.N: 1}
WRITABLE = [*range(16), Register.ERROR, Register.OPS, Register.BUSY, Register.STALL]
WRITABLE += range(Register.M0, Register.SHIFT + 1)

# Encodings beyond it are illegal
HIGHEST_FUNCT3 = {Op.GET: 1, Op.GATHER_LANE: 7, Op.RUN: Run.MAP}


def function_id(op: Op, funct3: int = 0) -> int:
    """The 10 bits ``{funct7, funct3}`` of an instruction of the engine."""
    return int(op) << 7 | funct3


@dataclass(frozen=True)
class Config:
    """The CONFIG register in names."""

    a: int = 8
    w: int = 8
    a_unsigned: bool = False
    out: int = Out.INT32
    o: int = 8
    o_unsigned: bool = False
    bias: bool = False
    expand: bool = False
    tail_zero: bool = False
    pad_min: bool = False
    mix: bool = False

    @property
    def word(self) -> int:
        """The register's value."""
        flags = (self.a_unsigned << 4) | (self.o_unsigned << 9) | (self.bias << 10)
        codes = BITS.index(self.a) | BITS.index(self.w) << 2 | int(self.out) << 5 | BITS.index(self.o) << 7
        flags |= self.expand << 11 | self.tail_zero << 12 | self.pad_min << 13 | self.mix << 14
        return codes | flags

    @classmethod
    def decode(cls, word: int) -> Config:
        """Inverse of :attr:`word`."""
        bit = [bool(word >> i & 1) for i in range(15)]
        a, w, o = BITS[word & 3], BITS[word >> 2 & 3], BITS[word >> 7 & 3]
        return cls(a, w, bit[4], word >> 5 & 3, o, bit[9], *bit[10:])

    @property
    def header_words(self) -> int:
        return int(self.bias) if self.out == Out.INT32 else 3

    @property
    def out_bits(self) -> int:
        return self.o if self.out == Out.PACK else 32
