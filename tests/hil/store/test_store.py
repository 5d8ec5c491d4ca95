"""The store in both databases: exactly-once measurements, failures without numbers, durability."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, update

from hil.schema import attempts, claims
from hil.store import Evaluation, Store, status_of
from mico.errors import DeviceError, MeasurementError, ProtocolTimeout, StoreError
from tests.hil import double_target as double
from tests.hil.store.samples import ROOT, SCHEME, X, one_layer


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_same_key_is_looked_up_not_measured_again(store: Store, target: double.DoubleTarget) -> None:
    program = double.build(one_layer())
    first = store.measure_once(target, program, X)
    second = Store(store.where).measure_once(target, program, X)
    assert not first.cached
    assert second.cached
    assert len(lines(target.log)) == 1
    assert (first.cycles, first.samples, first.layers) == (second.cycles, second.samples, second.layers)
    assert [a["status"] for a in store.attempts()] == ["ok"]


def test_another_program_or_target_is_another_measurement(store: Store, target: double.DoubleTarget) -> None:
    for weight in (1, 2):
        assert not store.measure_once(target, double.build(one_layer(weight)), X).cached
    assert len(store.measurements()) == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(ProtocolTimeout("silence"), "timeout"), (DeviceError("died"), "device"), (MeasurementError("bad"), "wrong")],
)
def test_failure_has_status_and_error_never_a_number_and_is_tried_again(
    store: Store, target: double.DoubleTarget, error: Exception, status: str
) -> None:
    program = double.build(one_layer())
    key = target.provenance(program).key()
    target.fail_next = [error]
    with pytest.raises(type(error)):
        store.measure_once(target, program, X)
    (row,) = store.measurements()
    assert (row["status"], row["cycles"], row["samples"]) == (status, None, None)
    assert str(error) in row["error"]
    assert store.lookup(key) is None
    assert store.measure_once(target, program, X).cycles > 0
    (row,) = store.measurements()
    assert (row["status"], row["error"]) == ("ok", None)
    assert [a["status"] for a in store.attempts(key)] == [status, "ok"]


def test_wrong_outputs_are_a_failure(store: Store, target: double.DoubleTarget) -> None:
    program = double.build(one_layer())
    with pytest.raises(MeasurementError, match="expected"):
        store.measure_once(target, program, X, expected=np.array([[1, 2]], dtype=np.int32))
    assert store.measurements()[0]["status"] == "wrong"
    assert not store.measure_once(target, program, X, expected=np.array([[6, 6]], dtype=np.int32)).cached


def test_layers_that_do_not_add_up_are_a_failure(
    store: Store, target: double.DoubleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = target.measure

    def lying(x: Any, **options: Any) -> Any:
        run = honest(x, **options)
        return type(run)(run.outputs, run.cycles, run.samples, run.layers[:-1])

    monkeypatch.setattr(target, "measure", lying)
    with pytest.raises(MeasurementError, match="add up"):
        store.measure_once(target, double.build(one_layer()), X)


def test_interrupt_leaves_no_claim_and_no_measurement(store: Store, target: double.DoubleTarget) -> None:
    program = double.build(one_layer())
    target.fail_next = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        store.measure_once(target, program, X)
    assert store.measurements() == []
    assert [a["status"] for a in store.attempts()] == ["interrupted"]
    assert store.measure_once(target, program, X, wait_s=0).cycles > 0


def _measure_all(where: str, log: str) -> None:
    store = Store(where)
    target = double.DoubleTarget(Path(log), delay_s=0.05)
    for weight in range(1, 6):
        store.measure_once(target, double.build(one_layer(weight)), X)


def test_two_processes_measure_each_key_once(where: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_measure_all, args=(where, str(log))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(lines(log)) == len(set(lines(log))) == 5
    assert [m["status"] for m in Store(where).measurements()] == ["ok"] * 5


def test_two_threads_measure_a_key_once(store: Store, tmp_path: Path) -> None:
    target = double.DoubleTarget(tmp_path / "log", delay_s=0.1)
    program = double.build(one_layer())
    threads = [threading.Thread(target=store.measure_once, args=(target, program, X)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(lines(target.log)) == 1


def test_claim_of_a_killed_process_is_taken_over(store: Store, tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = double.build(one_layer())
    context = multiprocessing.get_context("fork")

    def hang() -> None:
        Store(store.where).measure_once(double.DoubleTarget(log, delay_s=600), program, X)

    worker = context.Process(target=hang)
    worker.start()
    deadline = time.monotonic() + 30
    while not store.attempts() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(StoreError, match="has been measuring"):
        store.measure_once(double.DoubleTarget(log), program, X, wait_s=0)
    worker.kill()
    worker.join(60)
    assert store.measure_once(double.DoubleTarget(log), program, X, wait_s=60).cycles > 0
    assert [a["status"] for a in store.attempts()] == ["lost", "ok"]


def test_a_claim_that_was_taken_over_stores_nothing(store: Store, tmp_path: Path) -> None:
    """Another machine believed us dead: it measured, and what we bring later is refused, though its laps are kept."""
    program = double.build(one_layer())
    late = double.DoubleTarget(tmp_path / "log")
    measure = late.measure

    def slept(x: Any, **options: Any) -> Any:
        run = measure(x, **options)
        with store._write() as connection:
            connection.execute(update(claims).values(host="elsewhere", expires=0.0))
        store.measure_once(double.DoubleTarget(tmp_path / "log"), program, X)
        return run

    late.measure = slept  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="took this measurement over"):
        store.measure_once(late, program, X)
    assert [a["status"] for a in store.attempts()] == ["lost", "ok"]
    assert all(a["samples"] for a in store.attempts())
    assert len(store.measurements()) == 1


def test_raw_laps_are_kept_whatever_became_of_them(store: Store, target: double.DoubleTarget) -> None:
    program = double.build(one_layer())
    key = target.provenance(program).key()
    with pytest.raises(MeasurementError, match="expected"):
        store.measure_once(target, program, X, expected=np.array([[1, 2]], dtype=np.int32), laps=3)
    target.fail_next = [MeasurementError("laps differ", samples=(7, 9)), DeviceError("died")]
    for kind in (MeasurementError, DeviceError):
        with pytest.raises(kind):
            store.measure_once(target, program, X)
    good = store.measure_once(target, program, X)
    total = good.cycles
    assert [a["samples"] for a in store.attempts(key)] == [[total] * 3, [7, 9], None, [total] * 2]
    (row,) = store.measurements()
    assert row["samples"] == [total] * 2


def test_an_attempt_names_its_target_of_the_lab(store: Store, target: double.DoubleTarget) -> None:
    target.lab_name = "ecp5"
    target.fail_next = [DeviceError("died")]
    with pytest.raises(DeviceError):
        store.measure_once(target, double.build(one_layer()), X)
    target.lab_name = ""
    store.measure_once(target, double.build(one_layer()), X)
    assert [a["target"] for a in store.attempts()] == ["ecp5", None]


def test_garbage_from_a_line_can_be_kept(store: Store, target: double.DoubleTarget) -> None:
    target.fail_next = [DeviceError("it said \0 and \udcff and \u20ac")]
    with pytest.raises(DeviceError):
        store.measure_once(target, double.build(one_layer()), X)
    (row,) = store.measurements()
    assert row["error"] == r"it said \x00 and \udcff and €"


def test_what_was_reported_survives_kill_nine(where: str, tmp_path: Path) -> None:
    """A process prints each key after its measurement is returned and kills itself; every printed key is there."""
    script = f"""
import os, signal
from pathlib import Path
from hil.store import Store
from tests.hil.double_target import DoubleTarget, build
from tests.hil.store.samples import X, one_layer
s, t = Store({where!r}), DoubleTarget(Path({str(tmp_path / "log")!r}))
for w in range(1, 8):
    print(s.measure_once(t, build(one_layer(w)), X).key, flush=True)
    if w == 5: os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == -9, done.stderr
    keys = done.stdout.split()
    assert len(keys) == 5
    store = Store(where)
    assert all(store.lookup(key) is not None for key in keys)


def test_evaluations_come_back_with_the_cycles_of_their_measurement(store: Store, target: double.DoubleTarget) -> None:
    measurement = store.measure_once(target, double.build(one_layer()), X)
    config = {"seed": 1}
    number = store.campaign(config)
    assert store.campaign(config) == number
    assert store.campaign({"seed": 2}) != number
    good = Evaluation(
        0, "search", SCHEME, "ptq", 0.9, None, 12.5, measurement.provenance["program"], measurement.key, "ok", None
    )
    bad = Evaluation(1, "search", {"fc": {"w": 4, "a": 4}}, "ptq", 0.8, None, None, None, None, "timeout", "silence")
    store.save_evaluation(number, "context", "digest0", good)
    store.save_evaluation(number, "context", "digest1", bad)
    read = store.evaluations(number)
    assert [e.cycles for e in read] == [measurement.cycles, None]
    assert read[0].layers == measurement.layers
    assert store.known_evaluation("context", "digest0") is not None
    assert store.known_evaluation("context", "digest1") is None
    assert store.known_evaluation("another", "digest0") is None
    store.save_evaluation(number, "context", "digest1", Evaluation(**{**bad.__dict__, "status": "ok", "error": None}))
    assert [e.status for e in store.evaluations(number)] == ["ok", "ok"]


def test_campaign_keeps_its_state_and_adds_up_its_time(store: Store) -> None:
    number = store.campaign({"seed": 1})
    store.set_campaign(number, "interrupted", add_wall_s=2.0)
    store.set_campaign(number, "done", add_wall_s=3.0, result={"x": 1})
    (row,) = store.campaigns()
    assert (row["state"], row["wall_s"], row["result"], row["evaluated"]) == ("done", 5.0, {"x": 1}, 0)


def test_status_of_is_the_most_specific() -> None:
    assert status_of(ProtocolTimeout("x")) == "timeout"
    assert status_of(StoreError("x")) == "failed"


def test_database_refuses_a_second_success_under_one_key(store: Store, target: double.DoubleTarget) -> None:
    store.measure_once(target, double.build(one_layer()), X)
    (attempt,) = store.attempts()
    with pytest.raises(StoreError, match=r"(?i)unique"), store._write() as connection:
        connection.execute(insert(attempts).values({**attempt, "id": attempt["id"] + 1}))


def test_store_of_a_later_version_is_refused(store: Store) -> None:
    with store._write() as connection:
        connection.exec_driver_sql("update meta set value = '99'")
    with pytest.raises(StoreError, match=r"schema version 99.*update this program"):
        Store(store.where)


def test_tables_of_another_program_are_left_alone(where: str) -> None:
    import sqlalchemy

    url = where if "://" in where else f"sqlite:///{where}"
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("create table campaigns (candidate varchar(20))")
    with pytest.raises(StoreError, match=r"'campaigns' already.*another --store"):
        Store(where)
    assert sqlalchemy.inspect(engine).get_table_names() == ["campaigns"]
    engine.dispose()
