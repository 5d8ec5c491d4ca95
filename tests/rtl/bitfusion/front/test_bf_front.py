"""The input side of BitFusion: IBUF, gather, patch FIFO. Seeds are the numbers in the names of the cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hil.harness.runner import ROOT, run_cocotb

HERE = Path(__file__).resolve().parent
RTL = ROOT / "rtl" / "bitfusion"
SOURCES = [
    RTL / name
    for name in (
        "bf_pkg.sv",
        "gather/bf_gather_pkg.sv",
        "array/bf_loop.sv",
        "buffers/bf_ibuf.sv",
        "gather/bf_rotate.sv",
        "gather/bf_align.sv",
        "gather/bf_pixels.sv",
        "gather/bf_segments.sv",
        "gather/bf_pieces.sv",
        "gather/bf_packer.sv",
        "gather/bf_patch_fifo.sv",
        "gather/bf_front.sv",
    )
] + [HERE / "bf_front_bench.sv"]


def run_front(testcase: str, *, rows: int, bus: int, ibuf: int, depth: int, seed: int, batches: int = 6) -> None:
    sizes = {"Rows": rows, "BusBits": bus, "IbufBytes": ibuf, "PatchDepth": depth}
    run_cocotb(
        HERE / "front_cocotb.py",
        top="bf_front_bench",
        sources=SOURCES,
        parameters=sizes,
        env={"BENCH": json.dumps({**sizes, "seed": seed, "batches": batches})},
        testcase=testcase,
        seed=seed,
    )


@pytest.mark.parametrize(
    ("rows", "bus", "ibuf", "depth", "seed"),
    [(4, 128, 1024, 16, 1), (16, 256, 4096, 64, 2), (8, 64, 2048, 32, 3), (3, 32, 256, 8, 4)],
)
def test_any_runs_in_any_order_with_stalls_give_the_models_chunks(
    rows: int, bus: int, ibuf: int, depth: int, seed: int
) -> None:
    run_front("random_runs_back_to_back", rows=rows, bus=bus, ibuf=ibuf, depth=depth, seed=seed)
