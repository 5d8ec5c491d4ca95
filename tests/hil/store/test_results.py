"""``mico results``: filters, JSON, CSV, one measurement in full; the same from both databases."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hil.cli_results import app
from hil.store import Store
from hil.store_queries import COLUMNS, Filter, parse_since
from mico.errors import UsageError
from tests.hil.store.samples import ROOT, fill

Results = Callable[..., str]


@pytest.fixture
def filled(store: Store) -> Store:
    """Seed 5: 45 measurements of five models on three kinds of target, five of which failed."""
    fill(store, 45, seed=5)
    return store


@pytest.fixture
def results(filled: Store, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Runs ``mico results`` on the store and gives what it prints."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["--store", filled.where, *arguments])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    return run


def test_campaigns_and_how_many_measurements(results: Results) -> None:
    assert "40 measurements, 5 failed" in results()
    assert all(text in results() for text in ("lenet5", "mnist", "running"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--model", "model2"), lambda row: row["model"] == "model2"),
        (("--target-kind", "serial"), lambda row: row["kind"] == "serial"),
        (("--status", "errors"), lambda row: row["status"] == "timeout"),
        (("--status", "timeout"), lambda row: row["status"] == "timeout"),
        (("--status", "ok", "--model", "model1"), lambda row: row["status"] == "ok" and row["model"] == "model1"),
        (("--since", "2023-11-14T22:43:20+00:00"), lambda row: row["created"] >= 1.7e9 + 1800),
        (("--model", "%"), lambda _: False),
        (("--key", "_"), lambda _: False),
    ],
)
def test_filters(results: Results, filled: Store, options: tuple[str, ...], expected: Callable[..., bool]) -> None:
    rows = [{name: row[name] for name in COLUMNS} for row in filled.measurements() if expected(row)]
    answer = json.loads(results("--json", *options))
    assert answer["measurements"] == rows
    assert sum(answer["by_status"].values()) == len(rows)
    lines = list(csv.DictReader(results("--csv", *options).splitlines()))
    assert [line["key"] for line in lines] == [row["key"] for row in rows]
    table = results("--limit", "0", *options)
    assert all(row["key"][:12] in table for row in rows)
    assert sum(row["status"] == "ok" for row in rows) == int(table.splitlines()[-1].split()[0])


def test_a_failure_has_no_number_anywhere(results: Results) -> None:
    for line in csv.DictReader(results("--csv", "--status", "errors").splitlines()):
        assert (line["cycles"], line["latency_us"]) == ("", "")
    assert all(row["cycles"] is None for row in json.loads(results("--json", "--status", "errors"))["measurements"])


def test_the_table_shows_the_newest_and_says_so(results: Results, filled: Store) -> None:
    text = results("--limit", "3", "--since", "2020-01-01")
    keys = [row["key"][:12] for row in filled.measurements()]
    assert [key in text for key in keys] == [False] * 42 + [True] * 3
    assert "the newest 3 are shown" in text


def test_one_measurement_in_full(results: Results, filled: Store) -> None:
    row = filled.measurements()[5]
    shown = json.loads(results("show", row["key"][:10]))
    assert {name: shown[name] for name in row} == row
    assert [a["samples"] for a in shown["attempts"]] == [a["samples"] for a in filled.attempts(row["key"])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "zzzz"), "no measurement"),
        (("show", ""), "no measurement"),
        (("--since", "yesterday"), "no time"),
        (("--json", "--csv"), "at once"),
        (("--limit", "-1"), "--limit"),
        (("export", "a.txt"), "no such format"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(results: Results, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        results(*arguments)


def test_a_prefix_of_several_keys_is_refused(results: Results, filled: Store) -> None:
    digits = [row["key"][0] for row in filled.measurements()]
    several = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(UsageError, match=r"\d+ measurements with this key"):
        results("show", several)


def test_export_and_import_by_command(results: Results, filled: Store, tmp_path: Path) -> None:
    file, copy = tmp_path / "a.jsonl", str(tmp_path / "copy.sqlite")
    results("export", str(file))
    command = [sys.executable, "-m", "hil.cli", "results", "import", str(file), "--store", copy]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "45 measurements" in done.stderr
    assert Store(copy).measurements() == filled.measurements()


def test_both_databases_give_the_same(results: Results, tmp_path: Path) -> None:
    """Both are compared with SQLite."""
    plain = Store(tmp_path / "plain.sqlite")
    fill(plain, 45, seed=5)
    for arguments in ((), ("--json",), ("--csv",), ("--status", "ok"), ("--key", "a"), ("--since", "2023-11-15")):
        expected = CliRunner().invoke(app, ["--store", plain.where, *arguments])
        assert results(*arguments) == expected.stdout


def test_times() -> None:
    assert parse_since("2h") == pytest.approx(time.time() - 7200, abs=5)
    assert parse_since("1.5d") == pytest.approx(time.time() - 129600, abs=5)
    assert parse_since("1970-01-02T00:00:00+00:00") == 86400


def test_the_command_line_starts_without_torch() -> None:
    """It takes seconds to import, and most commands do not need it."""
    script = "import sys, hil.cli; print([name for name in ('torch', 'sklearn', 'cocotb') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_no_filter_lists_everything_oldest_first(filled: Store) -> None:
    listed: list[dict[str, Any]] = filled.listing(Filter())
    assert len(listed) == 45
    assert [row["created"] for row in listed] == sorted(row["created"] for row in listed)
