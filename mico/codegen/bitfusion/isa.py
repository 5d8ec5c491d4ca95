"""Instruction set of the BitFusion accelerator: encoding, assembler text, disassembler (``rtl/bitfusion/README.md``).

Assembler text is an instruction a line, ``; comment`` behind it: ``SETX OX 14``, ``WAIT exec 2``, ``MARK 3``,
``LOAD wbuf 0x4000 signal=1``, ``RUN 0x8000 input=3 weight=-``. :func:`disassemble` writes what :func:`assemble` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mico.errors import UsageError

__all__ = [
    "NO_SEMAPHORE",
    "SEMAPHORES",
    "Buffer",
    "Engine",
    "Instruction",
    "LoadReg",
    "Mode",
    "Opcode",
    "RunReg",
    "Vector",
    "assemble",
    "decode",
    "disassemble",
    "encode",
]

SEMAPHORES = 8
NO_SEMAPHORE = 15


class Opcode(IntEnum):
    """Bits 63..56."""

    END = 0x01
    WAIT = 0x02
    SIGNAL = 0x03
    FENCE = 0x04
    MARK = 0x05
    SETL = 0x10
    LOAD = 0x11
    SETX = 0x20
    RUN = 0x21


class Engine(IntEnum):
    """Which queue a WAIT or SIGNAL goes to."""

    LOAD = 0
    EXEC = 1


class Buffer(IntEnum):
    """Destination of a LOAD."""

    IBUF = 0
    WBUF = 1
    PBUF = 2


class LoadReg(IntEnum):
    """Registers of the load engine."""

    ROWS = 0
    BEATS = 1
    MSTRIDE = 2
    DST = 3
    DSTRIDE = 4


class RunReg(IntEnum):
    """Registers of the exec engine, in the order of the README's table."""

    MODE = 0
    IBASE = 1
    X0 = 2
    Y0 = 3
    XEND = 4
    YEND = 5
    SEG = 6
    J = 7
    JSTEP = 8
    K = 9
    KSTEP = 10
    PX = 11
    PXSTEP = 12
    PY = 13
    PYSTEP = 14
    OX = 15
    OXSTEP = 16
    OY = 17
    OYSTEP = 18
    B = 19
    BSTEP = 20
    NCH = 21
    NOCT = 22
    GSTEP = 23
    WBASE = 24
    WSTEP = 25
    PBASE = 26
    ABASE = 27
    OSTEP_X = 28
    OSTEP_Y = 29
    OSTEP_B = 30
    OSTEP_O = 31
    OLAST = 32
    PO = 33


class Vector(IntEnum):
    """What a vector run does with the elements of its window."""

    MAX = 0
    SUM = 1
    MAC = 2


@dataclass(frozen=True)
class Mode:
    """Register MODE: formats and what a run does. Bits in {1, 2, 4, 8}, *out_bits* also 32."""

    act_bits: int = 8
    wgt_bits: int = 8
    act_signed: bool = False
    wgt_signed: bool = True
    out_bits: int = 8
    out_signed: bool = False
    vector: Vector | None = None
    init: bool = True
    emit: bool = True
    requant: bool = True

    def encode(self) -> int:
        """The register's value."""
        wide = self.out_bits == 32
        out = 0 if wide else _LOG2[self.out_bits]
        operation = 0 if self.vector is None else int(self.vector)
        return (
            _LOG2[self.act_bits] | _LOG2[self.wgt_bits] << 2 | self.act_signed << 4 | self.wgt_signed << 5
            | out << 6 | wide << 8 | self.out_signed << 9 | (self.vector is not None) << 10 | operation << 11
            | self.init << 13 | self.emit << 14 | self.requant << 15
        )  # fmt: skip

    @classmethod
    def decode(cls, value: int) -> Mode:
        """Inverse of :meth:`encode`; ValueError where the vector operation does not exist."""
        return cls(
            act_bits=1 << (value & 3),
            wgt_bits=1 << (value >> 2 & 3),
            act_signed=bool(value >> 4 & 1),
            wgt_signed=bool(value >> 5 & 1),
            out_bits=32 if value >> 8 & 1 else 1 << (value >> 6 & 3),
            out_signed=bool(value >> 9 & 1),
            vector=Vector(value >> 11 & 3) if value >> 10 & 1 else None,
            init=bool(value >> 13 & 1),
            emit=bool(value >> 14 & 1),
            requant=bool(value >> 15 & 1),
        )


_LOG2 = {1: 0, 2: 1, 4: 2, 8: 3}


@dataclass(frozen=True)
class Instruction:
    """64 bits: *opcode* (8), *arg* (24), *imm* (32, read as unsigned)."""

    opcode: int
    arg: int = 0
    imm: int = 0

    @classmethod
    def end(cls) -> Instruction:
        return cls(Opcode.END)

    @classmethod
    def wait(cls, engine: Engine, semaphore: int) -> Instruction:
        return cls(Opcode.WAIT, semaphore | engine << 8)

    @classmethod
    def signal(cls, engine: Engine, semaphore: int) -> Instruction:
        return cls(Opcode.SIGNAL, semaphore | engine << 8)

    @classmethod
    def fence(cls) -> Instruction:
        return cls(Opcode.FENCE)

    @classmethod
    def mark(cls, number: int) -> Instruction:
        return cls(Opcode.MARK, 0, number)

    @classmethod
    def setl(cls, register: LoadReg, value: int) -> Instruction:
        return cls(Opcode.SETL, register, value & _MASK)

    @classmethod
    def load(cls, buffer: Buffer, offset: int, signal: int | None = None) -> Instruction:
        return cls(Opcode.LOAD, buffer | (NO_SEMAPHORE if signal is None else signal) << 4, offset)

    @classmethod
    def setx(cls, register: RunReg, value: int) -> Instruction:
        return cls(Opcode.SETX, register, value & _MASK)

    @classmethod
    def run(cls, offset: int, *, input: int | None = None, weight: int | None = None) -> Instruction:
        """*input*, *weight*: semaphores signalled when the input, the weight and parameter buffers are read."""
        first, second = (NO_SEMAPHORE if s is None else s for s in (input, weight))
        return cls(Opcode.RUN, first | second << 4, offset)

    @property
    def word(self) -> int:
        return self.opcode << 56 | self.arg << 32 | self.imm

    def __str__(self) -> str:
        return _text(self)


_MASK = (1 << 32) - 1


def encode(program: Iterable[Instruction]) -> bytes:
    """Instructions as they lie in memory."""
    return np.array([instruction.word for instruction in program], dtype="<u8").tobytes()


def decode(image: bytes) -> list[Instruction]:
    """Inverse of :func:`encode`; any 64 bits are an Instruction, legal or not."""
    words = np.frombuffer(image, dtype="<u8")
    return [Instruction(int(w) >> 56, int(w) >> 32 & 0xFFFFFF, int(w) & _MASK) for w in words]


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _semaphore(number: int) -> str:
    return "-" if number == NO_SEMAPHORE else str(number)


def _text(instruction: Instruction) -> str:
    arg, imm = instruction.arg, instruction.imm
    try:
        match Opcode(instruction.opcode):
            case Opcode.END | Opcode.FENCE as op:
                text = op.name
            case Opcode.WAIT | Opcode.SIGNAL as op:
                text = f"{op.name} {Engine(arg >> 8 & 1).name.lower()} {arg & 15}"
            case Opcode.MARK:
                text = f"MARK {imm}"
            case Opcode.SETL:
                text = f"SETL {LoadReg(arg & 255).name} {_signed(imm)}"
            case Opcode.LOAD:
                text = f"LOAD {Buffer(arg & 3).name.lower()} {imm:#x} signal={_semaphore(arg >> 4 & 15)}"
            case Opcode.SETX:
                register = RunReg(arg & 255)
                text = f"SETX {register.name} " + (f"{imm:#06x}" if register is RunReg.MODE else str(_signed(imm)))
            case Opcode.RUN:
                text = f"RUN {imm:#x} input={_semaphore(arg & 15)} weight={_semaphore(arg >> 4 & 15)}"
        if assemble(text)[0].word == instruction.word:
            return text
    except ValueError:
        pass
    return f".word {instruction.word:#018x}"  # illegal, or bits set that mean nothing


def disassemble(program: Sequence[Instruction]) -> str:
    """Assembler text, an instruction a line; what means nothing becomes ``.word``."""
    return "".join(f"{instruction}\n" for instruction in program)


def assemble(text: str) -> list[Instruction]:
    """Inverse of :func:`disassemble`.

    Raises
    ------
    UsageError
        A line is not an instruction; names it.
    """
    program: list[Instruction] = []
    for number, line in enumerate(text.splitlines(), 1):
        program += _parse(line.split(";")[0].strip(), f"line {number}")
    return program


def _parse(line: str, where: str) -> Iterator[Instruction]:  # none or one
    if not line:
        return
    name, *fields = line.split()
    options = dict(field.split("=", 1) for field in fields if "=" in field)
    plain = [field for field in fields if "=" not in field]

    def option(key: str) -> int | None:
        value = options.pop(key, "-")
        return None if value == "-" else int(value, 0)

    try:
        match name.upper(), plain:
            case ".WORD", [word]:
                value = int(word, 0)
                made = Instruction(value >> 56, value >> 32 & 0xFFFFFF, value & _MASK)
            case "END", []:
                made = Instruction.end()
            case "FENCE", []:
                made = Instruction.fence()
            case "WAIT", [engine, semaphore]:
                made = Instruction.wait(Engine[engine.upper()], int(semaphore, 0))
            case "SIGNAL", [engine, semaphore]:
                made = Instruction.signal(Engine[engine.upper()], int(semaphore, 0))
            case "MARK", [mark]:
                made = Instruction.mark(int(mark, 0))
            case "SETL", [register, value_text]:
                made = Instruction.setl(LoadReg[register.upper()], int(value_text, 0))
            case "SETX", [register, value_text]:
                made = Instruction.setx(RunReg[register.upper()], int(value_text, 0))
            case "LOAD", [buffer, offset]:
                made = Instruction.load(Buffer[buffer.upper()], int(offset, 0), option("signal"))
            case "RUN", [offset]:
                made = Instruction.run(int(offset, 0), input=option("input"), weight=option("weight"))
            case _:
                raise ValueError("unknown instruction or wrong number of operands")
        if options:
            raise ValueError(f"unknown option {next(iter(options))!r}")
    except (ValueError, KeyError) as error:
        raise UsageError(f"not an instruction: {line!r} ({error})", where=where) from error
    yield made
