"""Random legal programs for the control unit with the stand-in datapath (bf_exec.sv), and what they must leave."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Buffer, Engine, Instruction, LoadReg, Mode, RunReg, encode
from mico.codegen.bitfusion.machine import Machine

MACHINE = Machine(
    rows=4, cols=4, bus_bits=64, ibuf_bytes=4096, wbuf_bytes=4096, obuf_bytes=4096, patch_depth=16, param_depth=16
)
WINDOW = 0x2_0000  # bytes
PROGRAM = 0x1_8000  # behind the data to load, before the results
RESULTS = 0x1_E000
_COUNTS = ("SEG", "J", "K", "PX", "PY", "OX", "OY", "B", "NCH", "NOCT", "PO", "OLAST")


def prelude() -> list[Instruction]:
    """Registers of a RUN that is legal for the stand-in."""
    program = [Instruction.setx(RunReg[name], 1) for name in _COUNTS]
    return [*program, Instruction.setx(RunReg.MODE, Mode().encode())]


@dataclass
class RandomProgram:
    """A program that cannot deadlock.

    It waits only for signals of instructions that stand before the WAIT, and each semaphore has one engine that waits.
    """

    seed: int
    machine: Machine = MACHINE
    length: int = 60
    rng: random.Random = field(init=False)
    code: list[Instruction] = field(init=False)
    memory: NDArray[np.uint8] = field(init=False)
    """The window before."""
    after: NDArray[np.uint8] = field(init=False)
    buffers: dict[Buffer, NDArray[np.uint8]] = field(init=False)
    """Beats; what no LOAD wrote is zero here."""
    touched: dict[Buffer, NDArray[np.bool_]] = field(init=False)
    marks: list[int] = field(init=False, default_factory=list)
    beats: int = field(init=False, default=0)
    """Loaded."""

    def __post_init__(self) -> None:
        m, self.rng = self.machine, random.Random(self.seed)
        self.memory = np.random.default_rng(self.seed).integers(0, 256, WINDOW, np.uint8)
        self.after = self.memory.copy()
        sizes = {
            Buffer.IBUF: m.ibuf_bytes // m.beat,
            Buffer.WBUF: m.wbuf_rows * m.wbuf_row_beats,
            Buffer.PBUF: m.param_depth * 3 * m.param_row_beats,
        }
        self.buffers = {buffer: np.zeros((size, m.beat), np.uint8) for buffer, size in sizes.items()}
        self.touched = {buffer: np.zeros(size, np.bool_) for buffer, size in sizes.items()}
        self.code = prelude()
        self.pending = {number: 0 for number in range(8)}
        for _ in range(self.length):
            self.rng.choice([self._load, self._load, self._run, self._wait, self._signal, self._mark])()
        self.code.append(Instruction.end())
        image = np.frombuffer(encode(self.code), np.uint8)
        for area in (self.memory, self.after):
            area[PROGRAM : PROGRAM + len(image)] = image
        assert PROGRAM + len(image) <= RESULTS

    def _signalled(self) -> int | None:
        number = self.rng.randrange(10)
        if number > 7:
            return None
        self.pending[number] += 1
        return number

    def _load(self) -> None:
        rng, beat = self.rng, self.machine.beat
        buffer = rng.choice(list(Buffer))
        target = self.buffers[buffer]
        rows = rng.choice([1, 1, 2, 5, 17])
        beats = rng.choice([1, 2, 3, 8, 33, 300, 600]) if rows < 5 else rng.randrange(1, 9)
        stride = rng.randrange(0, 40) * beat if rows > 1 else rng.randrange(1 << 32)
        room = PROGRAM - beats * beat - (stride * (rows - 1) if rows > 1 else 0)
        offset = rng.randrange(0, room // beat) * beat
        dstride = rng.randrange(0, 40)
        last = (rows - 1) * dstride + beats
        if buffer is Buffer.IBUF:
            dst = rng.randrange(0, 1 << 20)
        else:
            if last > len(target):
                rows, beats, last = 1, rng.randrange(1, len(target) + 1), 0
                last = beats
            dst = rng.choice([0, len(target) - last, rng.randrange(0, len(target) - last + 1)])
        for name, value in (("ROWS", rows), ("BEATS", beats), ("MSTRIDE", stride), ("DST", dst), ("DSTRIDE", dstride)):
            self.code.append(Instruction.setl(LoadReg[name], value))
        self.code.append(Instruction.load(buffer, offset, self._signalled()))
        for row in range(rows):
            start = offset + (row * stride if rows > 1 else 0)
            where = (dst + row * dstride + np.arange(beats)) % len(target)
            target[where] = self.memory[start : start + beats * beat].reshape(-1, beat)
            self.touched[buffer][where] = True
        self.beats += rows * beats

    def _run(self) -> None:
        rng, beat = self.rng, self.machine.beat
        cycles, writes, step = rng.choice([1, 2, 3, 40, 200]), rng.randrange(1, 6), rng.randrange(0, 3) * beat
        offset = RESULTS + rng.randrange(0, 0x1F00 // beat) * beat
        for register, value in ((RunReg.OX, cycles), (RunReg.OY, writes), (RunReg.OSTEP_Y, step)):
            self.code.append(Instruction.setx(register, value))
        self.code.append(Instruction.run(offset, input=self._signalled(), weight=self._signalled()))
        for number in range(writes):
            self.after[offset + number * step :][:beat] = 0xFF

    def _wait(self) -> None:
        ready = [number for number, count in self.pending.items() if count]
        if ready:
            number = self.rng.choice(ready)
            self.pending[number] -= 1
            self.code.append(Instruction.wait(Engine(number % 2), number))

    def _signal(self) -> None:
        number = self._signalled()
        if number is not None:
            self.code.append(Instruction.signal(self.rng.choice(list(Engine)), number))

    def _mark(self) -> None:
        self.marks.append(self.rng.randrange(1 << 32))
        self.code += [Instruction.fence(), Instruction.mark(self.marks[-1])]
