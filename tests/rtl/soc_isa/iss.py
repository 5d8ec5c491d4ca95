"""Golden instruction-set simulator: RV32IM, Zicsr, Zifencei, machine mode, custom-0, and some of the SoC's devices.

Written from the RISC-V manuals (unprivileged 20191213, privileged 20211203), not from the core. It counts instructions,
not cycles: the timer's CYCLES advances by one an instruction, so interrupts come at other places than in hardware, and
a program whose output depends on where they come cannot be compared. Every instruction is decoded once, into a closure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hil.harness import simd_model
from tests.rtl.soc_isa.operations import BRANCHES, REGISTER_OPS, M, signed

__all__ = ["RAM_BASE", "RAM_BYTES", "ROM_BYTES", "Cfu", "Machine", "Trap"]

RAM_BASE, RAM_BYTES = 0x4000_0000, 4 << 20
ROM_BYTES = 16 << 10
UNCACHED = 0xC000_0000
IO_BASE = 0xF000_0000

MSTATUS, MISA, MIE, MTVEC = 0x300, 0x301, 0x304, 0x305
MSCRATCH, MEPC, MCAUSE, MTVAL, MIP = 0x340, 0x341, 0x342, 0x343, 0x344
CUSTOM_ENABLE = 0xBC0
COUNTERS = {0xB00: 0, 0xB80: 32, 0xB02: 0, 0xB82: 32, 0xC00: 0, 0xC80: 32, 0xC02: 0, 0xC82: 32}
IDENTITY = {0xF11: 0xB, 0xF12: 0x16, 0xF13: 0x21, 0xF14: 0}
# Writable bits; the rest read as they are at reset.
MASKS = {MSTATUS: 0x1888, MIE: 0x888, MTVEC: M, MSCRATCH: M, MEPC: M, MCAUSE: 0x8000_000F, MTVAL: M}
MASKS |= {CUSTOM_ENABLE: M}

Step = Callable[[int], int]
Cfu = Callable[[int, int, int], int]


class Trap(Exception):  # noqa: N818 - the manual's word
    """A synchronous exception: mcause and mtval."""

    def __init__(self, cause: int, value: int) -> None:
        self.cause = cause
        self.value = value


@dataclass
class Machine:
    """One hart with its memory.

    Parameters
    ----------
    rom
        Contents of the boot ROM; execution begins at 0.
    cfu
        What a custom-0 instruction answers: function id, rs1, rs2 -> rd; default: the SIMD unit, version 1.

    breakpoints
        False: ``ebreak`` is an illegal instruction, as in VexRiscv_FullCfu.

    Attributes
    ----------
    x
        The registers; ``x[32]`` takes what is written to x0.
    output
        Bytes sent through the UART.
    steps, custom
        Instructions completed, traps not counted (``minstret``, and ``mcycle`` as well); custom ones among them.
    interrupts
        Interrupts taken.
    """

    rom: bytes
    cfu: Cfu = simd_model.dot
    breakpoints: bool = False
    x: list[int] = field(default_factory=lambda: [0] * 33)
    pc: int = 0
    output: bytearray = field(default_factory=bytearray)
    ram: bytearray = field(default_factory=lambda: bytearray(RAM_BYTES))
    steps: int = 0
    custom: int = 0
    interrupts: int = 0

    def __post_init__(self) -> None:
        self.rom = self.rom.ljust(ROM_BYTES, b"\0")
        self._words = memoryview(self.ram).cast("I")
        self._code: dict[int, Step] = {}
        self.csr = dict.fromkeys(MASKS, 0) | {MSTATUS: 0x1800}
        self._compare = (1 << 64) - 1
        self._cycles_high = 0
        self._software = 0
        self._custom_copy = self._custom_base = 0  # CFU_OPS of the profiling counters
        self.faults: list[int] = []  # addresses of the data side's bus errors

    # ---- execution

    def run(self, stop: int, limit: int = 1 << 40) -> None:
        """Execute until *pc* is *stop*; RuntimeError after *limit* instructions or if a trap vector is never set."""
        code = self._code
        pc = self.pc
        while pc != stop:
            pc = self._interrupt(pc)
            try:
                for _ in range(64):
                    step = code.get(pc)
                    if step is None:
                        if pc == stop:
                            break
                        step = code[pc] = self._decode(self._fetch(pc), pc)
                    self.steps += 1
                    pc = step(pc)
                    if pc == stop:
                        break
            except Trap as trap:
                self.steps -= 1
                pc = self._enter(trap.cause, pc, trap.value)
            if self.steps > limit:
                raise RuntimeError(f"more than {limit} instructions, now at {pc:#x}")
        self.pc = pc

    def _enter(self, cause: int, pc: int, value: int) -> int:
        status = self.csr[MSTATUS]
        self.csr |= {MEPC: pc, MCAUSE: cause, MTVAL: value, MSTATUS: 0x1800 | (status & 8) << 4}
        vector = self.csr[MTVEC]
        if vector == 0:
            raise RuntimeError(f"trap without a vector: cause {cause:#x}, pc {pc:#x}, value {value:#x}")
        return vector & ~3  # direct mode is the only one

    def pending(self) -> int:
        """mip."""
        external = bool(self.faults) and bool(self.csr[CUSTOM_ENABLE] & 1)
        return external << 11 | (self.steps >= self._compare) << 7 | self._software << 3

    def _interrupt(self, pc: int) -> int:
        if not self.csr[MSTATUS] & 8:
            return pc
        pending = self.pending() & self.csr[MIE]
        for number in (11, 3, 7):
            if pending >> number & 1:
                self.interrupts += 1
                return self._enter(1 << 31 | number, pc, self.csr[MTVAL])
        return pc

    # ---- memory

    def _fetch(self, pc: int) -> int:
        if pc < ROM_BYTES:
            return int.from_bytes(self.rom[pc : pc + 4], "little")
        if 0 <= pc - RAM_BASE < RAM_BYTES:
            return int(self._words[pc - RAM_BASE >> 2])
        return 0  # a bus error reads 0: the core does not look at it

    def load(self, address: int, size: int) -> int:
        """*size* bytes at *address*, zero-extended."""
        if address & (size - 1):
            raise Trap(4, address)
        at = address - RAM_BASE
        if not 0 <= at < RAM_BYTES:
            at = address - UNCACHED
        if 0 <= at < RAM_BYTES:
            return int.from_bytes(self.ram[at : at + size], "little")
        if address < ROM_BYTES:
            return int.from_bytes(self.rom[address : address + size], "little")
        word = self._read_register(address & ~3)
        return word >> 8 * (address & 3) & ((1 << 8 * size) - 1)

    def store(self, address: int, size: int, value: int) -> None:
        if address & (size - 1):
            raise Trap(6, address)
        at = address - RAM_BASE
        if not 0 <= at < RAM_BYTES:
            at = address - UNCACHED
        if 0 <= at < RAM_BYTES:
            self.ram[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif size == 4 and address >> 12 in range(IO_BASE >> 12, (IO_BASE >> 12) + 5):
            self._write_register(address, value)
        else:
            self.faults.append(address & ~3)

    def _read_register(self, address: int) -> int:
        if address == IO_BASE + 0x1004:
            return 2  # room for a byte
        if address == IO_BASE + 0x2000:
            self._cycles_high = self.steps >> 32
            return self.steps & M
        if address == IO_BASE + 0x2004:
            return self._cycles_high
        if address == IO_BASE + 0x2010:
            return self._software
        if address == IO_BASE + 0x4010:
            return self._custom_copy
        if not IO_BASE <= address < IO_BASE + 0x5000:
            self.faults.append(address)
        return 0

    def _write_register(self, address: int, value: int) -> None:
        offset = address - IO_BASE
        if offset == 0x1000:
            self.output.append(value & 0xFF)
        elif offset == 0x2008:
            self._compare = self._compare >> 32 << 32 | value
        elif offset == 0x200C:
            self._compare = self._compare & M | value << 32
        elif offset == 0x2010:
            self._software = value & 1
        elif offset == 0x0020:
            self.faults.clear()
        elif offset == 0x4000:
            self._custom_copy = self.custom - self._custom_base
            self._custom_base = self.custom if value & 4 else self._custom_base

    # ---- CSRs

    def _read_csr(self, number: int) -> int | None:
        if number in self.csr:
            return self.csr[number]
        if number == MIP:
            return self.pending()
        if number in COUNTERS:
            return self.steps >> COUNTERS[number] & M
        return IDENTITY.get(number)

    def _access_csr(self, word: int, operand: int) -> int:
        """Value before; what funct3 asks for is written."""
        number, kind, writes = word >> 20, word >> 12 & 3, word >> 12 & 3 == 1 or word >> 15 & 31 != 0
        before = self._read_csr(number)
        if before is None or (writes and number >> 10 == 3):
            raise Trap(2, word)
        if writes and number in MASKS:
            value = operand if kind == 1 else before | operand if kind == 2 else before & ~operand
            mask = MASKS[number]
            self.csr[number] = before & ~mask | value & mask
        return before

    # ---- decoder: a closure an instruction

    def _decode(self, word: int, _pc: int) -> Step:
        opcode, funct3, funct7 = word & 0x7F, word >> 12 & 7, word >> 25
        maker = {
            0x33: self._make_register,
            0x13: self._make_immediate,
            0x03: self._make_load,
            0x23: self._make_store,
            0x63: self._make_branch,
            0x73: self._make_system,
            0x0B: self._make_custom,
        }.get(opcode)
        if maker is not None:
            return maker(word, funct3, funct7)
        x, rd = self.x, word >> 7 & 31 or 32
        if opcode == 0x37:
            upper = word & 0xFFFF_F000
            return lambda pc: (x.__setitem__(rd, upper), pc + 4)[1]
        if opcode == 0x17:
            upper = word & 0xFFFF_F000
            return lambda pc: (x.__setitem__(rd, pc + upper & M), pc + 4)[1]
        if opcode == 0x6F:
            offset = signed(word & 0x8000_0000) >> 11 | word & 0xFF000 | word >> 9 & 0x800 | word >> 20 & 0x7FE
            return self._make_jump(rd, None, offset)
        if opcode == 0x67 and funct3 == 0:
            return self._make_jump(rd, word >> 15 & 31, signed(word) >> 20)
        if opcode == 0x0F:
            return self._make_fence(word, funct3)
        return self._make_illegal(word)

    def _make_illegal(self, word: int) -> Step:
        def step(_pc: int) -> int:
            raise Trap(2, word)

        return step

    def _make_jump(self, rd: int, rs1: int | None, offset: int) -> Step:
        x = self.x

        def step(pc: int) -> int:
            target = (pc + offset if rs1 is None else x[rs1] + offset & ~1) & M
            if target & 3:
                raise Trap(0, target)
            x[rd] = pc + 4 & M
            return target

        return step

    def _make_fence(self, word: int, funct3: int) -> Step:
        if funct3 == 1:
            return lambda pc: (self._code.clear(), pc + 4)[1]
        # funct3 5 flushes the data cache of VexRiscv; this machine has none
        return (lambda pc: pc + 4) if funct3 in (0, 5) else self._make_illegal(word)

    def _make_register(self, word: int, funct3: int, funct7: int) -> Step:
        operation = REGISTER_OPS.get((funct7, funct3))
        if operation is None:
            return self._make_illegal(word)
        x, rd, rs1, rs2 = self.x, word >> 7 & 31 or 32, word >> 15 & 31, word >> 20 & 31

        def step(pc: int) -> int:
            x[rd] = operation(x[rs1], x[rs2]) & M
            return pc + 4

        return step

    def _make_immediate(self, word: int, funct3: int, funct7: int) -> Step:
        shift = funct3 in (1, 5)
        operation = REGISTER_OPS.get((funct7 if shift else 0, funct3))
        if operation is None or (shift and funct7 not in (0, 0x20)):
            return self._make_illegal(word)
        x, rd, rs1 = self.x, word >> 7 & 31 or 32, word >> 15 & 31
        immediate = word >> 20 & 31 if shift else signed(word) >> 20 & M

        def step(pc: int) -> int:
            x[rd] = operation(x[rs1], immediate) & M
            return pc + 4

        return step

    def _make_load(self, word: int, funct3: int, _funct7: int) -> Step:
        if funct3 not in (0, 1, 2, 4, 5):
            return self._make_illegal(word)
        x, rd, rs1, offset = self.x, word >> 7 & 31 or 32, word >> 15 & 31, signed(word) >> 20
        size, load = 1 << (funct3 & 3), self.load
        sign = 0 if funct3 & 4 else 1 << (8 * size - 1)

        def step(pc: int) -> int:
            value = load(x[rs1] + offset & M, size)
            x[rd] = (value ^ sign) - sign & M
            return pc + 4

        return step

    def _make_store(self, word: int, funct3: int, _funct7: int) -> Step:
        if funct3 > 2:
            return self._make_illegal(word)
        x, rs1, rs2 = self.x, word >> 15 & 31, word >> 20 & 31
        offset, size, store = signed(word) >> 25 << 5 | word >> 7 & 31, 1 << funct3, self.store

        def step(pc: int) -> int:
            store(x[rs1] + offset & M, size, x[rs2])
            return pc + 4

        return step

    def _make_branch(self, word: int, funct3: int, _funct7: int) -> Step:
        taken = BRANCHES.get(funct3)
        if taken is None:
            return self._make_illegal(word)
        x, rs1, rs2 = self.x, word >> 15 & 31, word >> 20 & 31
        offset = signed(word & 0x8000_0000) >> 19 | (word << 4 & 0x800) | word >> 20 & 0x7E0 | word >> 7 & 0x1E

        def step(pc: int) -> int:
            if not taken(x[rs1], x[rs2]):
                return pc + 4
            target = pc + offset & M
            if target & 3:
                raise Trap(0, target)
            return target

        return step

    def _make_custom(self, word: int, funct3: int, funct7: int) -> Step:
        x, rd, rs1, rs2 = self.x, word >> 7 & 31 or 32, word >> 15 & 31, word >> 20 & 31
        function, csr = funct7 << 3 | funct3, self.csr

        def step(pc: int) -> int:
            if not csr[CUSTOM_ENABLE] >> 31:
                raise Trap(2, word)
            x[rd] = self.cfu(function, x[rs1], x[rs2]) & M
            self.custom += 1
            return pc + 4

        return step

    def _make_system(self, word: int, funct3: int, _funct7: int) -> Step:
        x, rd, rs1 = self.x, word >> 7 & 31 or 32, word >> 15 & 31
        if funct3 == 4:
            return self._make_illegal(word)
        if funct3:

            def access(pc: int) -> int:
                x[rd] = self._access_csr(word, rs1 if funct3 & 4 else x[rs1])
                return pc + 4

            return access
        if word == 0x3020_0073:
            return self._return
        if word == 0x1050_0073:
            return lambda pc: pc + 4  # wfi may end at once
        if word in (0x0000_0073, 0x0010_0073):

            def call(pc: int) -> int:
                if word >> 20 == 0:
                    raise Trap(11, 0)
                raise Trap(3, pc) if self.breakpoints else Trap(2, word)

            return call
        return self._make_illegal(word)

    def _return(self, _pc: int) -> int:
        status = self.csr[MSTATUS]
        self.csr[MSTATUS] = 0x1880 | (status >> 4 & 8)
        return self.csr[MEPC]
