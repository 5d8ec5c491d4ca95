"""The experiments run to their end on a tiny network and write what they promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hil import experiments
from tests.hil.command import mico

__all__ = ["mico"]

FAST = ("tightness",)


def cases() -> list[Any]:
    slow = pytest.mark.slow
    return [pytest.param(name, marks=() if name in FAST else slow) for name in experiments.NAMES]


@pytest.mark.parametrize("name", cases())
def test_quick_run_writes_report_numbers_and_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mico: Any, name: str
) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    assert mico("experiment", name, "--quick", "--out", tmp_path, "--store", tmp_path / "s.sqlite") == 0
    folder = tmp_path / f"{name}-quick"
    assert mico.stdout.strip() == str(folder / "report.md")
    report, data = (folder / "report.md").read_text(), json.loads((folder / "result.json").read_text())
    assert report.startswith(f"# {experiments.experiment(name).TITLE}\n")
    assert "Quick run" in report
    assert f"mico experiment {name} --seeds 1 --quick" in report
    assert (data["experiment"], data["seeds"], data["quick"]) == (name, [0], True)
    assert set(data["versions"]) >= {"python", "torch", "commit"}
    assert len(data) > 7  # figures, beside how it was made
    shown = re.findall(r"\]\(([\w-]+\.png)\)", report)
    assert shown
    assert sorted(shown) == sorted(path.name for path in folder.glob("*.png"))
    assert all((folder / name).stat().st_size > 10_000 for name in shown)


def test_list_names_every_experiment(mico: Any) -> None:
    assert mico("experiment") == 0
    assert [line.split()[0] for line in mico.stdout.splitlines()] == list(experiments.NAMES)


def test_unknown_experiment_is_a_usage_error(mico: Any) -> None:
    assert mico("experiment", "none") == 2
    assert "no experiment 'none'" in mico.stderr
