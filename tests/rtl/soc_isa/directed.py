"""Directed programs: every instruction of RV32IM on edge and random operands, CSRs, traps, interrupts."""

from __future__ import annotations

import random
from collections.abc import Iterator

__all__ = ["IMMEDIATE", "LOADS", "REGISTER", "STORES", "arithmetic", "branches", "memory"]

REGISTER = [
    "add",
    "sub",
    "sll",
    "slt",
    "sltu",
    "xor",
    "srl",
    "sra",
    "or",
    "and",
    "mul",
    "mulh",
    "mulhsu",
    "mulhu",
    "div",
    "divu",
    "rem",
    "remu",
]
IMMEDIATE = ["addi", "slti", "sltiu", "xori", "ori", "andi"]
SHIFTS = ["slli", "srli", "srai"]
LOADS = {"lb": 1, "lbu": 1, "lh": 2, "lhu": 2, "lw": 4}
STORES = {"sb": 1, "sh": 2, "sw": 4}
BRANCHES = ["beq", "bne", "blt", "bge", "bltu", "bgeu"]
EDGES = [0, 1, 2, 0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0x80000001, 31, 32, 0xFFFF, 0x10000, 0x55555555]
IMMEDIATES = [0, 1, -1, 2, -2, 2047, -2048, 31, 32, 0x555, -0x556]


def _word(rng: random.Random) -> int:
    return rng.choice(EDGES) if rng.random() < 0.4 else rng.getrandbits(32)


def _pairs(rng: random.Random, count: int) -> Iterator[tuple[int, int]]:
    """The pairs of division's special cases, then pairs of edges and random words."""
    yield from [(0x80000000, 0xFFFFFFFF), (0x80000000, 0), (5, 0), (0, 0), (0x80000000, 0x80000000), (7, 0xFFFFFFFE)]
    for _ in range(count):
        yield _word(rng), _word(rng)


class Body:
    """Text of a program that leaves results behind ``sp``, and what they are.

    x2 is the place of the next result, x4 belongs to trap handlers; all other registers are drawn.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.labels: list[str] = []
        self._at = 0

    def registers(self, count: int) -> list[int]:
        return self.rng.sample([r for r in range(1, 32) if r not in (2, 4)], count)

    def add(self, *lines: str) -> None:
        self.lines += [f"    {line}" for line in lines]

    def keep(self, register: int, label: str) -> None:
        """Store a register as a result."""
        if self._at == 2044:
            self.add("addi x2, x2, 2044")
            self._at = 0
        self.add(f"sw x{register}, {self._at}(x2)")
        self._at += 4
        self.labels.append(label)

    def text(self, extra: str = "") -> str:
        """The program: results are dumped, then it is done."""
        return "\n".join(
            [
                "    .globl main\n    .text\nmain:\n    la x2, results",
                *self.lines,
                "    la a1, results\n    la a2, results_end\n    call dump\n    j done",
                extra,
                f"    .bss\n    .align 5\nresults: .space {4 * len(self.labels)}\nresults_end:",
                "scratch: .space 256",
            ]
        )


def arithmetic(seed: int) -> Body:
    """All register, immediate, lui and auipc instructions; x0 and equal registers included."""
    rng = random.Random(seed)
    body = Body(rng)
    for name in REGISTER:
        for a, b in _pairs(rng, 10):
            rd, rs1, rs2 = body.registers(3)
            shape = rng.randrange(6)
            if shape == 1:
                rd = rs1
            elif shape == 2:
                rd = rs2
            elif shape == 3 and a == b:
                rs2 = rs1
            body.add(f"li x{rs1}, {a:#x}", f"li x{rs2}, {b:#x}", f"{name} x{rd}, x{rs1}, x{rs2}")
            body.keep(rd, f"{name} {a:#x}, {b:#x}")
        rs1, rs2 = body.registers(2)
        body.add(f"li x{rs1}, {_word(rng):#x}", f"{name} x0, x{rs1}, x{rs2}", f"{name} x{rs2}, x0, x{rs1}")
        body.keep(0, f"{name} to x0")
        body.keep(rs2, f"{name} of x0")
    for name in [*IMMEDIATE, *SHIFTS]:
        choices = [0, 1, 15, 30, 31] if name in SHIFTS else IMMEDIATES
        for immediate in choices:
            rd, rs1 = body.registers(2)
            rd = rs1 if rng.random() < 0.3 else rd
            a = _word(rng)
            body.add(f"li x{rs1}, {a:#x}", f"{name} x{rd}, x{rs1}, {immediate}")
            body.keep(rd, f"{name} {a:#x}, {immediate}")
    for value in (0, 1, 0x7FFFF, 0x80000, 0xFFFFF, rng.getrandbits(20)):
        (rd,) = body.registers(1)
        body.add(f"lui x{rd}, {value:#x}")
        body.keep(rd, f"lui {value:#x}")
        body.add(f"auipc x{rd}, {value:#x}")
        body.keep(rd, f"auipc {value:#x}")
    return body


def memory(seed: int) -> Body:
    """All loads and stores at every aligned offset, signed values, positive and negative displacements."""
    rng = random.Random(seed)
    body = Body(rng)
    for _ in range(8):
        base, value = body.registers(2)
        body.add(f"la x{base}, scratch + 64")
        for name, size in STORES.items():
            for _ in range(3):
                offset = rng.randrange(-64, 64, size)
                body.add(f"li x{value}, {_word(rng):#x}", f"{name} x{value}, {offset}(x{base})")
        for name, size in LOADS.items():
            for _ in range(3):
                offset = rng.randrange(-64, 64, size)
                rd = base if rng.random() < 0.15 else value
                body.add(f"{name} x{rd}, {offset}(x{base})")
                body.keep(rd, f"{name} at {offset}")
                if rd == base:
                    body.add(f"la x{base}, scratch + 64")
    base, value = body.registers(2)
    body.add(f"la x{base}, scratch + 192", f"li x{value}, {_word(rng):#x}", f"sw x{value}, 0(x{base})")
    body.add(f"lhu x{value}, 2(x{base})", f"sb x{value}, 1(x{base})", f"lw x{value}, 0(x{base})")
    body.keep(value, "load of a word stored in parts")
    return body


def branches(seed: int) -> Body:
    """Every branch both ways, forwards and backwards, on edge operands; jumps with link; jalr's lowest bit."""
    rng = random.Random(seed)
    body = Body(rng)
    number = 0
    for name in BRANCHES:
        for a, b in [*_pairs(rng, 8), (3, 3), (0xFFFFFFFF, 0xFFFFFFFF)]:
            rs1, rs2, rd = body.registers(3)
            number += 1
            body.add(f"li x{rs1}, {a:#x}", f"li x{rs2}, {b:#x}", f"li x{rd}, 1")
            if rng.random() < 0.5:
                body.add(f"{name} x{rs1}, x{rs2}, 1f", f"li x{rd}, 2", "1:")
            else:
                body.add("j 2f", f"1: addi x{rd}, x{rd}, 4", "j 3f", f"2: {name} x{rs1}, x{rs2}, 1b")
                body.add(f"addi x{rd}, x{rd}, 8", "3:")
            body.keep(rd, f"{name} {a:#x}, {b:#x}")
    for _ in range(8):
        link, target, rd = body.registers(3)
        body.add(f"li x{rd}, 0", f"la x{target}, 1f + {rng.randrange(2)} - 64")
        body.add(f"jalr x{link}, 64(x{target})", f"li x{rd}, 1", f"1: jal x{target}, 2f", f"li x{rd}, 2", "2:")
        body.keep(rd, "jumped over")
        body.keep(link, "jalr's link")
        body.keep(target, "jal's link")
        body.add(f"la x{link}, 3f", f"jalr x{link}, 0(x{link})", "nop", "3:")
        body.keep(link, "jalr with rd = rs1")
    return body
