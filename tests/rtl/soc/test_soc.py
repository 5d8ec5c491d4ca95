"""The SoC without a core, in Verilator: its core's pins are moved by a bus-level model of VexiiRiscv."""

from __future__ import annotations

import random
from pathlib import Path

from hil.harness.runner import ROOT, read_file_list, run_cocotb

HERE = Path(__file__).resolve().parent


def test_soc_around_its_core(tmp_path):
    """Every cocotb test of tb_soc.py passes, on a boot ROM of random words (seed 17)."""
    rng = random.Random(17)
    boot_rom = tmp_path / "rom.hex"
    boot_rom.write_text("@0\n" + "\n".join(f"{rng.getrandbits(32):08X}" for _ in range(4096)) + "\n")
    sources = [*read_file_list(ROOT / "rtl" / "soc" / "soc.f"), HERE / "vexii_pins.sv", HERE / "soc_bench.sv"]
    passed = run_cocotb(
        HERE / "tb_soc.py",
        top="soc_bench",
        sources=sources,
        env={"BOOT_ROM": str(boot_rom)},
        plusargs=[f"+boot_rom={boot_rom}"],
        build_args=["-Wno-PINMISSING"],
    )
    assert len(passed) == 16, [result.name for result in passed]
