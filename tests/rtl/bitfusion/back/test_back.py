"""Back end of the BitFusion accelerator: issue, array, accumulators, post-processing, store unit.

Every bench holds the functional and the timing build and stops where their handshakes differ in any cycle; with
*structural* also that build, whose writes must be the functional's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.codegen.bitfusion.machine import Machine

HERE = Path(__file__).resolve().parent
RTL = ROOT / "rtl"

SMALL = Machine(rows=4, cols=4, bus_bits=128, wbuf_bytes=2048, obuf_bytes=512, ibuf_bytes=2048, param_depth=16)
ODD = Machine(rows=3, cols=5, bus_bits=64, wbuf_bytes=960, obuf_bytes=320, ibuf_bytes=2048, param_depth=16)
WIDE = Machine(rows=4, cols=16, bus_bits=64, wbuf_bytes=4096, obuf_bytes=1024, ibuf_bytes=2048, param_depth=16)
FULL = Machine(obuf_bytes=4096)


def run_bench(machine: Machine, *, structural: bool, runs: int, seed: int = 1) -> None:
    common = [RTL / "common" / name for name in ("fifo.sv", "bit_brick.sv", "fusion_unit.sv")]
    sources = [*common, RTL / "bitfusion" / "bf_pkg.sv", *read_file_list(RTL / "bitfusion" / "bf_back.f")]
    run_cocotb(
        HERE / "back_cocotb.py",
        top="back_bench",
        build_args=("-CFLAGS", "-O0"),  # short runs: compiling is what takes time
        sources=[*sources, HERE / "back_bench.sv"],
        parameters={
            "Rows": machine.rows, "Cols": machine.cols, "BusBits": machine.bus_bits, "WbufBytes": machine.wbuf_bytes,
            "ObufBytes": machine.obuf_bytes, "ParamDepth": machine.param_depth, "Builds": 3 if structural else 2,
        },
        env={
            "MACHINE": " ".join(f"{name}={value}" for name, value in machine.parameters().items()),
            "RUNS": str(runs), "SEED": str(seed),
        },
    )  # fmt: skip


def test_all_builds_of_a_4x4_array() -> None:
    run_bench(SMALL, structural=True, runs=40)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [ODD, WIDE], ids=["3x5", "4x16"])
def test_sizes_that_divide_nothing_and_vectors_wider_than_the_bus(machine: Machine) -> None:
    run_bench(machine, structural=machine is ODD, runs=300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_runs_on_a_4x4_array() -> None:
    run_bench(SMALL, structural=True, runs=1000, seed=2)


@pytest.mark.slow
def test_the_full_array() -> None:
    run_bench(FULL, structural=False, runs=60)
