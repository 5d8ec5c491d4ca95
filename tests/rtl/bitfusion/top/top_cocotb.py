"""The whole accelerator on cocotbext-axi: chains of runs, channels stalled; control_bench.sv checks the AXI rules."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from tests.rtl.bitfusion.control.control_cocotb import BASE, bench
from tests.rtl.bitfusion.control.programs import MACHINE
from tests.rtl.bitfusion.top.programs import Chain


@cocotb.test()
async def chains(dut: Any) -> None:
    """Six programs one after the other without reset; seeds 1..6."""
    tb = await bench(dut)
    for seed in range(1, 7):
        chain = Chain(seed, MACHINE, 4)
        tb.ram.write(BASE, chain.memory.tobytes())
        await tb.start(chain.program, len(chain.code), size=len(chain.memory))
        assert await tb.finish() == (None, len(chain.code) - 1), seed
        got = np.frombuffer(tb.ram.read(BASE, len(chain.memory)), np.uint8)
        assert np.array_equal(got, chain.after()), seed
