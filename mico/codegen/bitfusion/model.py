"""Instruction-level model of the BitFusion accelerator: what a program leaves in memory, without cycles.

The two engines run in any order that the semaphores allow; a program whose result depends on that order has a race,
which different *seed* values bring to light. Illegal programs end in the same errors as the hardware.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import (
    NO_SEMAPHORE,
    SEMAPHORES,
    Buffer,
    Engine,
    Instruction,
    LoadReg,
    Mode,
    Opcode,
    RunReg,
    Vector,
)
from mico.codegen.bitfusion.loopnest import Buffers, Loops, run_array, run_vector
from mico.codegen.bitfusion.machine import Machine
from mico.errors import MeasurementError

__all__ = ["Code", "MachineError", "execute"]

_QUEUE = 16
_COUNTS = ("SEG", "J", "K", "PX", "PY", "OX", "OY", "B", "NCH", "NOCT")


class Code(IntEnum):
    """Error codes of the STATUS register."""

    OPCODE = 1
    FIELD = 2
    MEMORY = 3
    BUFFER = 4
    SEMAPHORE = 5
    DEADLOCK = 6
    NO_END = 7
    BUS = 8
    LIMIT = 9
    MARKS = 10


class MachineError(MeasurementError):
    """The accelerator stopped in an error state.

    Attributes
    ----------
    code
        Why.
    index
        Of the instruction that is to blame, where one is.
    """

    def __init__(self, code: Code, index: int, what: str) -> None:
        super().__init__(f"{code.name}: {what}", where=f"instruction {index}", cure="disassemble the program")
        self.code = code
        self.index = index


@dataclass
class _Issued:
    index: int
    instruction: Instruction


def execute(
    program: Sequence[Instruction], memory: NDArray[np.uint8], machine: Machine, *, seed: int | None = None
) -> list[int]:
    """Run *program* on *memory*.

    Parameters
    ----------
    memory
        uint8 ``(MEM_BYTES,)``, changed in place.
    seed
        Order of the engines: None lets the load engine run as far ahead as it can, a number draws at random.

    Returns
    -------
    The ids of the MARKs, in order.

    Raises
    ------
    MachineError
        As the hardware would report.
    """
    return _Machine(program, memory, machine, None if seed is None else random.Random(seed)).run()


class _Machine:
    def __init__(
        self, program: Sequence[Instruction], memory: NDArray[np.uint8], machine: Machine, order: random.Random | None
    ) -> None:
        self.program, self.memory, self.machine, self.order = program, memory, machine, order
        self.exec_first = order.choice([0.0, 0.1, 0.5, 0.9, 1.0]) if order else 0.0
        self.buffers = Buffers.empty(machine)
        self.semaphores = [0] * SEMAPHORES
        self.queues: dict[Engine, deque[_Issued]] = {Engine.LOAD: deque(), Engine.EXEC: deque()}
        self.load_registers = dict.fromkeys(LoadReg, 0)
        self.run_registers = dict.fromkeys(RunReg, 0)
        self.marks: list[int] = []
        self.next = 0
        self.done = False

    def run(self) -> list[int]:
        while not self.done:
            dispatched = self._dispatch()
            late = self.order is not None and self.order.random() < self.exec_first
            if late and (self._step(Engine.EXEC) or dispatched):
                continue  # loads as late as can be
            if not any(self._step(engine) for engine in (Engine.LOAD, Engine.EXEC)) and not dispatched:
                heads = [queue[0].index for queue in self.queues.values() if queue]
                if heads:
                    raise MachineError(Code.DEADLOCK, min(heads), "every engine waits")
                raise MachineError(Code.NO_END, self.next, "the program ran out")
        return self.marks

    def _dispatch(self) -> bool:
        """One instruction into its queue, if there is room."""
        if self.next >= len(self.program):
            return False
        instruction = self.program[self.next]
        try:
            opcode = Opcode(instruction.opcode)
        except ValueError:
            raise MachineError(Code.OPCODE, self.next, f"{instruction.opcode:#04x}") from None
        if opcode in (Opcode.WAIT, Opcode.SIGNAL):
            engine = Engine(instruction.arg >> 8 & 1)
        else:
            engine = Engine.LOAD if opcode in (Opcode.SETL, Opcode.LOAD) else Engine.EXEC
        if len(self.queues[engine]) == _QUEUE:
            return False
        self.queues[engine].append(_Issued(self.next, instruction))
        self.next = len(self.program) if opcode is Opcode.END else self.next + 1
        return True

    def _step(self, engine: Engine) -> bool:
        """Complete the instruction at the head of *engine*'s queue, unless it has to wait."""
        queue = self.queues[engine]
        if not queue:
            return False
        index, instruction = queue[0].index, queue[0].instruction
        arg, imm = instruction.arg, instruction.imm
        match Opcode(instruction.opcode):
            case Opcode.END:
                if self.queues[Engine.LOAD]:
                    return False
                self.done = True
            case Opcode.WAIT:
                number = self._semaphore(arg & 15, index)
                if self.semaphores[number] == 0:
                    return False
                self.semaphores[number] -= 1
            case Opcode.SIGNAL:
                self._signal(self._semaphore(arg & 15, index), index)
            case Opcode.MARK:
                if len(self.marks) == 256:
                    raise MachineError(Code.MARKS, index, "more than 256")
                self.marks.append(imm)
            case Opcode.SETL | Opcode.SETX as opcode:
                self._set(opcode, arg & 255, imm, index)
            case Opcode.LOAD:
                self._load(index, Buffer(self._require(arg & 3, arg & 3 < 3, index, "no such buffer")), imm)
                self._signal(arg >> 4 & 15, index)
            case Opcode.RUN:
                self._run(index, imm)
                self._signal(arg & 15, index)
                self._signal(arg >> 4 & 15, index)
            case Opcode.FENCE:
                pass
        queue.popleft()
        return True

    def _require(self, value: int, condition: bool, index: int, what: str, code: Code = Code.FIELD) -> int:
        if not condition:
            raise MachineError(code, index, what)
        return value

    def _semaphore(self, number: int, index: int) -> int:
        return self._require(number, number < SEMAPHORES, index, f"semaphore {number}")

    def _signal(self, number: int, index: int) -> None:
        if number == NO_SEMAPHORE:
            return
        self._semaphore(number, index)
        self.semaphores[number] += 1
        self._require(number, self.semaphores[number] < 256, index, f"semaphore {number}", Code.SEMAPHORE)

    def _set(self, opcode: Opcode, number: int, value: int, index: int) -> None:
        try:
            if opcode is Opcode.SETL:
                self.load_registers[LoadReg(number)] = value
            else:
                self.run_registers[RunReg(number)] = value
        except ValueError:
            raise MachineError(Code.FIELD, index, f"register {number}") from None

    def _load(self, index: int, buffer: Buffer, offset: int) -> None:
        machine, r = self.machine, self.load_registers
        beat, rows, beats = machine.beat, r[LoadReg.ROWS], r[LoadReg.BEATS]
        self._require(rows, 1 <= rows < 1 << 16 and 1 <= beats < 1 << 16, index, f"{rows} rows of {beats} beats")
        aligned = offset % beat == 0 and (rows == 1 or r[LoadReg.MSTRIDE] % beat == 0)
        self._require(0, aligned, index, "not at a multiple of a beat", Code.MEMORY)
        targets: dict[Buffer, NDArray[Any]] = {
            Buffer.IBUF: self.buffers.ibuf,
            Buffer.WBUF: self.buffers.wbuf,
            Buffer.PBUF: self.buffers.pbuf,
        }
        target = targets[buffer].reshape(-1).view(np.uint8).reshape(-1, beat)
        for row in range(rows):
            start = offset + row * r[LoadReg.MSTRIDE]
            inside = start + beats * beat <= len(self.memory)
            self._require(0, inside, index, f"reads {start:#x} and {beats} beats", Code.MEMORY)
            first = r[LoadReg.DST] + row * r[LoadReg.DSTRIDE]
            where = np.arange(first, first + beats)
            if buffer is Buffer.IBUF:
                where %= len(target)
            self._require(0, int(where[-1]) < len(target), index, "beyond the end of the buffer", Code.BUFFER)
            target[where] = self.memory[start : start + beats * beat].reshape(-1, beat)

    def _run(self, index: int, offset: int) -> None:
        machine, r = self.machine, self.run_registers
        for name in _COUNTS:
            self._require(0, 1 <= r[RunReg[name]] < 1 << 16, index, f"{name} is {r[RunReg[name]]}")
        try:
            mode = Mode.decode(r[RunReg.MODE])
        except ValueError:
            raise MachineError(Code.FIELD, index, "vector operation 3") from None
        loops = Loops(dict(r), mode, offset)
        self._check_run(index, loops)
        entries = loops.k * loops.j if mode.vector is Vector.MAC else 1 if mode.vector is not None else loops.noct
        uses_params = mode.emit and mode.requant
        fits = not uses_params or 0 <= loops.pbase <= machine.param_depth - entries
        self._require(0, fits, index, "PBUF entries beyond the end", Code.BUFFER)
        if mode.vector is not None:
            run_vector(loops, self.buffers, machine, lambda o, d: self._write(index, o, d))
            return
        rows = -(-loops.nch // machine.subwords(mode.act_bits, mode.wgt_bits))
        ends = loops.wbase, loops.wbase + (loops.noct - 1) * loops.wstep
        fits = min(ends) >= 0 and max(ends) + rows <= machine.wbuf_rows
        self._require(0, fits, index, "WBUF rows beyond the end", Code.BUFFER)
        results = loops.b * loops.oy * loops.ox * loops.py * loops.px * loops.noct
        if not (mode.init and mode.emit):
            fits = 0 <= loops.abase <= machine.obuf_entries - results
            self._require(0, fits, index, "OBUF entries beyond the end", Code.BUFFER)
        run_array(loops, self.buffers, machine, lambda o, d: self._write(index, o, d))

    def _check_run(self, index: int, loops: Loops) -> None:
        mode, machine = loops.mode, self.machine
        slots = loops.noct // loops.po if loops.po in (1, 2, 4) else 0
        legal = slots * loops.po == loops.noct
        vector_bits = machine.cols * mode.out_bits
        if mode.emit:
            legal &= vector_bits % 8 == 0 and 0 < loops.olast * 8 <= vector_bits
        if mode.emit and loops.px * loops.py * loops.po > 1:
            legal &= mode.out_bits <= 8 and slots <= 32
        if mode.vector is None:
            legal &= loops.noct == 1 or loops.nch <= machine.patch_depth
            legal &= machine.chunk_elements(mode.act_bits, mode.wgt_bits) * mode.act_bits % 8 == 0
        else:
            legal &= loops.px == loops.py == loops.po == loops.nch == 1 and mode.init and mode.emit
            legal &= loops.seg * 8 == machine.cols * mode.act_bits and loops.seg <= 4 * machine.rows
            legal &= mode.requant or mode.vector is not Vector.MAC
        self._require(0, legal, index, "illegal combination of RUN registers")

    def _write(self, index: int, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> None:
        if not len(offsets):
            return
        inside = offsets.min() >= 0 and offsets.max() + data.shape[1] <= len(self.memory)
        self._require(0, bool(inside), index, "a result outside the memory window", Code.MEMORY)
        self.memory[offsets[:, None] + np.arange(data.shape[1])] = data
