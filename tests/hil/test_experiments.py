"""The experiments run to their end on a tiny network and write what they promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil import experiments
from hil.experiments.common import sampling_error, span
from hil.experiments.curves import done
from hil.experiments.shapes import interval
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


def test_span_names_the_least_and_the_greatest_of_several_seeds() -> None:
    assert span([0.5, 0.125, 0.75]) == "0.50 (0.12 to 0.75)"
    assert span([0.001, 0.002, 0.004], 1, 100) == "0.2 (0.1 to 0.4)"
    assert span([0.5, 0.501]) == span([0.5]) == "0.50"


def test_sampling_error_is_that_of_drawn_images() -> None:
    """Of 4,000 draws, seed 0: the spread of the accuracies that 500 images give."""
    drawn = np.random.default_rng(0).binomial(500, 0.9, size=4000) / 500
    assert sampling_error(0.9, 500) == pytest.approx(drawn.std(), rel=0.05)


def test_interval_is_over_shapes_and_not_over_their_layers() -> None:
    """Layers of one shape err alike: a hundred of each say no more than one of each; seed 0."""
    each = np.random.default_rng(0).uniform(size=30)
    once = interval(each, [str(i) for i in range(30)])
    often = interval(np.repeat(each, 100), [str(i) for i in range(30) for _ in range(100)])
    assert often == pytest.approx(once)
    assert once[0] < each.mean() < once[1]
    error = each.std() / np.sqrt(30)
    assert once[1] - once[0] == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_search_is_done_once_it_is_within_a_tenth_of_a_point() -> None:
    """0.9898 - 0.9888 is a little over 0.001 in floating point, and counts."""
    assert done([(1.0, 1.0), (2.5, 0.9898 - 0.9886), (3.5, 0.9898 - 0.9888), (4.5, 0.0)]) == 3.5
    assert done([(1.0, 1.0), (2.0, 0.0012)]) == float("inf")
