"""Runs simd_bench over a file of vectors: all of them are compared and none differs.

``VECTOR_COUNT`` holds the number of records in the file of ``+vectors``.
"""

from __future__ import annotations

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

from hil.harness.simd_model import decode


@cocotb.test()
async def every_result_is_the_models(dut) -> None:
    count = int(os.environ["VECTOR_COUNT"])
    dut.rst_ni.value = 0
    Clock(dut.clk_i, 10, unit="ns").start()
    await ClockCycles(dut.clk_i, 2)
    dut.rst_ni.value = 1
    await with_timeout(RisingEdge(dut.done_o), 10 * (count + 100), "ns")

    mismatches = int(dut.mismatches_o.value)
    record = int(dut.first_record_o.value)
    function_id, rs1, rs2, expected = (record >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0))
    assert mismatches == 0, (
        f"{mismatches} of {count} differ; first is record {int(dut.first_o.value)}: {decode(function_id)} "
        f"id={function_id:#05x} rs1={rs1:#010x} rs2={rs2:#010x} gave {int(dut.first_result_o.value):#010x}, "
        f"expected {expected:#010x}"
    )
    assert int(dut.checked_o.value) == count
