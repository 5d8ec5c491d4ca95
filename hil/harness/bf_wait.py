"""cocotb side of :mod:`hil.harness.bf_sim`: the simulation runs its script by itself, this waits for its end."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def script(dut: Any) -> None:
    """The whole script has been carried out."""
    tick = 0
    while not int(dut.done_o.value):
        tick ^= 1
        dut.tick_i.value = tick
        await Timer(1, "ns")
