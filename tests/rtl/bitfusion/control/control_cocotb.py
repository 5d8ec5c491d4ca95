"""bf_top with the stand-in datapath, driven and answered by cocotbext-axi; control_bench.sv checks the AXI rules."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from mico.codegen.bitfusion.isa import Buffer, Engine, Instruction, LoadReg, Mode, RunReg, encode
from mico.codegen.bitfusion.model import Code
from tests.rtl.bitfusion.control.programs import MACHINE, PROGRAM, RESULTS, WINDOW, RandomProgram, prelude

STALLS = os.environ.get("STALLS") == "1"
BASE = 0x3_0000
CONFIG = 0x10


class Bench:
    def __init__(self, dut: Any) -> None:
        self.dut = dut
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=1 << 20)
        if STALLS:
            ram, seed = self.ram, itertools.count(1)
            writes, reads = ram.write_if, ram.read_if
            for channel in (
                *(writes.aw_channel, writes.w_channel, writes.b_channel, reads.ar_channel, reads.r_channel),
                *(self.registers.write_if.b_channel, self.registers.read_if.r_channel),
            ):
                channel.set_pause_generator(self._pauses(next(seed)))

    @staticmethod
    def _pauses(seed: int) -> Iterator[bool]:
        rng = random.Random(seed)
        while True:
            busy = rng.random() < 0.5
            yield from (rng.random() < (0.8 if busy else 0.2) for _ in range(rng.randrange(1, 30)))

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    async def read(self, offset: int) -> int:
        return int(await self.registers.read_dword(offset))

    async def start(self, program: int, count: int, *, limit: int = 0, base: int = BASE, size: int = WINDOW) -> None:
        for number, value in enumerate((base, size, program, count, limit)):
            await self.registers.write_dword(CONFIG + 4 * number, value)
        await self.registers.write_dword(4, 1)

    async def finish(self) -> tuple[Code | None, int]:
        for _ in range(20_000):
            await ClockCycles(self.dut.clk, 10)
            if not int(self.dut.busy.value):
                break
        else:
            raise AssertionError(f"still busy, BLOCKED {await self.read(0xC):#x}")
        status = await self.read(8)
        assert status & 7 in (2, 4), f"STATUS {status:#x}"
        return (Code(status >> 8 & 0xFF) if status & 4 else None), status >> 16

    async def run(self, code: Sequence[Instruction], **options: int) -> tuple[Code | None, int]:
        self.ram.write(BASE + PROGRAM, encode(code))
        await self.start(PROGRAM, len(code), **options)
        return await self.finish()

    def buffer(self, buffer: Buffer) -> Any:
        return getattr(self.dut.u_top.u_exec, buffer.name.lower())


async def bench(dut: Any) -> Bench:
    made = Bench(dut)
    await made.reset()
    return made


@cocotb.test()
async def registers(dut: Any) -> None:
    """Identity, configuration, strobes; SLVERR for what is not there or cannot be written."""
    tb = await bench(dut)
    assert await tb.read(0) == 0x4D42_4601
    expected = [4, 4, 64, 4096, 4096, 4096, 16, 16, 1]
    assert [await tb.read(0x30 + 4 * i) for i in range(9)] == expected
    for i in range(5):
        await tb.registers.write_dword(CONFIG + 4 * i, 0x0102_0304 * (i + 1))
    await tb.registers.write(CONFIG + 1, b"\xaa")
    assert await tb.read(CONFIG) == 0x0102_AA04
    assert [await tb.read(CONFIG + 4 * i) for i in range(1, 5)] == [0x0102_0304 * i for i in range(2, 6)]
    for offset in (0x24, 0x28, 0x54, 0xE0, 0x104, 0xFFC, 0x2000, 0xFFFC):
        assert (await tb.registers.read(offset, 4)).resp == AxiResp.SLVERR, hex(offset)
    for offset in (0, 8, 0xC, 0x30, 0x80, 0x100, 0x1000, 0x2000):
        assert (await tb.registers.write(offset, b"1234")).resp == AxiResp.SLVERR, hex(offset)
    assert await tb.read(8) == 0


@cocotb.test()
async def random_programs(dut: Any) -> None:
    """Loads of every shape, runs, semaphores, marks, one program after the other without reset; seeds 1.."""
    tb = await bench(dut)
    for seed in range(1, 6 if STALLS else 16):
        program = RandomProgram(seed)
        tb.ram.write(BASE, program.memory.tobytes())
        await tb.start(PROGRAM, len(program.code))
        assert await tb.finish() == (None, len(program.code) - 1), seed
        assert np.array_equal(np.frombuffer(tb.ram.read(BASE, WINDOW), np.uint8), program.after), seed
        for buffer, expected in program.buffers.items():
            handle = tb.buffer(buffer)
            for beat in np.flatnonzero(program.touched[buffer])[:: 7 if seed > 2 else 1]:
                got = int(handle[int(beat)].value).to_bytes(MACHINE.beat, "little")
                assert got == expected[beat].tobytes(), (seed, buffer, beat)
        assert await tb.read(0x100) == len(program.marks)
        assert [await tb.read(0x1000 + 16 * i) for i in range(len(program.marks))] == program.marks
        fetched = await tb.read(0x80 + 4 * 5) - program.beats
        assert len(program.code) <= fetched <= len(program.code) + 1, seed  # 64 bits are an instruction
        assert await tb.read(0x80 + 4 * 7) == len(program.code)


def _run_with(**registers: int) -> list[Instruction]:
    return [
        *prelude(),
        *(Instruction.setx(RunReg[name], value) for name, value in registers.items()),
        Instruction.run(RESULTS),
    ]


def _load_with(buffer: Buffer = Buffer.IBUF, offset: int = 0, **registers: int) -> list[Instruction]:
    values = {"ROWS": 1, "BEATS": 1, **registers}
    return [
        *(Instruction.setl(LoadReg[name], value) for name, value in values.items()),
        Instruction.load(buffer, offset),
    ]


def _illegal() -> dict[str, tuple[Code, list[Instruction]]]:
    """Programs whose last instruction is to blame (index None below stands for that)."""
    field, vector = Code.FIELD, Mode(vector=0).encode()  # type: ignore[arg-type]
    cases: dict[str, tuple[Code, list[Instruction]]] = {
        "opcode 0": (Code.OPCODE, [Instruction(0)]),
        "opcode 0x22": (Code.OPCODE, [Instruction.fence(), Instruction(0x22)]),
        "wait 8": (field, [Instruction.wait(Engine.LOAD, 8)]),
        "signal 15": (field, [Instruction.signal(Engine.EXEC, 15)]),
        "load register 5": (field, [Instruction(0x10, 5)]),
        "exec register 34": (field, [Instruction(0x20, 34)]),
        "buffer 3": (field, [Instruction(0x11, 0xF3)]),
        "load signals 8": (field, [Instruction(0x11, 0x80)]),
        "run signals 9": (field, [Instruction(0x21, 0x9F)]),
        "rows 0": (field, _load_with(ROWS=0)),
        "beats 65536": (field, _load_with(BEATS=65536)),
        "load unaligned": (Code.MEMORY, _load_with(offset=4)),
        "stride unaligned": (Code.MEMORY, _load_with(ROWS=2, MSTRIDE=12)),
        "load behind the window": (Code.MEMORY, _load_with(offset=WINDOW - 8, BEATS=2)),
        "last row behind the window": (Code.MEMORY, _load_with(ROWS=3, MSTRIDE=WINDOW // 2)),
        "row beyond 4 GiB": (Code.MEMORY, _load_with(ROWS=3, MSTRIDE=0x8000_0000)),
        "WBUF": (Code.BUFFER, _load_with(Buffer.WBUF, BEATS=2, DST=4096 // 8 - 1)),
        "PBUF": (Code.BUFFER, _load_with(Buffer.PBUF, ROWS=2, DSTRIDE=16 * 6)),
        "WBUF row beyond 32 bits": (Code.BUFFER, _load_with(Buffer.WBUF, ROWS=2, DST=1, DSTRIDE=0xFFFF_FFFF)),
        "no register set": (field, [Instruction.run(0)]),
        "NOCT above PatchDepth": (field, _run_with(NOCT=2, NCH=17)),
        "pooling wide outputs": (field, _run_with(PX=2, MODE=Mode(out_bits=32).encode())),
        "PO 3": (field, _run_with(PO=3, NOCT=3)),
        "PO 2 of 3": (field, _run_with(PO=2, NOCT=3)),
        "66 octets in twos": (field, _run_with(PO=2, NOCT=66)),
        "OLAST 0": (field, _run_with(OLAST=0)),
        "OLAST 5": (field, _run_with(OLAST=5)),
        "half a byte of outputs": (field, _run_with(MODE=Mode(out_bits=1).encode())),
        "vector SEG": (field, _run_with(MODE=vector, SEG=3)),
        "vector NCH": (field, _run_with(MODE=vector, SEG=4, NCH=2)),
        "vector operation 3": (field, _run_with(MODE=vector | 3 << 11, SEG=4)),
        "vector without EMIT": (field, _run_with(MODE=vector & ~(1 << 14), SEG=4)),
        "overflow by load": (Code.SEMAPHORE, [Instruction.signal(Engine.LOAD, 3)] * 256),
        "overflow by exec": (Code.SEMAPHORE, [Instruction.signal(Engine.EXEC, 3)] * 256),
        "257 marks": (Code.MARKS, [Instruction.mark(1)] * 257),
        "both wait": (Code.DEADLOCK, [Instruction.wait(Engine.EXEC, 1)]),
        "queue full of waits": (Code.DEADLOCK, [Instruction.wait(Engine.LOAD, 1)]),
        "END behind a wait": (Code.DEADLOCK, [Instruction.wait(Engine.LOAD, 1)]),
    }  # fmt: skip
    for name in ("SEG", "J", "K", "PX", "PY", "OX", "OY", "B", "NCH", "NOCT"):
        cases[f"{name} 0"] = (field, _run_with(**{name: 0}))
        cases[f"{name} 65537"] = (field, _run_with(**{name: 65537}))
    return cases


@cocotb.test()
async def errors(dut: Any) -> None:
    """Each kind of error with its code and the index of its instruction; a good program runs after each."""
    tb = await bench(dut)
    good = RandomProgram(1, length=6)
    for number, (name, (code, program)) in enumerate(_illegal().items()):
        behind = [Instruction.end()]
        if name == "queue full of waits":
            behind = [*[Instruction.setl(LoadReg.ROWS, 1)] * 20, Instruction.signal(Engine.EXEC, 1), Instruction.end()]
        tb.ram.write(BASE, good.memory.tobytes())
        assert await tb.run([*program, *behind]) == (code, len(program) - 1), name
        assert np.array_equal(np.frombuffer(tb.ram.read(BASE, PROGRAM), np.uint8), good.memory[:PROGRAM]), name
        if number % 8 == 0:
            tb.ram.write(BASE, good.memory.tobytes())
            await tb.start(PROGRAM, len(good.code))
            assert await tb.finish() == (None, len(good.code) - 1), name
            assert np.array_equal(np.frombuffer(tb.ram.read(BASE, WINDOW), np.uint8), good.after), name


@cocotb.test()
async def windows(dut: Any) -> None:
    """Windows and programs that do not fit end in MEMORY before anything is read; a program without END in NO_END."""
    tb = await bench(dut)
    end = encode([Instruction.end()] * 4)
    tb.ram.write(BASE + PROGRAM, end)
    for options in (
        {"program": WINDOW - 8, "count": 2},
        {"program": PROGRAM + 4, "count": 1},
        {"program": PROGRAM, "count": 1 << 29},
        {"program": PROGRAM, "count": 0xFFFF_FFFF},
        {"program": PROGRAM, "count": 1, "base": BASE + 4},
        {"program": 0, "count": 1, "base": 0xFFFF_FFF8, "size": 16},
    ):
        await tb.start(**options)
        assert await tb.finish() == (Code.MEMORY, 0), options
        assert await tb.read(0x80 + 4 * 5) == 0
    await tb.start(PROGRAM, 0)
    assert await tb.finish() == (Code.NO_END, 0)
    program = [*prelude(), Instruction.run(RESULTS)]
    assert await tb.run(program) == (Code.NO_END, len(program))
    await tb.start(WINDOW - 8, 1)
    tb.ram.write(BASE + WINDOW - 8, end[:8])
    assert await tb.finish() == (None, 0)


@cocotb.test()
async def outside_writes(dut: Any) -> None:
    """A run whose results leave the window ends in MEMORY, and the bench sees no write outside."""
    tb = await bench(dut)
    program = [*_run_with(OX=9, OY=3, OSTEP_Y=8)[:-1], Instruction.run(WINDOW - 16), Instruction.end()]
    assert await tb.run(program) == (Code.MEMORY, len(program) - 2)


@cocotb.test()
async def limit_and_abort(dut: Any) -> None:
    """A run of 65535 cycles ends at the limit or when aborted, with BLOCKED as it was; then a good program."""
    tb = await bench(dut)
    program = [*_run_with(OX=65535), Instruction.wait(Engine.LOAD, 5), Instruction.fence(), Instruction.end()]
    assert await tb.run(program, limit=2000) == (Code.LIMIT, len(program) - 2)
    assert await tb.read(0x80) in (2000, 2001)
    assert await tb.read(0xC) == 5 | 1 << 4 | 7 << 16
    tb.ram.write(BASE + PROGRAM, encode(program))
    await tb.start(PROGRAM, len(program))
    await ClockCycles(dut.clk, 500)
    assert await tb.read(8) == 1
    assert (await tb.registers.write(CONFIG, b"1234")).resp == AxiResp.SLVERR
    await tb.registers.write_dword(4, 1)  # ignored
    await tb.registers.write_dword(4, 2)
    assert await tb.finish() == (Code.LIMIT, len(program) - 2)
    good = [*_run_with(OX=3), Instruction.end()]
    assert await tb.run(good) == (None, len(good) - 1)
    await RisingEdge(dut.clk)
