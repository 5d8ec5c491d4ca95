"""The handshake of simd_unit: one response a command, stalled or not; in its cycle, or with Pipeline in the third."""

from __future__ import annotations

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from hil.harness.simd_model import dot, encodings

COMMANDS = 1000
FUNCTION_IDS = [encoding.function_id for encoding in encodings()]


async def run(dut, command_idle: float, response_stall: float) -> None:
    """COMMANDS random commands with idle cycles between them and stalled responses, each with that probability."""
    rng = random.Random(20)
    Clock(dut.clk_i, 10, unit="ns").start()
    dut.rst_ni.value = 0
    dut.cmd_valid_i.value = 0
    await RisingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    latency = 2 * int(dut.Pipeline.value)
    done = cycles = age = 0
    pending: tuple[int, int, int] | None = None
    while done < COMMANDS:
        await FallingEdge(dut.clk_i)
        if pending is None and rng.random() >= command_idle:
            pending = (rng.choice(FUNCTION_IDS), rng.getrandbits(32), rng.getrandbits(32))
            dut.cmd_function_id_i.value, dut.cmd_inputs_0_i.value, dut.cmd_inputs_1_i.value = pending
        ready = rng.random() >= response_stall
        dut.cmd_valid_i.value = int(pending is not None)
        dut.rsp_ready_i.value = int(ready)
        await ReadOnly()
        age = age + 1 if pending is not None else 0
        due = age > latency or latency == 0
        assert int(dut.cmd_ready_o.value) == int(ready and due)
        assert int(dut.rsp_valid_o.value) == int(pending is not None and due)
        if pending is not None and due:
            assert dut.rsp_outputs_0_o.value.to_signed() == dot(*pending)
            if ready:
                done, pending, age = done + 1, None, 0
        await RisingEdge(dut.clk_i)
        cycles += 1
        assert cycles < 100 * COMMANDS, "commands do not get through"


@cocotb.test()
async def back_to_back(dut) -> None:
    await run(dut, command_idle=0, response_stall=0)


@cocotb.test()
async def stalled_responses(dut) -> None:
    await run(dut, command_idle=0, response_stall=0.7)


@cocotb.test()
async def idle_and_stalled(dut) -> None:
    await run(dut, command_idle=0.5, response_stall=0.3)
