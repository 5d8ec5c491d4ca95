"""Programs for machine mode: CSR instructions, every exception, interrupts. A handler logs what it is entered with."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.rtl.soc_isa.directed import LOADS, STORES, Body
from tests.rtl.soc_isa.iss import MASKS
from tests.rtl.soc_isa.operations import BRANCHES, REGISTER_OPS

__all__ = ["HANDLER", "csrs", "exceptions", "illegal_words", "interrupts", "with_log"]

# tp -> {t0, t1, place of the next entry, where to go on after a trap outside the program, counts of interrupts}.
# An exception is logged as mcause, mepc and mtval (0 for ecall, where VexRiscv leaves the
# instruction), and the instruction behind it is next; a device that interrupts
# is silenced and its interrupt counted.
HANDLER = """
    .align 2
handler:
    sw t0, 0(tp)
    sw t1, 4(tp)
    csrr t0, mcause
    bltz t0, 3f
    lw t1, 8(tp)
    sw t0, 0(t1)
    addi t0, t0, -11
    beqz t0, 0f
    csrr t0, mtval
0:  sw t0, 8(t1)
    csrr t0, mepc
    sw t0, 4(t1)
    addi t1, t1, 12
    sw t1, 8(tp)
    la t1, ram_begin
    bltu t0, t1, 1f
    la t1, ram_end
    bltu t0, t1, 2f
1:  lw t0, 12(tp)
    addi t0, t0, -4
2:  addi t0, t0, 4
    csrw mepc, t0
    j 9f
3:  andi t0, t0, 15
    slli t0, t0, 2
    add t0, t0, tp
    lw t1, 16(t0)
    addi t1, t1, 1
    sw t1, 16(t0)
    csrr t0, mcause
    andi t0, t0, 15
    li t1, 7
    bne t0, t1, 4f
    li t0, 0xF0002000
    li t1, -1
    sw t1, 12(t0)
    j 9f
4:  li t1, 3
    bne t0, t1, 5f
    li t0, 0xF0002000
    sw zero, 16(t0)
    j 9f
5:  li t0, FAULT_CLEAR
    sw zero, 0(t0)
9:  lw t0, 0(tp)
    lw t1, 4(tp)
    mret
"""


def with_log(body: Body, fault_clear: int) -> str:
    """Text of the program: the handler is installed first, its log is part of the results."""
    entry = ["    la tp, area", "    la x5, log", "    sw x5, 8(tp)", "    la x5, handler", "    csrw mtvec, x5"]
    body.lines[:0] = entry
    dump_log = "    .bss\n    .align 2\narea: .space 96\nlog: .space 4096\n"
    text = body.text(f"    .equ FAULT_CLEAR, {fault_clear:#x}\n{HANDLER}\n{dump_log}")
    return text.replace("    j done", "    la a1, log\n    lw a2, 8(tp)\n    call dump\n    j done", 1)


def _free(body: Body, count: int) -> list[int]:
    """Registers that the handler's own (t0, t1) are not among: it restores them, but they say nothing new."""
    return body.registers(count)


def csrs(seed: int) -> Body:
    """All six CSR instructions on every writable CSR, x0 as source and destination; read-only ones; the counters."""
    rng = random.Random(seed)
    body = Body(rng)
    body.add(*(f"csrw {number:#x}, x0" for number in (0x340, 0x341, 0x342, 0x343)))  # they have no reset value
    names = {0x300: "mstatus", 0x304: "mie", 0x340: "mscratch", 0x341: "mepc", 0x343: "mtval", 0x342: "mcause"}
    for number, name in names.items():
        for instruction in ("csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci") * 2:
            rd, rs1, rs2 = _free(body, 3)
            value = rng.choice([0, 0xFFFFFFFF, rng.getrandbits(32), rng.getrandbits(32)])
            if name == "mstatus":
                value = value & ~8 | 0x1800  # no interrupts here, and MPP can only be machine mode
            elif name == "mepc":
                value &= ~3
            rd = rng.choice([rd, rd, rs1, 0])
            immediate = rng.choice([0, 1, 16, 4 if name == "mepc" else 23])
            if name == "mstatus":
                immediate = immediate & ~8
            if instruction in ("csrrw", "csrrwi") and name in ("mstatus", "mepc") and instruction.endswith("i"):
                immediate = 0
            source = immediate if instruction.endswith("i") else f"x{rng.choice([rs1, rs1, rs1, 0])}"
            if name == "mstatus" and instruction in ("csrrc", "csrrwi", "csrrw"):
                source = f"x{rs1}" if not instruction.endswith("i") else source
                value = value & ~0x1800 if instruction == "csrrc" else value
            body.add(
                f"li x{rs1}, {value:#x}", f"{instruction} x{rd}, {number:#x}, {source}", f"csrr x{rs2}, {number:#x}"
            )
            body.keep(rd, f"{instruction} {name}, {source} before")
            body.keep(rs2, f"{instruction} {name}, {source} after")
        body.add(f"li x5, {MASKS[number] & 0x1800:#x}", f"csrw {number:#x}, x5")
    for number in (0xF11, 0xF12, 0xF13, 0xF14):
        rd, rs1 = _free(body, 2)
        body.add(f"csrr x{rd}, {number:#x}", f"csrrsi x{rs1}, {number:#x}, 0")
        body.keep(rd, f"identity {number:#x}")
        body.keep(rs1, f"identity {number:#x} by csrrsi")
    for low, high in ((0xB00, 0xB80), (0xB02, 0xB82), (0xC00, 0xC80), (0xC02, 0xC82)):
        a, b, c = _free(body, 3)
        body.add(f"csrr x{a}, {low:#x}", "nop", f"csrr x{b}, {low:#x}", f"csrr x{c}, {high:#x}")
        body.add(f"sltu x{a}, x{a}, x{b}")
        body.keep(a, f"counter {low:#x} goes up")
        body.keep(c, f"counter {high:#x}")
    a, b = _free(body, 2)
    body.add(f"csrr x{a}, minstret", *["nop"] * 7, f"csrr x{b}, minstret", f"sub x{a}, x{b}, x{a}")
    body.keep(a, "instructions between two reads of minstret")
    return body


def exceptions(seed: int, tolerated: Callable[[int], bool]) -> Body:
    """ecall, ebreak, misaligned loads, stores and jumps, illegal instructions and CSRs, fetches from nowhere.

    Words for which *tolerated* is true are left out: the core runs them as something else.
    """
    rng = random.Random(seed)
    body = Body(rng)
    for _ in range(2):
        a, b, c = _free(body, 3)
        body.add("ecall", f"li x{a}, 5", "ebreak", f"addi x{a}, x{a}, 1")
        body.keep(a, "went on behind ecall and ebreak")
        for name, size in [*LOADS.items(), *STORES.items()]:
            for offset in range(1, size):
                body.add(f"li x{b}, {rng.getrandbits(32):#x}", f"la x{c}, scratch", f"{name} x{b}, {offset}(x{c})")
                body.keep(b, f"{name} at {offset} leaves rd")
                body.add(f"{name} x{b}, {3 * size}(x{c})", f"addi x{b}, x{b}, 1")
        body.add(f"la x{c}, scratch", f"lw x{b}, 0(x{c})", f"lw x{c}, 4(x{c})")
        body.keep(b, "misaligned stores leave the memory")
        body.keep(c, "misaligned stores leave the memory")
    for shift in (2, 3):
        a, b = _free(body, 2)
        body.add(f"la x{a}, main + {shift}", f"li x{b}, 7", f"jalr x{b}, 0(x{a})")
        body.keep(b, "jalr to a misaligned target leaves rd")
    for name in ("beq", "bne", "blt", "bge", "bltu", "bgeu"):
        for a_value, b_value in ((0, 0), (1, 2), (2, 1)):
            a, b = _free(body, 2)
            taken = (
                0x63 | b << 20 | a << 15 | {"beq": 0, "bne": 1, "blt": 4, "bge": 5, "bltu": 6, "bgeu": 7}[name] << 12
            )
            body.add(
                f"li x{a}, {a_value}", f"li x{b}, {b_value}", f".word {taken | 3 << 8:#x}  # {name} to pc + 6", "nop"
            )
            body.keep(a, f"{name} to a misaligned target")
    a, b = _free(body, 2)
    body.add(f"li x{a}, 9", f".word {0x6F | a << 7 | 3 << 21:#x}  # jal to pc + 6", "nop")
    body.keep(a, "jal to a misaligned target leaves rd")
    for word in illegal_words(rng):
        if not tolerated(word):
            body.add(f".word {word:#010x}")
    for word in (0x7C0, 0x123, 0x105, 0xC40, 0xFFF):
        body.add(f"csrr x5, {word:#x}")
    # csrrs and csrrc do not trap on VexRiscv, they write nothing
    for number in (0xC00, 0xF11, 0xF14, 0xC82):
        body.add(f"csrw {number:#x}, x5", f"csrrwi x0, {number:#x}, 0")
    a, b = _free(body, 2)
    # The instruction behind a write of 0xBC0 may still see the old value: it is decoded while the CSR is written
    body.add(f"li x{a}, 1 << 31", f"csrrc x0, 0xBC0, x{a}", "nop", "nop", ".insn r 0x0B, 4, 1, x6, x5, x7")
    body.add(f"csrrs x0, 0xBC0, x{a}", "li x5, 3", "li x7, 5", ".insn r 0x0B, 4, 1, x6, x5, x7")
    body.keep(6, "custom instruction when it is enabled again")
    for address in (0x2000_0000, 0x0000_4000, 0x7FFF_FFF0):
        a, b = _free(body, 2)
        body.add(f"la x{a}, 1f", f"sw x{a}, 12(tp)", f"li x{a}, {address:#x}", f"jalr x{b}, 0(x{a})", "1:")
        body.keep(b, f"link of a jump to {address:#x}")
    return body


def illegal_words(rng: random.Random) -> list[int]:
    """A word of every kind that RV32IM, Zicsr, Zifencei and the custom extension leave undefined."""
    fields = [rng.getrandbits(5) << 7 | rng.getrandbits(5) << 15 | rng.getrandbits(5) << 20 for _ in range(64)]
    words = [0, 0xFFFF_FFFF, 0x0000_0001, 0x0000_0002, 0x0000_4501]
    known = {0x03, 0x0B, 0x0F, 0x13, 0x17, 0x23, 0x33, 0x37, 0x63, 0x67, 0x6F, 0x73}
    words += [opcode | rng.getrandbits(25) << 7 for opcode in range(3, 128, 4) if opcode not in known]
    for funct7 in range(128):
        for funct3 in range(8):
            if (funct7, funct3) not in REGISTER_OPS and rng.random() < 0.1:
                words.append(0x33 | funct3 << 12 | funct7 << 25 | rng.choice(fields))
    words += [0x13 | 1 << 12 | funct7 << 25 | rng.choice(fields) for funct7 in (1, 2, 0x20, 0x40)]
    words += [0x13 | 5 << 12 | funct7 << 25 | rng.choice(fields) for funct7 in (1, 2, 0x40, 0x60)]
    words += [0x03 | funct3 << 12 | rng.choice(fields) for funct3 in (3, 6, 7)]
    words += [0x23 | funct3 << 12 | rng.choice(fields) for funct3 in (3, 4, 5, 6, 7)]
    words += [0x63 | funct3 << 12 | rng.choice(fields) for funct3 in range(8) if funct3 not in BRANCHES]
    words += [0x67 | funct3 << 12 | rng.choice(fields) for funct3 in range(1, 8)]
    words += [0x0F | funct3 << 12 for funct3 in (2, 3, 4, 6, 7)]
    words += [0x73 | 4 << 12 | rng.choice(fields), 0x1020_0073, 0x0020_0073, 0x1200_0073, 0x7B20_0073, 0x0030_0073]
    return words


def interrupts(seed: int) -> Body:
    """Timer, software and external interrupt: taken when enabled, and only then; priority; wfi."""
    rng = random.Random(seed)
    body = Body(rng)
    count = {3: 16 + 12, 7: 16 + 28, 11: 16 + 44}
    body.add("li x8, 0xF0002000", "li x9, 0x888", "csrw mie, x9")
    for enable, number, raise_it in [
        (0x8, 3, ["li x10, 1", "sw x10, 16(x8)"]),
        (0x80, 7, ["lw x10, 0(x8)", "addi x10, x10, 20", "sw x10, 8(x8)", "sw zero, 12(x8)"]),
        (0x800, 11, ["li x10, 0x80000000", "lw x11, 0(x10)"]),
    ]:
        # Disabled as a whole, then in mie: nothing comes though it is pending
        body.add("csrci mstatus, 8", *raise_it, *["nop"] * 40, "csrr x12, mip", f"lw x13, {count[number]}(tp)")
        body.keep(12, f"mip with {number} pending")
        body.keep(13, f"interrupts {number} while MIE is 0")
        body.add(
            f"li x9, {enable:#x}", "csrc mie, x9", "csrsi mstatus, 8", *["nop"] * 8, f"lw x13, {count[number]}(tp)"
        )
        body.keep(13, f"interrupts {number} while mie masks it")
        body.add(
            "csrs mie, x9", f"1: lw x13, {count[number]}(tp)", "beqz x13, 1b", "csrr x14, mip", "csrr x15, mstatus"
        )
        body.add("andi x15, x15, 0x88")  # MPP is 0 behind mret on VexRiscv, which has no other mode than machine
        body.keep(13, f"interrupts {number}")
        body.keep(14, f"mip after {number}")
        body.keep(15, f"mstatus after {number}")
    # All three at once: external, software, timer
    body.add("csrci mstatus, 8", "la x5, order", "csrw mtvec, x5", "la x20, scratch")
    body.add("sw zero, 8(x8)", "sw zero, 12(x8)", "li x10, 1", "sw x10, 16(x8)", "li x10, 0x80000000", "lw x11, 0(x10)")
    body.add(*["nop"] * 20, "csrr x12, mip", "csrsi mstatus, 8", "1: la x13, scratch + 12", "bne x20, x13, 1b")
    body.keep(12, "mip with all pending")
    body.add("la x20, scratch", "lw x10, 0(x20)", "lw x11, 4(x20)", "lw x12, 8(x20)")
    for register, which in ((10, "first"), (11, "second"), (12, "third")):
        body.keep(register, f"{which} of three interrupts at once")
    # wfi wakes up, with interrupts enabled or not
    body.add("la x5, handler", "csrw mtvec, x5", "li x9, 0x80", "csrs mie, x9", "csrci mstatus, 8")
    body.add("lw x10, 0(x8)", "addi x10, x10, 300", "sw x10, 8(x8)", "sw zero, 12(x8)", "1: wfi", "csrr x11, mip")
    body.add("andi x11, x11, 0x80", "beqz x11, 1b")
    body.keep(11, "wfi ends with a timer interrupt pending")
    return body


INTERRUPT_HANDLERS = """
    .align 2
order:
    csrr x22, mcause
    sw x22, 0(x20)
    addi x20, x20, 4
    andi x22, x22, 15
    li x23, 11
    bne x22, x23, 1f
    li x22, FAULT_CLEAR
    sw zero, 0(x22)
    mret
1:  li x23, 3
    bne x22, x23, 2f
    sw zero, 16(x8)
    mret
2:  li x22, -1
    sw x22, 12(x8)
    mret
"""
