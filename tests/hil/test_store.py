"""The store: exactly-once measurements, failures without numbers, durability, and errors with a cure."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil import database
from hil.store import Evaluation, Store, status_of
from mico.errors import DeviceError, MeasurementError, ProtocolTimeout, StoreError
from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("double_target", Path(__file__).with_name("double_target.py"))
assert _spec is not None
assert _spec.loader is not None
double = importlib.util.module_from_spec(_spec)
sys.modules["double_target"] = double
_spec.loader.exec_module(double)

X = np.arange(4, dtype=np.uint8).reshape(1, 4)
SCHEME = {"fc": {"w": 8, "a": 8}}


def one_layer(weight: int = 1) -> IntegerModel:
    """Four inputs to two logits; *weight* makes models differ."""
    return IntegerModel(
        name="tiny",
        input="input",
        output="fc",
        tensors={
            "input": Tensor("input", (4,), Format(8, False), 1.0),
            "fc": Tensor("fc", (2,), Format(32, True), 1.0),
        },
        ops=(
            IntegerOp(
                "fc",
                OpKind.LINEAR,
                ("input",),
                "fc",
                weight=np.full((2, 4), weight, dtype=np.int8),
                weight_format=Format(8, True),
                bias=np.zeros(2, dtype=np.int32),
                requant=Requant(np.full(2, 1 << 30, dtype=np.int32), np.full(2, 30, dtype=np.int32)),
            ),
        ),
    )


@pytest.fixture
def target(tmp_path: Path) -> Any:
    return double.DoubleTarget(tmp_path / "log")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store.sqlite")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_same_key_is_looked_up_not_measured_again(store: Store, target: Any) -> None:
    program = double.build(one_layer())
    first = store.measure_once(target, program, X)
    second = Store(store.where).measure_once(target, program, X)
    assert not first.cached
    assert second.cached
    assert len(lines(target.log)) == 1
    assert (first.cycles, first.samples, first.layers) == (second.cycles, second.samples, second.layers)
    assert [a["status"] for a in store.attempts()] == ["ok"]


def test_another_program_or_target_is_another_measurement(store: Store, target: Any) -> None:
    for weight in (1, 2):
        assert not store.measure_once(target, double.build(one_layer(weight)), X).cached
    assert len(store.measurements()) == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(ProtocolTimeout("silence"), "timeout"), (DeviceError("died"), "device"), (MeasurementError("bad"), "wrong")],
)
def test_failure_has_status_and_error_never_a_number_and_is_tried_again(
    store: Store, target: Any, error: Exception, status: str
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


def test_wrong_outputs_are_a_failure(store: Store, target: Any) -> None:
    program = double.build(one_layer())
    with pytest.raises(MeasurementError, match="expected"):
        store.measure_once(target, program, X, expected=np.array([[1, 2]], dtype=np.int32))
    assert store.measurements()[0]["status"] == "wrong"
    assert not store.measure_once(target, program, X, expected=np.array([[6, 6]], dtype=np.int32)).cached


def test_layers_that_do_not_add_up_are_a_failure(store: Store, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = target.measure

    def lying(x: Any, **options: Any) -> Any:
        run = honest(x, **options)
        return type(run)(run.outputs, run.cycles, run.samples, run.layers[:-1])

    monkeypatch.setattr(target, "measure", lying)
    with pytest.raises(MeasurementError, match="add up"):
        store.measure_once(target, double.build(one_layer()), X)


def test_interrupt_leaves_no_claim_and_no_measurement(store: Store, target: Any) -> None:
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


def test_two_processes_measure_each_key_once(tmp_path: Path) -> None:
    where, log = str(tmp_path / "s.sqlite"), tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_measure_all, args=(where, str(log))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(lines(log)) == len(set(lines(log))) == 5
    assert [m["status"] for m in Store(where).measurements()] == ["ok"] * 5


def test_two_threads_measure_a_key_once(tmp_path: Path) -> None:
    target = double.DoubleTarget(tmp_path / "log", delay_s=0.1)
    store = Store(tmp_path / "s.sqlite")
    program = double.build(one_layer())
    threads = [threading.Thread(target=store.measure_once, args=(target, program, X)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(lines(target.log)) == 1


def test_claim_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    where, log = str(tmp_path / "s.sqlite"), tmp_path / "log"
    program = double.build(one_layer())
    context = multiprocessing.get_context("fork")
    store = Store(where)

    def hang() -> None:
        Store(where).measure_once(double.DoubleTarget(log, delay_s=600), program, X)

    worker = context.Process(target=hang)
    worker.start()
    deadline = time.monotonic() + 30
    while not store.attempts() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(StoreError, match="has been measuring"):
        store.measure_once(double.DoubleTarget(log), program, X, wait_s=0)
    worker.kill()
    worker.join(10)
    assert store.measure_once(double.DoubleTarget(log), program, X, wait_s=5).cycles > 0
    assert [a["status"] for a in store.attempts()] == ["lost", "ok"]


def test_database_refuses_a_second_success_under_one_key(store: Store, target: Any) -> None:
    store.measure_once(target, double.build(one_layer()), X)
    with sqlite3.connect(store.where) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute(
            "insert into attempts (key, host, pid, started, status) select key, host, pid, started, 'ok' from attempts"
        )


def test_what_was_reported_survives_kill_nine(tmp_path: Path) -> None:
    """A process prints each key after its measurement is returned and kills itself; every printed key is there."""
    script = f"""
import sys, os, signal, importlib.util
sys.path.insert(0, {str(ROOT)!r})
spec = importlib.util.spec_from_file_location("test_store", {str(Path(__file__))!r})
m = importlib.util.module_from_spec(spec); sys.modules["test_store"] = m; spec.loader.exec_module(m)
s = m.Store({str(tmp_path / "s.sqlite")!r})
t = m.double.DoubleTarget(m.Path({str(tmp_path / "log")!r}))
for w in range(1, 8):
    print(s.measure_once(t, m.double.build(m.one_layer(w)), m.X).key, flush=True)
    if w == 5: os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    keys = done.stdout.split()
    assert len(keys) == 5
    store = Store(tmp_path / "s.sqlite")
    assert all(store.lookup(key) is not None for key in keys)


def test_commits_are_synced_to_the_disk(store: Store) -> None:
    with store._write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_evaluations_come_back_with_the_cycles_of_their_measurement(store: Store, target: Any) -> None:
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


def test_file_that_is_no_database_names_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, certainly not one" * 100)
    with pytest.raises(StoreError, match="another --store"):
        Store(path)
    assert path.read_text().startswith("not a database")


def test_damaged_database_names_a_cure(store: Store, target: Any) -> None:
    for weight in range(1, 20):
        store.measure_once(target, double.build(one_layer(weight)), X)
    raw = sqlite3.connect(store.where)
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    path = Path(store.where)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        Store(path)


def test_locked_database_names_a_cure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    with sqlite3.connect(store.where, isolation_level=None) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.campaign({"seed": 1})
        raw.execute("ROLLBACK")
    assert store.campaign({"seed": 1}) == 1


def test_full_database_names_a_cure(store: Store, target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.measure_once(target, double.build(one_layer()), X)
    configure = database._configure_sqlite

    def small(connection: Any, record: Any) -> None:
        configure(connection, record)
        connection.execute("PRAGMA max_page_count = 1")  # SQLite clamps this to the present size

    monkeypatch.setattr(database, "_configure_sqlite", small)
    full = Store(store.where)
    with pytest.raises(StoreError, match="free some space"):
        full.campaign({"padding": "x" * 100_000})
    assert full.lookup(before.key) is not None


def test_read_only_store_reads_and_names_a_cure_on_writing(store: Store, target: Any) -> None:
    before = store.measure_once(target, double.build(one_layer()), X)
    frozen = Store(f"sqlite:///file:{store.where}?mode=ro&uri=true")
    assert frozen.lookup(before.key) is not None
    with pytest.raises(StoreError, match="writable"):
        frozen.campaign({"seed": 1})


def test_nonsense_url_names_a_cure() -> None:
    with pytest.raises(StoreError, match="database URL"):
        Store("nosuchdatabase://somewhere")


def test_folder_as_store_names_a_cure(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="writable"):
        Store(tmp_path)


def test_store_of_another_version_is_refused(store: Store) -> None:
    with sqlite3.connect(store.where) as raw:
        raw.execute("update meta set value = '99'")
    with pytest.raises(StoreError, match="schema version 99"):
        Store(store.where)


def test_status_of_is_the_most_specific() -> None:
    assert status_of(ProtocolTimeout("x")) == "timeout"
    assert status_of(StoreError("x")) == "failed"
