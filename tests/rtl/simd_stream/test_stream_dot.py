"""The lanes' dot product: every product of every element, exhaustively; sums at random and at the extremes."""

from __future__ import annotations

from pathlib import Path

from hil.harness.runner import ROOT, run_cocotb

HERE = Path(__file__).resolve().parent
RTL = ROOT / "rtl" / "simd" / "stream"


def test_every_product_of_every_pair_sign_and_element_and_random_sums() -> None:
    run_cocotb(
        HERE / "dot_cocotb.py",
        top="stream_dot_bench",
        sources=[RTL / "stream_pkg.sv", RTL / "stream_dot.sv", HERE / "stream_dot_bench.sv"],
        env={"MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include"},
    )
