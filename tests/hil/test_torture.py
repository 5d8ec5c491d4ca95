"""Scenarios on a board that is a process of this machine; and that a target which lies is found out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hil.faults.leftovers import Leftovers
from hil.faults.script import Script, draw
from hil.leases import Leases
from hil.store import Store
from hil.targets.kinds import make_target
from hil.torture import Subject, run_scenario, torture
from hil.torture_lab import torture_target
from mico.errors import DeviceError, MicoError, UsageError
from tests.hil.faults.host_board import HostBoard, cycles_of, logits_of, make_input, make_program

SPAN = 4300


def make_board() -> HostBoard:
    board = HostBoard(timeout_s=0.4, infer_timeout_s=1.0)
    board.flash_timeout_s, board.flash_retries = 0.15, 6
    return board


@pytest.fixture(scope="module")
def subject() -> Subject:
    program, x = make_program(1), make_input(2)
    return Subject(program, x, logits_of(x), cycles_of(program))


def test_a_board_survives_faults_of_every_kind(subject: Subject):
    """Seeds 1000 to 1039: each ends in the right number or in an error, and the board works afterwards."""
    board = make_board()
    report = torture(board, subject, seed=1000, count=40, actions=board.actions(), span=SPAN)
    told = report.to_json()
    assert told["violations"] == []
    assert told["faults"]["scenarios"] == 40
    errors = sum(bool(outcome.error) for outcome in report.outcomes)
    assert 8 <= errors <= 32, "some must hurt, and some must be recovered from"
    assert len(told["kinds"]) >= 10


def test_a_scenario_runs_alone_by_its_seed(subject: Subject, tmp_path: Path):
    """Seed 1: the same fault, the same end."""
    store = Store(tmp_path / "store.sqlite")
    script = replace(draw(1, ["cut"], span=500), seed=1)
    first = run_scenario(make_board(), subject, script, store)
    assert (first.kind, first.violated) == ("cut", False)
    assert "ProtocolTimeout" in first.error


class Liar(HostBoard):
    """Adds one to the cycles that it measured."""

    def measure(self, x, *, laps=2, warmup=1):
        run = super().measure(x, laps=laps, warmup=warmup)
        layers = (*run.layers[:-1], replace(run.layers[-1], cycles=run.layers[-1].cycles + 1))
        return replace(run, cycles=run.cycles + 1, layers=layers)


class Sticky(HostBoard):
    """Works once."""

    opened = 0

    def open(self) -> None:
        self.opened += 1
        if self.opened > 1:
            raise MicoError("stuck")
        super().open()


class Litterer(HostBoard):
    """Leaves a process behind."""

    litter: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        super().open()
        self.litter = self.litter or subprocess.Popen(["sleep", "60"])


@pytest.mark.parametrize(
    ("kind", "violation"), [(Liar, "wrong_number"), (Sticky, "stuck_target"), (Litterer, "leftovers")]
)
def test_a_violation_is_found(subject: Subject, tmp_path: Path, kind: type[HostBoard], violation: str):
    board = kind()
    try:
        outcome = run_scenario(board, subject, Script(0, "none"), Store(tmp_path / "store.sqlite"))
    finally:
        litter = getattr(board, "litter", None)
        if litter is not None:
            litter.kill()
            litter.wait()
    assert outcome.violated
    assert [
        name for name in ("wrong_number", "lost_measurement", "stuck_target", "leftovers") if getattr(outcome, name)
    ] == [violation]


def test_leftovers_see_a_process_a_file_and_its_end():
    before = Leftovers.now()
    with open("/dev/null") as _:
        process = subprocess.Popen(["sleep", "60"])
        found = before.grown(0.0)
    assert any("sleep" in line for line in found)
    assert any("open files" in line for line in found)
    process.kill()
    process.wait()
    started = time.monotonic()
    assert before.grown(60.0) == ()
    assert time.monotonic() - started < 30


def test_a_target_without_a_line_is_refused(tmp_path: Path):
    target = make_target("bitfusion-sim")
    with pytest.raises(UsageError, match="no serial line"):
        torture_target(target, Leases(Store(tmp_path / "store.sqlite")), seed=0, count=1)


def test_a_target_that_somebody_holds_is_left_alone(tmp_path: Path):
    leases = Leases(Store(tmp_path / "store.sqlite"))
    with leases.hold("soc-sim", "a campaign"), pytest.raises(DeviceError, match="a campaign"):
        torture_target(make_target("soc"), leases, seed=0, count=1)


@pytest.mark.slow
def test_the_command_tortures_the_simulated_soc(tmp_path: Path):
    """Seeds 3 to 6: the report counts them, and nothing is violated."""
    out = tmp_path / "report.json"
    command = ["targets", "torture", "soc", "--seed", "3", "--count", "4", "--out", str(out)]
    command += ["--store", str(tmp_path / "store.sqlite")]
    done = subprocess.run([sys.executable, "-m", "hil.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    assert told["faults"] == {
        "scenarios": 4,
        "wrong_numbers": 0,
        "lost_measurements": 0,
        "stuck_targets": 0,
        "leftovers": 0,
    }
    assert told["violations"] == []
