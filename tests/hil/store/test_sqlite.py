"""What can happen to an SQLite file: damage, locks, no rights; every error has a cure."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hil import database
from hil.store import Store
from mico.errors import StoreError
from tests.hil import double_target as double
from tests.hil.store.samples import X, one_layer


@pytest.fixture
def where(tmp_path: Path) -> str:
    return str(tmp_path / "store.sqlite")


def test_commits_are_synced_to_the_disk(store: Store) -> None:
    with store._write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_file_that_is_no_database_names_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, certainly not one" * 100)
    with pytest.raises(StoreError, match="another --store"):
        Store(path)
    assert path.read_text().startswith("not a database")


def test_damaged_database_names_a_cure(store: Store, target: double.DoubleTarget) -> None:
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


def test_damage_inside_a_row_names_a_cure(store: Store, target: double.DoubleTarget) -> None:
    key = store.measure_once(target, double.build(one_layer()), X).key
    with sqlite3.connect(store.where) as raw:
        raw.execute("update measurements set layers = substr(layers, 1, 9)")
    with pytest.raises(StoreError, match=r"damaged.*recover"):
        store.lookup(key)


def test_locked_database_names_a_cure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    with sqlite3.connect(store.where, isolation_level=None) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.campaign({"seed": 1})
        raw.execute("ROLLBACK")
    assert store.campaign({"seed": 1}) == 1


def test_full_database_names_a_cure(store: Store, target: double.DoubleTarget, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_read_only_store_reads_and_names_a_cure_on_writing(store: Store, target: double.DoubleTarget) -> None:
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
