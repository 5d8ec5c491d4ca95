"""cocotb side of :mod:`hil.harness.bf_sim`: the simulation runs its script by itself, this waits for its end."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge


@cocotb.test()  # type: ignore[untyped-decorator]
async def script(dut: Any) -> None:
    """The whole script has been carried out."""
    await RisingEdge(dut.done_o)
