"""rtl/common in Verilator: FIFO, serial transmitter and receiver, RAM with wait states, arbiter."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.errors import MeasurementError

HERE = Path(__file__).resolve().parent


def test_common_parts_in_verilator():
    """Every cocotb test of tb_common.py passes; each names its seed there."""
    sources = [*read_file_list(ROOT / "rtl" / "common" / "common.f"), HERE / "common_bench.sv"]
    passed = {
        result.name.split("/")[0] for result in run_cocotb(HERE / "tb_common.py", top="common_bench", sources=sources)
    }
    assert {
        "fifo_equals_a_queue",
        "transmitter_sends_what_it_is_given",
        "receiver_tolerates_drift_and_jitter",
        "receiver_drops_glitches_and_broken_stop_bits",
        "ram_holds_what_is_written",
        "ram_ports_work_in_the_same_cycle",
        "arbiter_keeps_two_masters_apart",
    } <= {name.split("[")[0] for name in passed}, passed


def test_runner_reports_failed_and_absent_tests(tmp_path):
    """A failed cocotb test, and a module without tests, are errors that name the module; the build is reused."""
    sources = [*read_file_list(ROOT / "rtl" / "common" / "common.f"), HERE / "common_bench.sv"]
    failing = tmp_path / "tb_failing.py"
    failing.write_text("import cocotb\n\n@cocotb.test()\nasync def wrong(dut):\n    assert False, 'one is not two'\n")
    with pytest.raises(MeasurementError, match=r"tb_failing\.py: wrong: .*one is not two"):
        run_cocotb(failing, top="common_bench", sources=sources)
    empty = tmp_path / "tb_empty.py"
    empty.write_text("import cocotb\n")
    with pytest.raises(MeasurementError, match=r"tb_empty\.py"):
        run_cocotb(empty, top="common_bench", sources=sources)
