"""The streaming engine in Python, an instruction at a time, over a memory of bytes.

The contract is rtl/simd/stream/README.md. :class:`StreamModel` computes what the engine leaves behind: registers, lane
buffers, memory and answers. It knows nothing of cycles: BUSY and STALL stay 0 unless they are set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hil.harness.packing import Words, field_bits, unpack
from mico.errors import UsageError
from mico.quant.scheme import BITS

__all__ = [
    "Config",
    "Error",
    "Op",
    "Out",
    "Register",
    "StreamModel",
    "function_id",
]

MASK32 = (1 << 32) - 1


class Op(IntEnum):
    """funct7[6:4] of an instruction."""

    SET = 0
    GET = 1
    GATHER = 2
    GATHER_LANE = 3
    RUN = 4
    WAIT = 5
    RESET = 6


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


_WIDTHS = {Register.CONFIG: 13, Register.K: 17, Register.LANES_ON: 3, Register.ROWS: 16, Register.COLS: 16}
_WIDTHS |= {Register.LEN: 17, Register.WIDTH: 31, Register.HEIGHT: 31, Register.N: 16}
_RESET = {Register.LANES_ON: 1, Register.ROWS: 1, Register.COLS: 1, Register.N: 1}
_WRITABLE = [*range(16), Register.ERROR, Register.OPS, Register.BUSY, Register.STALL]


def function_id(op: Op, funct3: int = 0) -> int:
    """The 10 bits ``{funct7, funct3}`` of an instruction of the engine."""
    return int(op) << 7 | funct3


def _signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


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

    @property
    def word(self) -> int:
        """The register's value."""
        flags = (self.a_unsigned << 4) | (self.o_unsigned << 9) | (self.bias << 10)
        codes = BITS.index(self.a) | BITS.index(self.w) << 2 | int(self.out) << 5 | BITS.index(self.o) << 7
        return codes | flags | self.expand << 11 | self.tail_zero << 12

    @classmethod
    def decode(cls, word: int) -> Config:
        """Inverse of :attr:`word`."""
        bit = [bool(word >> i & 1) for i in range(13)]
        a, w, o = BITS[word & 3], BITS[word >> 2 & 3], BITS[word >> 7 & 3]
        return cls(a, w, bit[4], word >> 5 & 3, o, bit[9], bit[10], bit[11], bit[12])

    @property
    def header_words(self) -> int:
        return int(self.bias) if self.out == Out.INT32 else 3

    @property
    def out_bits(self) -> int:
        return self.o if self.out == Out.PACK else 32


class _Stop(Exception):  # noqa: N818 - control flow inside the model
    def __init__(self, code: Error) -> None:
        self.code = code


class StreamModel:
    """One engine and its RAM.

    Parameters
    ----------
    memory
        The RAM, uint8 ``(ram_bytes,)``; changed in place.
    ram_base
        Byte address of ``memory[0]``.
    lanes, buffer_words
        Parameters of the RTL: lanes, 32-bit words of a lane buffer.
    """

    def __init__(
        self, memory: NDArray[np.uint8], *, ram_base: int = 0x4000_0000, lanes: int = 4, buffer_words: int = 2048
    ) -> None:
        if memory.dtype != np.uint8 or memory.ndim != 1 or len(memory) % 4:
            raise UsageError("the memory is a uint8 vector of whole words", where="StreamModel")
        self.memory = memory
        self.ram_base = ram_base
        self.lanes = lanes
        self.buffers: Words = np.zeros((lanes, buffer_words), dtype=np.uint32)
        self._registers: dict[int, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._registers = {r: _RESET.get(Register(r), 0) for r in _WRITABLE}

    @property
    def error(self) -> int:
        return self._registers[Register.ERROR]

    @property
    def config(self) -> Config:
        return Config.decode(self._registers[Register.CONFIG])

    def _fail(self, code: Error) -> None:
        if not self.error:
            self._registers[Register.ERROR] = int(code)

    def execute(self, function: int, rs1: int = 0, rs2: int = 0) -> int:
        """One instruction with its operands as 32-bit words; returns rd, unsigned.

        Raises
        ------
        UsageError
            ``funct7[3:0]`` is not 0: not an instruction of the engine.
        """
        if function >> 3 & 0xF or not 0 <= function < 1 << 10:
            raise UsageError(f"function id {function:#x} is not the engine's", where="StreamModel")
        op, funct3, rs1, rs2 = function >> 7, function & 7, rs1 & MASK32, rs2 & MASK32
        if op == 7:
            return 0
        if funct3 > {Op.GET: 1, Op.GATHER_LANE: 7}.get(Op(op), 0):
            self._fail(Error.ENCODING)
            return 0
        if op == Op.SET:
            self._set(rs2, rs1)
        elif op == Op.GET:
            return self._peek(rs1, rs2) if funct3 else self.get(rs2)
        elif op in (Op.GATHER, Op.GATHER_LANE):
            return self._start(lambda: self._gather(rs1, rs2, funct3 if op == Op.GATHER_LANE else None))
        elif op == Op.RUN:
            return self._start(lambda: self._run(rs1, rs2))
        elif op == Op.WAIT:
            return self.get(Register.STATUS)
        else:
            self._reset()
        return 0

    def _set(self, index: int, value: int) -> None:
        if index == Register.ERROR:
            self._registers[index] = 0
        elif index not in self._registers or value >> _WIDTHS.get(Register(index), 32):
            self._fail(Error.REGISTER)
        else:
            self._registers[index] = value

    def get(self, index: int) -> int:
        """The GET instruction: 0 for an index without a register."""
        if index == Register.STATUS:
            return self.error << 8 | (self.error != 0) << 1
        if index == Register.INFO:
            return int(self.buffers.shape[1]) << 16 | self.lanes << 8 | 2
        return self._registers.get(index, 0)

    def _peek(self, word: int, lane: int) -> int:
        if lane >= self.lanes or word >= self.buffers.shape[1]:
            self._fail(Error.LANE)
            return 0
        return int(self.buffers[lane, word])

    def _start(self, operation: Callable[[], None]) -> int:
        self._registers[Register.OPS] = (self._registers[Register.OPS] + 1) & MASK32
        if not self.error:
            try:
                operation()
            except _Stop as stop:
                self._fail(stop.code)
        return self._registers[Register.OPS]

    def _gather(self, offset: int, x: int, lane: int | None) -> None:
        r = self._registers
        if not 1 <= r[Register.LANES_ON] <= self.lanes or (lane is not None and lane >= self.lanes):
            raise _Stop(Error.LANE)
        rows, cols, length = r[Register.ROWS], r[Register.COLS], r[Register.LEN]
        if not rows or not cols or not 1 <= length <= 1 << 16:
            raise _Stop(Error.COUNT)
        capacity = self.buffers.shape[1] * (16 if self.config.expand else 32)
        step = _signed(r[Register.LANE_STEP])
        if rows * cols * length > capacity:
            raise _Stop(Error.BUFFER)
        for index in range(r[Register.LANES_ON]) if lane is None else (lane,):
            d = index * step if lane is None else 0
            string = [self._window_run(offset, x, d, i, j) for i in range(rows) for j in range(cols)]
            self._fill(index, np.concatenate(string))

    def _window_run(self, offset: int, x: int, d: int, i: int, j: int) -> NDArray[np.uint8]:
        """Codes of one run ``(LEN,)``: 0, 1, and 2 for padding."""
        r = self._registers
        length = r[Register.LEN]
        jump = d + j * _signed(r[Register.COL_STRIDE])
        first = _signed(x + jump)
        string = np.full(length, 2, dtype=np.uint8)
        if 0 <= _signed(r[Register.Y] + i) < r[Register.HEIGHT]:
            low, high = min(max(0, -first), length), min(length, r[Register.WIDTH] - first)
            if low < high:
                row = i * _signed(r[Register.ROW_STRIDE])
                address = (8 * r[Register.SRC_BASE] + _signed(offset) + jump + row + low) % (1 << 35)
                string[low:high] = self._read_bits(address, high - low)
        return string

    def _read_bits(self, address: int, count: int) -> NDArray[np.uint8]:
        first = (address >> 5 << 2) - self.ram_base
        last = (address + count - 1 >> 5 << 2) + 4 - self.ram_base
        if first < 0 or last > len(self.memory):
            raise _Stop(Error.SOURCE)
        start = address - ((first + self.ram_base) << 3)
        return np.unpackbits(self.memory[first:last], bitorder="little")[start : start + count]

    def _fill(self, lane: int, string: NDArray[np.uint8]) -> None:
        if self.config.expand:
            string = np.stack([string < 2, string == 1], axis=1).astype(np.uint8).reshape(-1)
        bits = np.concatenate([string & (string < 2), np.zeros(-len(string) % 32, dtype=np.uint8)])
        words = np.packbits(bits, bitorder="little").view(np.uint32)
        self.buffers[lane, : len(words)] = words

    def _run(self, address: int, offset: int) -> None:
        r, config = self._registers, self.config
        k, n, lanes = r[Register.K], r[Register.N], r[Register.LANES_ON]
        if config.out == 3:
            raise _Stop(Error.CONFIG)
        if not 1 <= lanes <= self.lanes:
            raise _Stop(Error.LANE)
        if not k or not n or k * config.a > self.buffers.shape[1] * 32:
            raise _Stop(Error.COUNT)
        row_words = config.header_words + -(-k * config.w // 32)
        first = address - self.ram_base
        if address % 4 or first < 0 or first + 4 * row_words > len(self.memory):
            raise _Stop(Error.WEIGHTS)
        stride = _signed(r[Register.DST_STRIDE])
        base = 8 * r[Register.DST_BASE] + _signed(offset)
        starts = [(base + lane * stride) % (1 << 35) for lane in range(lanes)]
        if any(start % config.out_bits for start in starts):
            raise _Stop(Error.DESTINATION)
        strings = [np.unpackbits(self.buffers[lane].view(np.uint8), bitorder="little") for lane in range(lanes)]
        a = np.stack([unpack(string[: k * config.a], config.a, config.a_unsigned) for string in strings])
        for row in range(n):
            at = first + 4 * row * row_words
            words = self.memory[at : at + 4 * row_words].view(np.uint32)
            if len(words) < row_words:
                raise _Stop(Error.WEIGHTS)
            self._row(row, words, a, starts)

    def _row(self, row: int, words: Words, a: NDArray[np.int64], starts: list[int]) -> None:
        config = self.config
        header = [int(word) for word in words[: config.header_words]] + [0] * 3
        string = np.unpackbits(words[config.header_words :].view(np.uint8), bitorder="little")
        w = unpack(string[: a.shape[1] * config.w], config.w, False)
        codes = []
        for acc in a @ w:
            value = _signed(int(acc) + header[0])
            codes.append(value if config.out == Out.INT32 else self._requant(value, header[1], header[2] & 0xFF))
        o = config.out_bits
        last = row + 1 == self._registers[Register.N]
        for lane, (start, code) in enumerate(zip(starts, codes, strict=True)):
            position = start + row * o
            count = o
            if last and config.tail_zero and lane + 1 == len(starts):
                count += -(position + o) % 8
            self._write_bits(position % (1 << 35), code & ((1 << o) - 1), count)

    def _requant(self, acc: int, multiplier: int, shift: int) -> int:
        config = self.config
        if not 1 <= multiplier < 1 << 31 or not 1 <= shift <= 62:
            raise _Stop(Error.REQUANT)
        product = acc * multiplier
        bits = config.out_bits
        unsigned = config.out == Out.PACK and config.o_unsigned
        if bits == 1 and not unsigned:
            return int(product < 0)
        low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        return min(max((product + (1 << (shift - 1))) >> shift, low), high)

    def _write_bits(self, address: int, code: int, count: int) -> None:
        first = (address >> 3) - self.ram_base
        last = ((address + count - 1) >> 3) + 1 - self.ram_base
        if first < 0 or last > len(self.memory):
            raise _Stop(Error.DESTINATION)
        bits = np.unpackbits(self.memory[first:last], bitorder="little")
        start = address & 7
        bits[start : start + count] = field_bits(np.array([code], dtype=np.int64), count)
        self.memory[first:last] = np.packbits(bits, bitorder="little")
