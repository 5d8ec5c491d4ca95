"""Back end of the BitFusion accelerator: issue, array, accumulators, post-processing, store unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.codegen.bitfusion.machine import Machine

HERE = Path(__file__).resolve().parent
RTL = ROOT / "rtl"
STRUCTURAL, FUNCTIONAL, TIMING = 0, 1, 2

SMALL = Machine(rows=4, cols=4, bus_bits=128, wbuf_bytes=2048, obuf_bytes=512, ibuf_bytes=2048, param_depth=16)
ODD = Machine(rows=3, cols=5, bus_bits=64, wbuf_bytes=960, obuf_bytes=320, ibuf_bytes=2048, param_depth=16)
WIDE = Machine(rows=4, cols=16, bus_bits=64, wbuf_bytes=4096, obuf_bytes=1024, ibuf_bytes=2048, param_depth=16)
FULL = Machine(obuf_bytes=1024)


def run_bench(machine: Machine, build_a: int, build_b: int, *, runs: int, seed: int = 1, testcase: str | None = None) -> None:
    common = [RTL / "common" / name for name in ("fifo.sv", "bit_brick.sv", "fusion_unit.sv")]
    sources = [*common, RTL / "bitfusion" / "bf_pkg.sv"]
    sources += [*read_file_list(RTL / "bitfusion" / "bf_back.f"), HERE / "back_bench.sv"]
    run_cocotb(
        HERE / "back_cocotb.py",
        top="back_bench",
        sources=sources,
        parameters={
            "Rows": machine.rows, "Cols": machine.cols, "BusBits": machine.bus_bits, "WbufBytes": machine.wbuf_bytes,
            "ObufBytes": machine.obuf_bytes, "ParamDepth": machine.param_depth, "BuildA": build_a, "BuildB": build_b,
        },
        env={
            "MACHINE": " ".join(f"{name}={value}" for name, value in machine.parameters().items()),
            "RUNS": str(runs), "SEED": str(seed), "DATA": str(int(build_a != TIMING)),
        },
        testcase=testcase,
    )  # fmt: skip


@pytest.mark.parametrize("builds", [(STRUCTURAL, FUNCTIONAL), (FUNCTIONAL, TIMING)], ids=["structural", "timing"])
@pytest.mark.parametrize("machine", [SMALL, ODD, WIDE], ids=["4x4", "3x5", "4x16"])
def test_random_runs(machine: Machine, builds: tuple[int, int]) -> None:
    run_bench(machine, *builds, runs=40)
