"""cocotb: the whole SoC with VexRiscv, its console on the serial lines, bit by bit. Run by test_lines.py."""

from __future__ import annotations

import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from hil.harness.serial_line import SerialSender, receive_bytes

PERIOD_NS = 10


@cocotb.test()
async def program_talks_over_the_lines(dut):
    """What the program sends, and what it answers to BYTES_IN, is written to BYTES_OUT for the caller to compare."""
    divisor, count = int(os.environ["DIVISOR"]), int(os.environ["COUNT"])
    inward = bytes.fromhex(os.environ["BYTES_IN"])
    dut.uart_rx_i.value = 1
    dut.gpio_i.value = 0
    dut.byte_rx_valid_i.value = 0
    dut.rst_ni.value = 0
    cocotb.start_soon(Clock(dut.clk_i, PERIOD_NS, "ns").start())
    await ClockCycles(dut.clk_i, 4)
    dut.rst_ni.value = 1
    said = await receive_bytes(dut.uart_tx_o, divisor * PERIOD_NS, count)
    listener = cocotb.start_soon(receive_bytes(dut.uart_tx_o, divisor * PERIOD_NS, len(inward)))
    line = SerialSender(dut.uart_rx_i, divisor * PERIOD_NS)
    for byte in inward:
        await line.send(byte)
    said += await listener
    Path(os.environ["BYTES_OUT"]).write_bytes(bytes(said))
