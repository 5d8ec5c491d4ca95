"""Random programs around custom instructions: loads, stores, branches, loops, traps and timer interrupts on all sides.

A program runs a random body many times over, on memory and registers that change from round to round, and prints
after each round a hash of all registers, its memory and the traps it took. Timer interrupts come at random times; their
handler leaves no trace but a count of what went wrong in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hil.harness.simd_model import FUNCTION_IDS, encodings

__all__ = ["Generator", "Mix", "custom", "random_program", "simd_operation"]

SCRATCH_WORDS = 64
# x3 scratch memory, x4 the handler's area, x30 loop counters, x31 the engine's memory
GENERAL = [r for r in range(1, 32) if r not in (3, 4, 30, 31)]
REGISTER_OPS = ["add", "sub", "xor", "or", "and", "sll", "srl", "sra", "slt", "sltu"]
MULTIPLY_OPS = ["mul", "mulh", "mulhsu", "mulhu", "div", "divu", "rem", "remu"]
IMMEDIATE_OPS = ["addi", "xori", "ori", "andi", "slti", "sltiu"]
BRANCHES = ["beq", "bne", "blt", "bge", "bltu", "bgeu"]
LOADS = {"lb": 1, "lbu": 1, "lh": 2, "lhu": 2, "lw": 4}
STORES = {"sb": 1, "sh": 2, "sw": 4}

MAIN = """
    .globl main
    .text
main:
    la x4, area
    la x3, scratch
    li x5, {rounds}
    sw x5, 8(x4)
    la x5, handler
    csrw mtvec, x5
    li x5, 0xF0002000
    lw x6, 0(x5)
    addi x6, x6, 500
    sw x6, 8(x5)
    sw zero, 12(x5)
    li x5, 0x80
    csrw mie, x5
    li x6, 0xF0004000
    li x7, 7
    sw x7, 0(x6)
    li x5, {interrupts}
    csrw mstatus, x5
{fill}
{setup}
round:
    # New words for the memory, x5 .. x9 used
    li x5, 64
    mv x6, x3
    li x7, 1664525
    li x9, 1013904223
1:  lw x8, 0(x6)
    mul x8, x8, x7
    add x8, x8, x9
    sw x8, 0(x6)
    addi x6, x6, 4
    addi x5, x5, -1
    bnez x5, 1b
"""

# All registers into the save area, then a hash over it, the scratch memory, the traps and what the engine wrote.
ROUND_END = """
    sw x1, 128(x4)
    la x1, save
{saves}
    lw x5, 128(x4)
    sw x5, 0(x1)
{wait}
    lw x10, 16(x4)
    li x11, 16777619
{hashes}
    sw x10, 16(x4)
    mv a0, x10
    call emit
    la x1, save
    lw x5, 8(x4)
    addi x5, x5, -1
    sw x5, 8(x4)
    beqz x5, 1f
{restores}
    lw x1, 0(x1)
    la x5, round
    jr x5
1:  csrci mstatus, 8
    li x6, 0xF0004000
    li x7, 3
    sw x7, 0(x6)
    lw a0, 16(x6)
    lw x7, 24(x4)
    li x8, {inside_ops}
    mul x7, x7, x8
    sub a0, a0, x7
    call emit
    lw a0, 20(x4)
    call emit
    lw a0, 24(x4)
    sltu a0, zero, a0
    call emit
    j done
"""

HASH = """
    la x6, {start}
    addi x7, x6, {bytes}
1:  lw x8, 0(x6)
    xor x10, x10, x8
    mul x10, x10, x11
    srli x8, x10, 15
    xor x10, x10, x8
    addi x6, x6, 4
    bltu x6, x7, 1b
"""

# area: 0 t0, 4 t1, 8 rounds left, 12 hash of traps, 16 hash, 20 errors of the handler, 24 interrupts, 28 its random
# number, 32 t2, 128 x1. An exception goes into the hash (mtval of ecall aside, which VexRiscv does not clear) and the
# instruction behind it is next; an interrupt sets the timer to a random time ahead.
HANDLER = """
    .align 2
handler:
    sw t0, 0(tp)
    sw t1, 4(tp)
    sw t2, 32(tp)
    csrr t0, mcause
    bltz t0, 1f
    lw t1, 12(tp)
    xor t1, t1, t0
    addi t2, t0, -11
    beqz t2, 3f
    csrr t0, mtval
    add t1, t1, t0
3:  csrr t0, mepc
    xor t1, t1, t0
    slli t2, t1, 5
    add t1, t1, t2
    sw t1, 12(tp)
    addi t0, t0, 4
    csrw mepc, t0
    j 2f
1:  lw t0, 24(tp)
    addi t0, t0, 1
    sw t0, 24(tp)
    lw t0, 28(tp)
    li t1, 1103515245
    mul t0, t0, t1
    li t1, 12345
    add t0, t0, t1
    sw t0, 28(tp)
    srli t0, t0, 16
    andi t0, t0, 0x3ff
    addi t0, t0, {pause}
    li t1, 0xF0002000
    lw t2, 0(t1)
    add t2, t2, t0
    sw t2, 8(t1)
{inside}
2:  lw t0, 0(tp)
    lw t1, 4(tp)
    lw t2, 32(tp)
    mret
"""

DATA = """
    .bss
    .align 5
area: .space 160
save: .space 128
    .align 5
scratch: .space 256
    .align 5
engine: .space 1024
"""


def custom(function: int, rd: int, rs1: int, rs2: int) -> str:
    """The custom-0 instruction with a function id ``{funct7, funct3}``."""
    return f".insn r 0x0B, {function & 7}, {function >> 3}, x{rd}, x{rs1}, x{rs2}"


@dataclass(frozen=True)
class Mix:
    """What a body is made of: relative weights.

    Attributes
    ----------
    custom
        Custom instructions, of which *custom_lines* says what they are.
    trap
        Illegal instructions, ecall, misaligned accesses, alone or against a custom instruction.
    """

    alu: int = 25
    multiply: int = 6
    custom: int = 30
    load: int = 10
    store: int = 12
    branch: int = 8
    loop: int = 3
    trap: int = 2
    reseed: int = 6


Operation = Callable[["Generator"], list[str]]


class Generator:
    """Draws the lines of a body; *operation* draws a custom operation, of one instruction or more."""

    def __init__(self, seed: int, operation: Operation, mix: Mix) -> None:
        self.rng = random.Random(seed)
        self.operation = operation
        self.mix = mix
        self._recent = GENERAL[0]
        self._label = 0

    def target(self) -> int:
        """A destination: any register, or x0 now and then."""
        self._recent = self.rng.choice(GENERAL)
        return 0 if self.rng.random() < 0.02 else self._recent

    def source(self) -> int:
        """A source: often what was just written."""
        return self._recent if self.rng.random() < 0.3 else self.rng.choice([0, *GENERAL])

    def body(self, count: int) -> list[str]:
        """About *count* instructions."""
        lines: list[str] = []
        while len(lines) < count:
            lines += self.piece(True)
        return lines

    def piece(self, loops: bool) -> list[str]:
        kinds = {name: weight for name, weight in vars(self.mix).items() if loops or name != "loop"}
        kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
        return list(getattr(self, f"_{kind}")())

    def _alu(self) -> list[str]:
        rng = self.rng
        sources = f"x{self.source()}, x{self.source()}"
        if rng.random() < 0.6:
            return [f"{rng.choice(REGISTER_OPS)} x{self.target()}, {sources}"]
        if rng.random() < 0.2:
            return [f"{rng.choice(['lui', 'auipc'])} x{self.target()}, {rng.getrandbits(20):#x}"]
        if rng.random() < 0.2:
            return [f"{rng.choice(['slli', 'srli', 'srai'])} x{self.target()}, x{self.source()}, {rng.randrange(32)}"]
        source = self.source()
        return [f"{rng.choice(IMMEDIATE_OPS)} x{self.target()}, x{source}, {rng.randrange(-2048, 2048)}"]

    def _multiply(self) -> list[str]:
        name = self.rng.choice(MULTIPLY_OPS if self.rng.random() < 0.3 else MULTIPLY_OPS[:4])
        sources = f"x{self.source()}, x{self.source()}"
        return [f"{name} x{self.target()}, {sources}"]

    def _custom(self) -> list[str]:
        return self.operation(self)

    def _load(self) -> list[str]:
        name, size = self.rng.choice(list(LOADS.items()))
        return [f"{name} x{self.target()}, {self.rng.randrange(0, 4 * SCRATCH_WORDS, size)}(x3)"]

    def _reseed(self) -> list[str]:
        return [f"lw x{self.target()}, {self.rng.randrange(0, 4 * SCRATCH_WORDS, 4)}(x3)"]

    def _store(self) -> list[str]:
        lines = []
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            name, size = self.rng.choice(list(STORES.items()))
            lines.append(f"{name} x{self.source()}, {self.rng.randrange(0, 4 * SCRATCH_WORDS, size)}(x3)")
        if self.rng.random() < 0.4:
            lines += self.operation(self)
        return lines

    def _branch(self) -> list[str]:
        self._label += 1
        label = f".Lb{self._label}"
        condition = f"{self.rng.choice(BRANCHES)} x{self.source()}, x{self.source()}, {label}"
        if self.rng.random() < 0.15:
            condition = f"jal x{self.target()}, {label}"
        elif self.rng.random() < 0.1:
            register = self.rng.choice(GENERAL)
            condition = f"la x{register}, {label}\n    jalr x{self.target()}, 0(x{register})"
        skipped = [line for _ in range(self.rng.randrange(1, 5)) for line in self.piece(False)]
        # A custom instruction right in the shadow of the branch: fetched, and not to be executed
        return [condition, *(self.operation(self) if self.rng.random() < 0.5 else []), *skipped, f"{label}:"]

    def _loop(self) -> list[str]:
        self._label += 1
        label = f".Ll{self._label}"
        start = f"andi x30, x{self.source()}, 7"
        inside = [line for _ in range(self.rng.randrange(1, 4)) for line in self.piece(False)]
        return [start, f"{label}:", *inside, "addi x30, x30, -1", f"bgez x30, {label}"]

    def _trap(self) -> list[str]:
        offset = self.rng.choice([1, 2, 3, 5, 7])
        line = self.rng.choice(
            [
                "ecall",
                ".word 0",
                f"lw x{self.target()}, {offset}(x3)",
                f"lh x{self.target()}, 3(x3)",
                f"sw x{self.source()}, {offset}(x3)",
                f"sh x{self.source()}, 1(x3)",
            ]
        )
        before = self.operation(self) if self.rng.random() < 0.5 else []
        behind = self.operation(self) if self.rng.random() < 0.8 else []
        return [*before, line, *behind]


SIMD_IDS = [encoding.function_id for encoding in encodings()]


def simd_operation(generator: Generator) -> list[str]:
    """A dot product; now and then a function id outside the tables of both versions, which answers 0."""
    function = generator.rng.choice(SIMD_IDS)
    if generator.rng.random() < 0.02:
        unused = set(range(FUNCTION_IDS)) - set(SIMD_IDS)
        function = generator.rng.choice([number for number in sorted(unused) if number >> 3 & 0xF])
    first, second = generator.source(), generator.source()
    return [custom(function, generator.target(), first, second)]


def random_program(
    generator: Generator,
    *,
    instructions: int,
    rounds: int,
    interrupts: bool = True,
    pause: int = 40,
    setup: str = "",
    wait: str = "",
    inside: str = "",
    inside_ops: int = 0,
) -> str:
    """Text of a program.

    Parameters
    ----------
    rounds
        How often the body runs. A word is printed for each, then how many custom instructions the unit has accepted
        (the handler's taken off), the handler's errors, and whether interrupts came.
    pause
        Cycles from an interrupt to the next: this and up to 1023 more.
    setup, wait, inside
        Text in front of the first round, in front of each hash, and inside the interrupt handler.
    inside_ops
        Custom instructions in *inside*.
    """
    body = generator.body(instructions)
    fill = [f"li x{r}, {generator.rng.getrandbits(32):#x}" for r in [30, 31, *GENERAL]]
    words = [f"li x5, {generator.rng.getrandbits(32):#x}\n    sw x5, {4 * i}(x3)" for i in range(SCRATCH_WORDS)]
    saved = [r for r in range(5, 32)] + [2]
    text = [
        MAIN.format(
            rounds=rounds,
            interrupts=0x1808 if interrupts else 0x1800,
            setup=setup,
            fill="\n".join(f"    {line}" for line in [*words, *fill]),
        ),
        *(line if line.endswith(":") else f"    {line}" for line in body),
        ROUND_END.format(
            saves="\n".join(f"    sw x{r}, {4 * r}(x1)" for r in saved),
            restores="\n".join(f"    lw x{r}, {4 * r}(x1)" for r in saved),
            wait=wait,
            inside_ops=inside_ops,
            hashes="".join(
                HASH.format(start=start, bytes=size)
                for start, size in (("save", 128), ("scratch", 256), ("area + 12", 4), ("engine", 1024))
            ),
        ),
        HANDLER.format(pause=pause, inside=inside),
        DATA,
    ]
    return "\n".join(text)
