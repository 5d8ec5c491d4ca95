"""The accelerator as it goes onto an ECP5, through the pins of its host."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb

RTL = ROOT / "rtl" / "bitfusion"
HERE = Path(__file__).parent


@pytest.mark.slow
def test_a_program_through_four_pins() -> None:
    run_cocotb(
        HERE / "array_cocotb.py",
        top="array_bench",
        sources=[
            *read_file_list(RTL / "bf.f"),
            RTL / "fpga" / "axi_ram.sv",
            RTL / "fpga" / "ecp5_array.sv",
            HERE / "array_bench.sv",
            HERE / "array_bench.vlt",
        ],
        public=False,
    )
