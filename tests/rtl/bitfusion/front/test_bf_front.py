"""The input side of BitFusion: IBUF, gather, patch FIFO."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb

HERE = Path(__file__).resolve().parent
RTL = ROOT / "rtl" / "bitfusion"
SOURCES = [
    RTL / "bf_pkg.sv",
    RTL / "array" / "bf_loop.sv",
    *read_file_list(RTL / "gather" / "bf_front.f"),
    HERE / "bf_front_bench.sv",
]


CASES = [
    pytest.param(3, 32, 256, 16, 2, id="3-rows"),
    pytest.param(16, 256, 4096, 64, 3, id="16-rows", marks=pytest.mark.slow),
    pytest.param(4, 128, 1024, 16, 1, id="4-rows", marks=pytest.mark.slow),
    pytest.param(8, 64, 2048, 32, 4, id="8-rows", marks=pytest.mark.slow),
    pytest.param(5, 128, 1024, 64, 5, id="5-rows", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("rows", "bus", "ibuf", "depth", "seed"), CASES)
def test_any_runs_give_the_models_chunks_in_time_in_both_builds(
    rows: int, bus: int, ibuf: int, depth: int, seed: int
) -> None:
    """Contents with and without stalls, cycles, semaphores, stop: the cases of ``front_cocotb.py``."""
    sizes = {"Rows": rows, "BusBits": bus, "IbufBytes": ibuf, "PatchDepth": depth}
    passed = run_cocotb(
        HERE / "front_cocotb.py",
        top="bf_front_bench",
        sources=SOURCES,
        parameters=sizes,
        env={"BENCH": json.dumps({**sizes, "seed": seed, "batches": int(os.environ.get("BITFUSION_BATCHES", "12"))})},
        seed=seed,
    )
    assert len(passed) == 5
