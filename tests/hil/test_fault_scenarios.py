"""Fault scenarios of the benchmark (`tests/bench/lab_scenarios.py`), each family for a few seeds, as anybody runs one
again: ``python -m tests.bench.lab --only FAMILY --seed N``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hil.store.postgres import programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("family", "seed", "count"),
    [
        ("holder", 1, 2),
        ("database", 5, 3),
        pytest.param("soc", 3, 4, marks=pytest.mark.slow),
        pytest.param(
            "postgres", 0, 2, marks=pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
        ),
    ],
)
def test_nothing_wrong_comes_of_a_fault(family: str, seed: int, count: int):
    """No wrong number, nothing acknowledged is lost, nothing is stuck or left behind, every error has a diagnosis."""
    command = [sys.executable, "-m", "tests.bench.lab", "--only", family, "--seed", str(seed), "--count", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [outcome["seed"] for outcome in outcomes] == list(range(seed, seed + count))
