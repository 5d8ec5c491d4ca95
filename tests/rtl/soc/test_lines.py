"""The same program on the SoC with VexRiscv, once over serial lines, once through the simulator's byte mode."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from hil.verilate import build_soc, vexriscv_netlist

HERE = Path(__file__).resolve().parent
CLOCK_HZ = 1_152_000  # ten cycles a bit at 115,200 baud, so that few cycles carry many bytes


@pytest.mark.parametrize(
    "memories",
    [{"Simd": 1}, pytest.param({"RamLatency": 1, "RomWait": 1, "CfuRegister": 1, "Lanes": 2}, marks=pytest.mark.slow)],
    ids=["as simulated", "as on an FPGA"],
)
def test_byte_mode_says_what_the_lines_say(compile_program, simulate, tmp_path, memories):
    """Start-up text and answers to 200 random bytes are equal (seed 23); what the info block says differs by design.

    So memories with registered reads, and registers around the SIMD unit, do what the others do.
    """
    rom = compile_program("smoke")
    rng = random.Random(23)
    inward = bytes(rng.randrange(256) for _ in range(200))

    simulator = simulate(build_soc().path, rom)
    simulator.restart()
    text = simulator.read_until(b"ready\n")
    simulator.console.write(inward)
    by_bytes = text + simulator.console.read(len(inward))

    run_cocotb(
        HERE / "tb_lines.py",
        top="soc_top",
        sources=[*read_file_list(ROOT / "rtl" / "soc" / "soc.f"), vexriscv_netlist()],
        parameters={"ClockHz": CLOCK_HZ, **memories},
        env={
            "DIVISOR": str(CLOCK_HZ // 115_200),
            "COUNT": str(len(text)),
            "BYTES_IN": inward.hex(),
            "BYTES_OUT": str(tmp_path / "said"),
        },
        plusargs=[f"+boot_rom={rom}"],
        build_args=["-Wno-fatal"],
    )
    by_lines = (tmp_path / "said").read_bytes()

    def comparable(said: bytes) -> list[bytes]:
        lines = said.split(b"\n", 16)
        assert lines[1].startswith(b"info ")
        assert all(line.startswith(b"info ") for line in (lines[2], lines[5], lines[6]))
        return [line for i, line in enumerate(lines) if i not in (1, 2, 5, 6)]

    assert comparable(by_lines) == comparable(by_bytes)
    assert by_bytes.endswith(bytes((byte + 1) % 256 for byte in inward))
