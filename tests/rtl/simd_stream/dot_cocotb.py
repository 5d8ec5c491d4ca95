"""Runs stream_dot_bench.sv to its end: no product and no sum differs."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

# Sum over pairs and signs of elements x 2^(a + w), and 20,000 random steps for each of the 32 modes.
PRODUCTS = sum(
    2 * (32 // w if w > 1 else 16 if a > 1 else 32) * 2 ** (a + w) for a in (8, 4, 2, 1) for w in (8, 4, 2, 1)
)


@cocotb.test()
async def every_product_is_right(dut) -> None:
    dut.rst_ni.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await ClockCycles(dut.clk_i, 3)
    dut.rst_ni.value = 1
    await RisingEdge(dut.done_o)
    assert int(dut.checked_o.value) == PRODUCTS + 32 * 20_000
    assert int(dut.mismatches_o.value) == 0
