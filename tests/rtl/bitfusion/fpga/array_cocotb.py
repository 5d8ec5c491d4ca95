"""A host at the pins of ecp5_array: writes a program and its data, runs it, reads back what it left."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from mico.codegen.bitfusion.machine import Machine
from tests.rtl.bitfusion.top.programs import RESULTS, Chain

MACHINE = Machine(
    rows=4, cols=4, bus_bits=64, ibuf_bytes=2048, wbuf_bytes=2048, obuf_bytes=512, patch_depth=16, param_depth=16
)
REG_READ, REG_WRITE, MEM_READ, MEM_WRITE = range(4)
CTRL, STATUS, MEM_BASE, MEM_BYTES, PROGRAM, INSTRUCTIONS = 0x4, 0x8, 0x10, 0x14, 0x18, 0x1C
OKAY, SLVERR = 0, 2


async def send(dut: Any, command: int, address: int, data: int = 0) -> tuple[int, int]:
    """Send a frame; response and data of the one before."""
    dut.frame.value = data | address << 32 | command << 48
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    await FallingEdge(dut.done)
    await RisingEdge(dut.done)
    answer = int(dut.answer.value)
    assert answer & 1, "the frame before was not carried out"
    return answer >> 1 & 3, answer >> 3


async def ask(dut: Any, command: int, address: int, data: int = 0) -> tuple[int, int]:
    """Send a frame; its own response and data."""
    await send(dut, command, address, data)
    return await send(dut, REG_READ, STATUS)


@cocotb.test()
async def program(dut: Any) -> None:
    """Seed 3: three runs and their loads give what the model gives."""
    dut.rst_n.value = 0
    dut.start.value = 0
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    await ClockCycles(dut.clk, 4)
    dut.rst_n.value = 1
    await ClockCycles(dut.clk, 4)
    dut.frame.value = STATUS << 32
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    await FallingEdge(dut.done)
    await RisingEdge(dut.done)

    assert await ask(dut, REG_READ, 0) == (OKAY, 0x4D42_4601)
    assert (await ask(dut, REG_READ, 0xF00))[0] == SLVERR
    assert (await ask(dut, REG_WRITE, 0))[0] == SLVERR
    chain = Chain(3, MACHINE, 3)
    assert len(chain.memory) <= 64 * 1024
    for number, word in enumerate(chain.memory.view(np.uint32)):
        await send(dut, MEM_WRITE, number, int(word))
    for register, value in (
        (MEM_BASE, 0),
        (MEM_BYTES, len(chain.memory)),
        (PROGRAM, chain.program),
        (INSTRUCTIONS, len(chain.code)),
        (CTRL, 1),
    ):
        assert (await ask(dut, REG_WRITE, register, value))[0] == OKAY
    if int(dut.busy.value):
        await FallingEdge(dut.busy)
    status = (await ask(dut, REG_READ, STATUS))[1]
    assert status & 7 == 2, hex(status)
    found = []
    await send(dut, MEM_READ, 0)
    for number in range(1, RESULTS // 4 + 1):
        found.append((await send(dut, MEM_READ, number))[1])
    expected = chain.after()[:RESULTS]
    assert not np.array_equal(expected, chain.memory[:RESULTS])
    assert np.array_equal(np.array(found, np.uint32).view(np.uint8), expected)
