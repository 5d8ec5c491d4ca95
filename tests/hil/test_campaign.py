"""The campaign: its result, failures, interruption, kill -9 and replay."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hil.campaign import Observer, Settings
from hil.store import Evaluation, Store
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from mico.errors import DeviceError, MeasurementError, MicoError, ProtocolTimeout, ToolError, UsageError

SCRIPT = Path(__file__).with_name("small_campaign.py")
_spec = importlib.util.spec_from_file_location("small_campaign", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
sys.modules["small_campaign"] = small
_spec.loader.exec_module(small)
double = small.double_module()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))


class Recorder(Observer):
    """Keeps what it is told, and may stop the campaign."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.seen: list[tuple[Evaluation, bool]] = []
        self.interrupt_at = interrupt_at

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
        self.seen.append((evaluation, replayed))
        if len(self.seen) == self.interrupt_at:
            raise KeyboardInterrupt


def run(folder: Path, budget: int = 8, **options: Any) -> Any:
    options.setdefault("target", double.DoubleTarget(folder / "log"))
    options.setdefault("build", double.build)
    options.setdefault("searcher", "random")  # a forest takes longer than all the rest; it is used where it matters
    return small.campaign(folder, budget=budget, **options)


def essence(result: Any) -> Any:
    """What must not depend on how often a campaign was stopped."""
    data = result.to_json() if not isinstance(result, dict) else result
    names = ("int8", "evaluations", "latency_model", "best", "verify", "constraint", "ledger")
    return {name: data[name] for name in names}


def test_result_is_complete_feasible_and_verified(tmp_path: Path) -> None:
    result = run(tmp_path, 8, searcher="mico")
    assert len([e for e in result.evaluations if e["stage"] != "final"]) == 8
    assert all(e["status"] == "ok" and e["cycles"] > 0 and 0 <= e["accuracy"] <= 1 for e in result.evaluations)
    assert result.best["cycles"] <= result.constraint["cycles"] == int(0.7 * result.int8["cycles"])
    assert result.verify == {"inputs": 10, "mismatches": 0}
    assert set(result.latency_model) >= {"bops_r2", "cbops_r2", "cbops_mape", "n"}
    feasible = [e for e in result.evaluations if e["cycles"] <= result.constraint["cycles"]]
    assert result.best["accuracy_val"] == max(e["accuracy"] for e in feasible)
    assert all(e["predicted_cycles"] is not None for e in result.evaluations[1:])
    log = (tmp_path / "log").read_text().splitlines()
    assert len(log) == len(set(log)) == result.counts["measured"]


def test_second_run_returns_the_stored_result_and_measures_nothing(tmp_path: Path) -> None:
    first = run(tmp_path, 5)
    log = (tmp_path / "log").read_text()
    target = double.DoubleTarget(tmp_path / "log")
    second = run(tmp_path, 5, target=target)
    assert second == first
    assert (tmp_path / "log").read_text() == log
    assert target.opened == 0


def test_larger_budget_repeats_no_measurement(tmp_path: Path) -> None:
    run(tmp_path, 5)
    run(tmp_path, 8)
    log = (tmp_path / "log").read_text().splitlines()
    assert len(log) == len(set(log))


def test_interrupted_campaign_keeps_its_state_and_goes_on(tmp_path: Path) -> None:
    whole = run_in(tmp_path / "whole", 7)
    folder = tmp_path / "cut"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(folder, 7, observer=Recorder(interrupt_at=4))
    (row,) = Store(folder / "store.sqlite").campaigns()
    assert (row["state"], row["evaluated"]) == ("interrupted", 4)
    recorder = Recorder()
    resumed = run(folder, 7, observer=recorder)
    assert [replayed for _, replayed in recorder.seen[:5]] == [True] * 4 + [False]
    assert essence(resumed) == essence(whole)
    log = (folder / "log").read_text().splitlines()
    assert len(log) == len(set(log))
    assert Store(folder / "store.sqlite").campaigns()[0]["state"] == "done"


def run_in(folder: Path, budget: int, **options: Any) -> Any:
    folder.mkdir()
    return run(folder, budget, **options)


def test_failed_candidate_is_recorded_and_the_campaign_goes_on(tmp_path: Path) -> None:
    """The third program never answers: a row with a status and no number, and the budget is still spent on numbers."""
    target = double.DoubleTarget(tmp_path / "log")
    built: list[str] = []

    def build(model: Any) -> Any:
        program = double.build(model)
        if program.digest not in built:
            built.append(program.digest)
        if built.index(program.digest) == 2:
            target.fail_next = [ProtocolTimeout("no answer")] * 2
        return program

    result = run(tmp_path, 6, target=target, build=build)
    failed = [e for e in result.evaluations if e["status"] != "ok"]
    assert [(e["status"], e["cycles"]) for e in failed] == [("timeout", None)]
    assert "no answer" in failed[0]["error"]
    assert sum(e["status"] == "ok" and e["stage"] != "final" for e in result.evaluations) == 6
    attempts = Counter(a["status"] for a in Store(tmp_path / "store.sqlite").attempts())
    assert attempts["timeout"] == 2  # opened anew and tried once more


def test_build_error_is_recorded_and_the_campaign_goes_on(tmp_path: Path) -> None:
    calls = []

    def build(model: Any) -> Any:
        calls.append(model)
        if len(calls) == 4:
            raise ToolError("does not fit into RAM")
        return double.build(model)

    result = run(tmp_path, 5, build=build)
    assert [e["status"] for e in result.evaluations if e["stage"] != "final"].count("build") == 1


def test_dead_target_is_opened_anew_without_a_failure(tmp_path: Path) -> None:
    target = double.DoubleTarget(tmp_path / "log")
    target.fail_next = [DeviceError("the simulator died")]
    result = run(tmp_path, 4, target=target)
    assert result.counts["failed"] == 0
    assert target.opened == 2


def test_baseline_that_fails_ends_the_campaign_and_is_tried_again(tmp_path: Path) -> None:
    target = double.DoubleTarget(tmp_path / "log")
    target.fail_next = [DeviceError("died")] * 2
    with pytest.raises(MeasurementError, match="8-bit network could not be measured: device"):
        run(tmp_path, 4, target=target)
    assert Store(tmp_path / "store.sqlite").campaigns()[0]["state"] == "failed"
    assert run(tmp_path, 4).counts["failed"] == 0


def test_failures_in_a_row_end_the_campaign_and_are_tried_again(tmp_path: Path) -> None:
    target = double.DoubleTarget(tmp_path / "log")
    honest, working = target.flash, [True]

    def flash(program: Any) -> None:
        if not working[0]:
            raise MeasurementError("broken rig")
        honest(program)

    target.flash = flash

    class Breaking(Recorder):
        def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
            super().evaluated(evaluation, replayed)
            working[0] = len(self.seen) < 3

    with pytest.raises(MeasurementError, match="5 schemes in a row"):
        run(tmp_path, 10, target=target, observer=Breaking())
    result = run(tmp_path, 10)
    assert result.counts["failed"] == 0
    assert sum(e["stage"] != "final" for e in result.evaluations) == 10


def test_wrong_outputs_on_the_target_are_failures(tmp_path: Path) -> None:
    target = double.DoubleTarget(tmp_path / "log")
    honest = target.infer
    target.infer = lambda x: honest(x) + 1
    with pytest.raises(MeasurementError, match="wrong"):
        run(tmp_path, 4, target=target)


def test_target_that_changes_under_a_campaign_ends_it(tmp_path: Path) -> None:
    """Firmware edited while the campaign runs: its numbers must not be mixed with those before."""
    target = double.DoubleTarget(tmp_path / "log")
    honest = target.provenance

    class Editing(Recorder):
        def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
            super().evaluated(evaluation, replayed)
            if len(self.seen) == 2:
                target.provenance = lambda program: replace(honest(program), firmware="edited")

    with pytest.raises(MeasurementError, match="target's firmware changed"):
        run(tmp_path, 6, target=target, observer=Editing())


def test_impossible_constraint_says_what_is_possible(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the least measured is"):
        run(tmp_path, 8, fraction=0.01)


@pytest.mark.parametrize("options", [{"fraction": 0}, {"budget": 1}, {"searcher": "none"}, {"finalists": 0}])
def test_bad_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**options)


def start(folder: Path, kind: str, budget: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "MICO_CACHE": str(folder / "cache")}
    command = [sys.executable, str(SCRIPT), str(folder), kind, str(budget)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def check_nothing_lost_or_repeated(folder: Path, acknowledged: set[str]) -> None:
    store = Store(folder / "store.sqlite")
    kept = {m["key"] for m in store.measurements() if m["status"] == "ok"}
    assert acknowledged <= kept
    outcomes = {m["key"]: Counter(a["status"] for a in store.attempts(m["key"])) for m in store.measurements()}
    assert all(outcomes[key]["ok"] == 1 for key in kept)
    log = Counter((folder / "log").read_text().splitlines()) if (folder / "log").exists() else Counter()
    for m in store.measurements():  # run again only where the process had died before it could report
        assert log[m["program"]] <= 1 + outcomes[m["key"]]["lost"]


@pytest.mark.parametrize("most", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_kill_nine_at_any_moment_loses_and_repeats_nothing(tmp_path: Path, most: int) -> None:
    """Kills at random moments (seed 11), then to the end: the result of a campaign that was never touched."""
    rng = random.Random(11)
    folder = tmp_path / "killed"
    folder.mkdir()
    acknowledged: set[str] = set()
    kills = 0
    while True:
        process = start(folder, "double", 8)
        lines, wanted = [], rng.randint(1, 3)
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(json.loads(line))
            fresh = sum(not e.get("replayed", True) for e in lines)
            if kills < most and fresh >= wanted:
                time.sleep(rng.uniform(0, 0.3))
                process.kill()
                kills += 1
                break
        rest, error = process.communicate(timeout=120)
        lines += [json.loads(line) for line in rest.splitlines()]
        acknowledged |= {e["key"] for e in lines if e.get("key")}
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, error
    assert kills >= min(most, 3)
    check_nothing_lost_or_repeated(folder, acknowledged)
    assert essence(lines[-1]["result"]) == essence(run_in(tmp_path / "whole", 8, searcher="sieve"))


def test_sigint_ends_the_process_and_keeps_the_state(tmp_path: Path) -> None:
    process = start(tmp_path, "double", 8)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    (row,) = Store(tmp_path / "store.sqlite").campaigns()
    assert row["state"] == "interrupted"


@pytest.mark.slow
def test_simulator_killed_while_it_measures_is_started_anew(tmp_path: Path) -> None:
    """On the verilated SoC: the simulator is killed five times at random moments (seed 12), then left alone."""
    target = SocSim()
    rng, stop, kills = random.Random(12), threading.Event(), [0]

    def assassin() -> None:
        while not stop.is_set() and kills[0] < 5:
            time.sleep(rng.uniform(0.05, 1.5))
            try:
                os.kill(target.pid, signal.SIGKILL)
                kills[0] += 1
            except (MicoError, ProcessLookupError):
                continue

    thread = threading.Thread(target=assassin)
    thread.start()
    try:
        result = None
        for _ in range(6):  # as often as a user would type `make demo` again
            try:
                result = small.campaign(tmp_path, target, build_program, 6, fraction=1.2)
                break
            except MicoError:
                continue
    finally:
        stop.set()
        thread.join()
    assert result is not None
    assert kills[0] >= 1
    assert result.verified
    check_nothing_lost_or_repeated(tmp_path, {e["measurement"] for e in result.evaluations if e["measurement"]})


@pytest.mark.slow  # builds other simulators
@pytest.mark.parametrize("version", [0, 1])
def test_campaign_on_a_soc_without_the_streaming_engine_just_works(tmp_path: Path, version: int) -> None:
    """Nothing but the target says which kernels there are to be; seed 3."""
    result = small.campaign(tmp_path, SocSim(simd=version), None, 3, fraction=1.2)
    assert result.verified
    assert result.counts["failed"] == 0
    assert result.provenance["parameters"]["simd_version"] == version


@pytest.mark.slow
def test_campaign_on_the_soc_is_killed_and_ends_verified(tmp_path: Path) -> None:
    """On the verilated SoC: three kill -9 of the campaign at random moments (seed 13)."""
    rng = random.Random(13)
    acknowledged: set[str] = set()
    for kill in range(4):
        process = start(tmp_path, "soc", 6)
        assert process.stdout is not None
        if kill < 3:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 2))
            process.kill()
        out, error = process.communicate(timeout=300)
        lines = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        acknowledged |= {e["key"] for e in lines if e.get("key")}
    assert process.returncode == 0, error
    result = lines[-1]["result"]
    assert result["verify"] == {"inputs": 10, "mismatches": 0}
    check_nothing_lost_or_repeated(tmp_path, acknowledged)


def test_a_program_that_is_too_large_is_not_the_winner(tmp_path: Path) -> None:
    """Flash is limited to the least that a search without that limit measured: what wins takes no more."""
    free = run(tmp_path / "free", 6, searcher="sieve", fraction=1.2, weight_bits=(8, 4), activation_bits=(8, 4))
    assert free.ledger["evaluations"] == 6
    assert free.ledger["cost"] == pytest.approx(6 + free.ledger["forward_samples"] / free.ledger["images"], abs=1e-3)
    assert free.ledger["forward_samples"] > 0
    store = Store(tmp_path / "free" / "store.sqlite")
    sizes = [e.flash_bytes for e in store.evaluations(1) if e.flash_bytes is not None]
    most = int(0.9 * max(sizes))
    tight = run(
        tmp_path / "tight",
        6,
        searcher="sieve",
        fraction=1.2,
        weight_bits=(8, 4),
        activation_bits=(8, 4),
        max_flash=most,
    )
    assert tight.best["flash_bytes"] <= most < max(sizes)
    assert tight.constraint["flash_bytes"] == most
