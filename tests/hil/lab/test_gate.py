"""`mico check`: what passes, what fails, what is an error, and what the reports say."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from hil.gate import Case, exit_code, judge
from tests.hil.lab.conftest import Mico

OK = {"name": "net 8x8", "status": "ok", "error": None, "cycles": 1000, "accuracy": 0.98}


def failed(status: str) -> dict[str, Any]:
    return {"name": "net 4x4", "status": status, "error": f"it was {status} | \x07", "cycles": None, "accuracy": None}


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "result.json"
    path.write_text(json.dumps({"measurements": rows}))
    return path


def test_limits_that_hold_pass_and_every_report_says_so(mico: Mico, tmp_path: Path) -> None:
    path = write(tmp_path, OK)
    assert mico("check", path, "--max-cycles", 1000, "--min-accuracy", 0.98) == 0
    suite = ET.parse(tmp_path / "check.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")
    assert {case.get("name") for case in suite.iter("testcase")} == {"measurement", "cycles", "accuracy"}
    assert json.loads((tmp_path / "check.json").read_text())["exit_code"] == 0
    assert (tmp_path / "check.md").read_text().startswith("### MiCo check: passed")


@pytest.mark.parametrize("limit", [("--max-cycles", 999), ("--min-accuracy", 0.981)])
def test_a_limit_that_is_exceeded_is_a_failure(mico: Mico, tmp_path: Path, limit: tuple[str, Any]) -> None:
    assert mico("check", write(tmp_path, OK), *limit) == 1
    suite = ET.parse(tmp_path / "check.xml").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    assert "**fail**" in (tmp_path / "check.md").read_text()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("wrong", 1, "failure"),
        ("device", 3, "error"),
        ("flash", 4, "error"),
        ("timeout", 5, "error"),
        ("protocol", 5, "error"),
        ("failed", 1, "error"),
    ],
)
def test_a_measurement_that_failed_is_never_a_number(
    mico: Mico, tmp_path: Path, status: str, code: int, kind: str
) -> None:
    assert mico("check", write(tmp_path, OK, failed(status)), "--max-cycles", 2000) == code
    (bad,) = [
        case for case in ET.parse(tmp_path / "check.xml").getroot().iter("testcase") if case.find(kind) is not None
    ]
    assert (bad.get("classname"), bad.get("name")) == ("net 4x4", "measurement")
    assert f"it was {status} \\|" in (tmp_path / "check.md").read_text()


def test_a_value_that_is_too_high_counts_more_than_a_rig_that_failed() -> None:
    cases = [Case("a", "ok", None, 10, None), Case("b", "device", "unplugged", None, None)]
    assert exit_code(judge(cases, max_cycles=9)) == 1
    assert exit_code(judge(cases, max_cycles=10)) == 3
    assert exit_code(judge(cases[:1], min_accuracy=0.5)) == 1  # there is no accuracy to judge


def test_a_baseline_limits_the_increase(mico: Mico, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = write(tmp_path / "old", {**OK, "cycles": 990}, {**OK, "name": "gone"})
    new = write(tmp_path, OK)
    assert mico("check", new, "--baseline", old) == 1
    assert mico("check", new, "--baseline", old, "--max-increase", 0.02) == 0
    assert mico("check", write(tmp_path, {**OK, "name": "new"}), "--baseline", old) == 1
    assert "no cycles of it" in mico.stdout


def test_the_winner_of_a_campaign_is_judged_with_its_verification(mico: Mico, tmp_path: Path) -> None:
    result = {
        "model": "lenet5",
        "best": {"cycles": 33664, "accuracy_test": 0.99},
        "verify": {"inputs": 100, "mismatches": 0},
    }
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    assert mico("check", path, "--max-cycles", 33664, "--min-accuracy", 0.99) == 0
    path.write_text(json.dumps({**result, "verify": {"inputs": 100, "mismatches": 2}}))
    assert mico("check", path, "--max-cycles", 99999) == 1
    assert "2 of 100 inputs give other logits" in mico.stdout


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"measurements": []}', '{"measurements": [{"name": "x"}]}', "\x00"])
def test_what_is_no_result_is_a_usage_error(mico: Mico, tmp_path: Path, text: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    assert mico("check", path, "--max-cycles", 1) == 2
    assert str(path) in mico.stderr
    assert mico("check", tmp_path / "absent.json", "--max-cycles", 1) == 2
    assert mico("check", path) == 2
    assert "no limit" in mico.stderr
