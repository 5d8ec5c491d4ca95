"""The fuzzers, for a few seconds: they run, and find nothing. ``make fuzz`` runs them for ten minutes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.firmware.fuzz import run as fuzz

pytestmark = pytest.mark.skipif(fuzz.find_clang() is None, reason=f"no clang with libFuzzer: {fuzz.CURE}")


def test_a_few_seconds_find_nothing(tmp_path: Path):
    """libFuzzer's seed 1: whole frames and commands get through to the code behind them (edges)."""
    for name, (code, said) in fuzz.run(5, tmp_path).items():
        assert code == 0, said[-3000:]
        executed = re.search(r"number_of_executed_units: (\d+)", said)
        assert executed is not None, said[-1000:]
        assert int(executed.group(1)) > 300
        edges = int(re.findall(r"cov: (\d+)", said)[-1])
        assert edges > {"loader": 80, "console": 120}[name]


def test_a_loader_that_does_not_check_lengths_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One comparison less in a copy of loader.c: within seconds something is written behind the RAM."""
    source = (fuzz.ROOT / "firmware/boot/loader.c").read_text()
    broken = source.replace("length <= loader->ram_bytes - offset", "length < 0xFFFF0000u")
    assert broken != source
    (tmp_path / "loader.c").write_text(broken)
    monkeypatch.setattr(fuzz, "FLAGS", (*fuzz.FLAGS, "-Ifirmware/boot"))
    sources = [str(tmp_path / "loader.c") if path.endswith("/loader.c") else path for path in fuzz.FUZZERS["loader"]]
    monkeypatch.setattr(fuzz, "FUZZERS", {"loader": sources})
    code, said = fuzz.run(30, tmp_path)["loader"]
    assert code != 0
    assert "AddressSanitizer: heap-buffer-overflow" in said
