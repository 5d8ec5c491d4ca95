"""The public MLPerf Tiny runner's device class, unchanged, against our firmware on the simulated SoC:
``make test-mlperf RUNNER=DIR``, a checkout of mlcommons/tiny or its ``benchmark/runner``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.targets.soc_sim import SocSim
from tests.hil.targets.programs import inputs, picture

VARIABLE = "MLPERF_RUNNER"
MODEL = picture()


def find_runner() -> Path | None:
    """Folder with device_under_test.py; None where the variable names none."""
    given = Path(os.environ.get(VARIABLE) or "/nonexistent")
    folders = (given, given / "benchmark" / "runner")
    return next((folder for folder in folders if (folder / "device_under_test.py").is_file()), None)


pytestmark = pytest.mark.skipif(
    find_runner() is None, reason=f"make test-mlperf RUNNER=DIR ({VARIABLE}): no checkout of mlcommons/tiny is given"
)


@pytest.fixture(scope="module")
def dut_class() -> Iterator[Any]:
    """DUT of the runner's device_under_test.py."""
    folder = str(find_runner())
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("device_under_test").DUT
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def dut(dut_class: Any) -> Iterator[Any]:
    """The runner on the console of a SoC that runs a small convolution."""
    with SocSim(timeout_s=60.0) as target:
        target.flash(target.build(MODEL))
        port = target.port.url
        target.port.close()  # the runner opens it for itself
        with dut_class(port, 115200) as device:
            yield device


def words(answer: str | list[str]) -> list[str]:
    return [answer] if isinstance(answer, str) else answer


def test_it_learns_name_profile_and_model(dut: Any):
    assert dut.get_name() == "MICO"
    assert dut.get_profile() == "ULPMark for tinyML Firmware V0.0.1"
    assert dut.get_model() == "picture"
    assert words(dut.get_help())[-1] == "m-ready"


def test_timestamps_count_microseconds_of_the_device(dut: Any):
    stamps = []
    for _ in range(2):
        (line, ready) = dut.timestamp()
        assert ready == "m-ready"
        stamps.append(int(re.fullmatch(r"m-lap-us-(\d+)", line).group(1)))
    assert stamps[0] < stamps[1]


def test_it_loads_an_input_in_pieces_and_reads_the_results(dut: Any):
    """Seed 4: three inputs of 90 bytes; results are the logits of the integer model."""
    for x in inputs(MODEL, 3, 4):
        data = np.ascontiguousarray(x.transpose(1, 2, 0)).tobytes()
        assert words(dut.load(data)) == ["m-load-done", "m-ready"]
        lines = dut.infer(2, 1)
        assert lines[0] == "m-warmup-start-1"
        assert lines[-1] == "m-ready"
        laps = [int(found.group(1)) for line in lines if (found := re.fullmatch(r"m-lap-us-(\d+)", line))]
        assert len(laps) == 2
        assert laps[0] < laps[1]
        (results,) = [found.group(1) for line in lines if (found := re.fullmatch(r"m-results-\[(.*)\]", line))]
        expected = MODEL.run(x[None]).reshape(2, 6, 5).transpose(1, 2, 0).ravel()  # the device's order: channel last
        assert [float(value) for value in results.split(",")] == expected.astype(float).tolist()


def test_an_error_leaves_it_ready(dut: Any):
    assert words(dut._port.send_command("db 00")) == ["e-[No bytes expected: db load N first]", "m-ready"]
    assert dut._port.send_command("name") == ["m-name-dut-[MICO]", "m-ready"]
