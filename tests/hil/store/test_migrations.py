"""A store of version 1 becomes one of this version with every row kept: by many at once, and killed on the way."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, MetaData, Table, inspect, select

from hil.schema import SCHEMA_VERSION, metadata
from hil.store import Store
from mico.errors import StoreError
from tests.hil import double_target as double
from tests.hil.store.postgres import PostgresServer
from tests.hil.store.samples import ROOT, X, fill, one_layer

HERE = Path(__file__).parent
NEW = {"attempts": {"samples", "target"}}
"""Columns that version 1 did not have."""


@pytest.fixture
def old(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Engine of a database of version 1, at *where*, with 40 measurements and all that belongs to them."""
    if "://" in where:
        server: PostgresServer = request.getfixturevalue("server")
        with server.connect(where) as connection:
            connection.execute((HERE / "version1_postgresql.sql").read_bytes())
        engine = sqlalchemy.create_engine(where.replace("postgresql:", "postgresql+psycopg:"))
    else:
        with sqlite3.connect(where) as raw:
            raw.executescript((HERE / "version1_sqlite.sql").read_text())
        engine = sqlalchemy.create_engine(f"sqlite:///{where}")
    source = Store(tmp_path / "source.sqlite")
    fill(source, 40, seed=3)
    key = source.measurements()[0]["key"]
    source.save_counts(key, [("conv1", {"cycles": 7})])
    tables = MetaData()
    tables.reflect(engine)
    with source._read() as have, engine.begin() as put:
        for name in ("measurements", "counts", "attempts", "campaigns", "evaluations"):
            rows = [dict(row) for row in have.execute(select(metadata.tables[name])).mappings()]
            put.execute(
                sqlalchemy.insert(tables.tables[name]),
                [{c: row[c] for c in row if c != "id" and c not in NEW.get(name, ())} for row in rows],
            )
    yield engine
    engine.dispose()


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables of version 1, in its columns."""
    found = {}
    names = ("measurements", "counts", "attempts", "claims", "campaigns", "evaluations")
    for name in names:
        table = Table(name, MetaData(), autoload_with=engine)
        with engine.connect() as connection:
            rows = connection.execute(select(table).order_by(*table.primary_key)).mappings()
            found[name] = [{c: row[c] for c in row if c not in NEW.get(name, ())} for row in rows]
    return found


def shape(engine: Engine) -> dict[str, Any]:
    """Columns, keys and indexes of every table."""
    look = inspect(engine)
    return {
        name: (
            [(c["name"], repr(c["type"]), c["nullable"]) for c in look.get_columns(name)],
            look.get_pk_constraint(name)["constrained_columns"],
            sorted(str((i["column_names"], i["unique"])) for i in look.get_indexes(name)),
            sorted(str(u["column_names"]) for u in look.get_unique_constraints(name)),
            sorted(str((f["constrained_columns"], f["referred_table"])) for f in look.get_foreign_keys(name)),
        )
        for name in look.get_table_names()
    }


def version(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("select value from meta").scalar())


def test_every_row_is_kept_and_the_store_works_on(old: Engine, where: str, tmp_path: Path) -> None:
    before = contents(old)
    assert len(before["measurements"]) == 40
    store = Store(where)
    assert contents(old) == before
    assert version(old) == str(SCHEMA_VERSION)
    store.measure_once(double.DoubleTarget(tmp_path / "log"), double.build(one_layer()), X)
    assert store.attempts()[-1]["samples"]
    assert [a["samples"] for a in store.attempts()[:40]] == [None] * 40


def test_a_migrated_store_has_the_tables_of_a_new_one(
    old: Engine, where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    Store(where)
    url = request.getfixturevalue("server").database() if "://" in where else str(tmp_path / "new.sqlite")
    assert shape(old) == shape(Store(url)._engine)


def test_a_store_from_before_there_were_counts_is_migrated(old: Engine, where: str) -> None:
    with old.begin() as connection:
        connection.exec_driver_sql("drop table counts")
    assert Store(where).counts("none") is None


def test_many_that_open_it_at_once_migrate_it_once(old: Engine, where: str) -> None:
    before = contents(old)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)

    def work() -> None:
        barrier.wait(30)
        assert len(Store(where).measurements()) == 40

    workers = [context.Process(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert contents(old) == before
    assert version(old) == str(SCHEMA_VERSION)


def test_killed_on_the_way_it_is_as_it_was(old: Engine, where: str) -> None:
    """The process dies when the tables are changed and the version is not: the next one starts from version 1."""
    before, tables = contents(old), shape(old)
    script = f"""
import os, signal
from hil import migrations
from hil.store import Store
step = migrations._STEPS[2]
def dying(connection):
    step(connection)
    os.kill(os.getpid(), signal.SIGKILL)
migrations._STEPS[2] = dying
Store({where!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == -9, done.stderr
    assert (contents(old), shape(old), version(old)) == (before, tables, "1")
    assert len(Store(where).measurements()) == 40
    assert version(old) == str(SCHEMA_VERSION)


def test_an_error_on_the_way_leaves_it_as_it_was(old: Engine, where: str) -> None:
    """A table of that name is there already, by another hand."""
    with old.begin() as connection:
        connection.exec_driver_sql("create table health (note varchar(20))")
    before, tables = contents(old), shape(old)
    with pytest.raises(StoreError, match=r"health.*already exists"):
        Store(where)
    assert (contents(old), shape(old), version(old)) == (before, tables, "1")
