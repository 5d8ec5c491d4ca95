"""The streaming engine in Python, an instruction at a time, over a memory of bytes.

The contract is rtl/simd/stream/README.md. :class:`StreamModel` computes what the engine leaves behind: registers, lane
buffers, memory and answers. It knows nothing of cycles: BUSY and STALL stay 0 unless they are set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hil.harness.packing import Words, field_bits, pack, unpack
from hil.harness.stream_isa import (
    HIGHEST_FUNCT3,
    RESET,
    WIDTHS,
    WRITABLE,
    Config,
    Error,
    Op,
    Out,
    Register,
    Run,
    function_id,
)
from mico.errors import UsageError

__all__ = [
    "Config",
    "Error",
    "Op",
    "Out",
    "Register",
    "Run",
    "StreamModel",
    "function_id",
]

MASK32 = (1 << 32) - 1


def _signed(value: int, bits: int = 32) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


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
        self._registers = {r: RESET.get(Register(r), 0) for r in WRITABLE}

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
        if funct3 > HIGHEST_FUNCT3.get(Op(op), 0):
            self._fail(Error.ENCODING)
            return 0
        if op == Op.SET:
            self._set(rs2, rs1)
        elif op == Op.GET:
            return self._peek(rs1, rs2) if funct3 else self.get(rs2)
        elif op in (Op.GATHER, Op.GATHER_LANE):
            return self._start(lambda: self._gather(rs1, rs2, funct3 if op == Op.GATHER_LANE else None))
        elif op == Op.RUN:
            return self._start(lambda: self._results(Run(funct3), rs1, rs2))
        elif op == Op.WAIT:
            return self.get(Register.STATUS)
        else:
            self._reset()
        return 0

    def _set(self, index: int, value: int) -> None:
        if index == Register.ERROR:
            self._registers[index] = 0
        elif index not in self._registers or value >> WIDTHS.get(Register(index), 32):
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
        elif self.config.pad_min and not self.config.a_unsigned:
            a = self.config.a
            string = np.where(string == 2, np.arange(len(string)) % a == a - 1, string).astype(np.uint8)
        self._set_buffer(lane, string & (string < 2))

    def _set_buffer(self, lane: int, string: NDArray[np.uint8]) -> None:
        bits = np.concatenate([string, np.zeros(-len(string) % 32, dtype=np.uint8)])
        words = np.packbits(bits, bitorder="little").view(np.uint32)
        self.buffers[lane, : len(words)] = words

    def _elements(self, lane: int, count: int, unsigned: bool) -> NDArray[np.int64]:
        string = np.unpackbits(self.buffers[lane].view(np.uint8), bitorder="little")
        return unpack(string[: count * self.config.a], self.config.a, unsigned)

    def _results(self, kind: Run, rs1: int, offset: int) -> None:
        if kind == Run.RUN:
            self._run(rs1, offset)
        elif kind == Run.MAP:
            self._map(rs1, offset)
        else:
            self._pool(rs1, offset, kind == Run.POOL_KEEP)

    def _destination(self, offset: int, bits: int) -> int:
        start = (8 * self._registers[Register.DST_BASE] + _signed(offset)) % (1 << 35)
        if start % bits:
            raise _Stop(Error.DESTINATION)
        return start

    def _check_elements(self, elements: int) -> None:
        if not 1 <= self._registers[Register.LANES_ON] <= self.lanes:
            raise _Stop(Error.LANE)
        if not 1 <= elements <= 1 << 16 or elements * self.config.a > self.buffers.shape[1] * 32:
            raise _Stop(Error.COUNT)

    def _pool(self, elements: int, offset: int, keep: bool) -> None:
        config = self.config
        self._check_elements(elements)
        start = 0 if keep else self._destination(offset, config.a)
        lanes = range(self._registers[Register.LANES_ON])
        highest = np.max([self._elements(lane, elements, config.a_unsigned) for lane in lanes], axis=0)
        string = pack(highest, config.a, binary=not config.a_unsigned)
        if keep:
            self._set_buffer(0, string)
        else:
            self._write_string(start, string)

    def _map(self, elements: int, offset: int) -> None:
        r, config = self._registers, self.config
        k, lanes, shift = r[Register.K], r[Register.LANES_ON], r[Register.SHIFT]
        if config.out not in (Out.PACK, Out.LOGIT):
            raise _Stop(Error.CONFIG)
        self._check_elements(elements)
        if not k:
            raise _Stop(Error.COUNT)
        start = self._destination(offset, config.out_bits)
        multipliers = [r[Register.M0 + lane] for lane in range(lanes)]
        if 0 in multipliers or not 1 <= shift <= 62:
            raise _Stop(Error.REQUANT)
        if k * elements * config.a > self.buffers.shape[1] * 32:
            raise _Stop(Error.BUFFER)
        sums = self.sums(elements)
        codes = np.array([self._requant(int(value), 1, shift) for value in sums], dtype=np.int64)
        self._write_string(start, field_bits(codes, config.out_bits))

    def sums(self, elements: int) -> NDArray[np.int64]:
        """What MAP requantises, ``(elements,)``, with the buffers and registers as they are."""
        r, config = self._registers, self.config
        total = np.zeros(elements, dtype=np.int64)
        for lane in range(r[Register.LANES_ON]):
            x = self._elements(lane, r[Register.K] * elements, config.a_unsigned ^ (config.mix and lane > 0))
            total += x.reshape(-1, elements).sum(axis=0) * r[Register.M0 + lane]
        return total

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
        self._write(address, field_bits(np.array([code], dtype=np.int64), count))

    def _write_string(self, address: int, string: NDArray[np.uint8]) -> None:
        tail = -(address + len(string)) % 8 if self.config.tail_zero else 0
        self._write(address, np.concatenate([string, np.zeros(tail, dtype=np.uint8)]))

    def _write(self, address: int, string: NDArray[np.uint8]) -> None:
        first = (address >> 3) - self.ram_base
        last = ((address + len(string) - 1) >> 3) + 1 - self.ram_base
        if first < 0 or last > len(self.memory):
            raise _Stop(Error.DESTINATION)
        bits = np.unpackbits(self.memory[first:last], bitorder="little")
        start = address & 7
        bits[start : start + len(string)] = string
        self.memory[first:last] = np.packbits(bits, bitorder="little")
