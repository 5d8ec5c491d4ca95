"""The boot ROM on the SoC with VexRiscv, over serial lines bit by bit: the rate is changed by both sides, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from hil.toolchain import build_boot_rom
from hil.verilate import vexriscv_netlist

HERE = Path(__file__).resolve().parent
CLOCK_HZ = 1_152_000  # ten cycles a bit at 115,200 baud


@pytest.mark.parametrize(
    "name",
    [
        "an_image_goes_at_a_rate_that_was_agreed_upon",
        pytest.param("a_device_that_nobody_speaks_to_goes_back_to_115200_baud", marks=pytest.mark.slow),
    ],
)
def test_the_rate_of_the_lines_is_agreed_upon(name: str):
    results = run_cocotb(
        HERE / "tb_boot_lines.py",
        top="soc_top",
        sources=[*read_file_list(ROOT / "rtl" / "soc" / "soc.f"), vexriscv_netlist()],
        parameters={"ClockHz": CLOCK_HZ, "Simd": 1},
        env={"CLOCK_HZ": str(CLOCK_HZ)},
        plusargs=[f"+boot_rom={build_boot_rom()}"],
        build_args=["-Wno-fatal"],
        testcase=name,
    )
    assert [result.name for result in results] == [name]
