"""The database under the store: connections, durability, schema, and errors that name their cure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, insert, inspect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from hil import migrations
from hil import schema as t
from mico.errors import StoreError

__all__ = ["Database"]

BUSY_TIMEOUT_S = 30.0


class Database:
    """Opens a database, makes its tables if there are none, and checks it.

    SQLite runs with a write-ahead log, and a commit is on the disk when it returns.

    Parameters
    ----------
    where
        Path of an SQLite file, made with its folder if absent, or a database URL.

    Raises
    ------
    StoreError
        Not a database, damaged, locked, read-only, full, or written by another version.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        text = os.fspath(where)
        self.where = text
        if "://" in text:
            url = text
        else:
            path = Path(text).absolute()
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"cannot make the store's folder: {error}", where=text) from error
            url = f"sqlite:///{path}"
        try:
            self._engine = create_engine(url, poolclass=NullPool)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreError(f"cannot open: {error}", where=text, cure="expected a path or a database URL") from error
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._prepare()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._guard(), self._engine.connect().execution_options(mico_read=True) as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._guard(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            what = str(error.orig)
            raise StoreError(what, where=self.where, cure=_cure(what)) from error

    def _prepare(self) -> None:
        with self._read() as connection:
            if self._engine.dialect.name == "sqlite":
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if verdict != "ok":
                    raise StoreError(f"damaged: {verdict}", where=self.where, cure=_cure("malformed"))
            tables = set(inspect(connection).get_table_names())
            version = migrations.version(connection) if "meta" in tables else None
        if version is None:
            with self._write() as connection:
                if not inspect(connection).has_table("meta"):  # nobody was faster
                    t.metadata.create_all(connection)
                    connection.execute(insert(t.meta).values(name="schema", value=str(t.SCHEMA_VERSION)))
        elif version > t.SCHEMA_VERSION:
            raise StoreError(
                f"schema version {version}, this program reads up to {t.SCHEMA_VERSION}",
                where=self.where,
                cure="update this program, or give another --store",
            )
        elif version < t.SCHEMA_VERSION:
            for step in range(version + 1, t.SCHEMA_VERSION + 1):
                with self._write() as connection:
                    migrations.migrate(connection, step)
        elif not tables.issuperset(t.metadata.tables):  # one that came later, within the version
            with self._write() as connection:
                t.metadata.create_all(connection)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: a transaction that reads first could not be retried by SQLite when it must wait.
    read = connection.get_execution_options().get("mico_read")
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


def _cure(message: str) -> str:
    for part, cure in (
        ("locked", "another program holds the file: close it and try again"),
        ("readonly", "make the file and its folder writable, or give another --store"),
        ("unable to open", "the folder must exist and be writable, or give another --store"),
        ("disk is full", "free some space; what was reported before is safe"),
        ("disk I/O", "check the disk; what was reported before is safe if the file can be read"),
        ("not a database", "it is some other file: give another --store"),
        ("malformed", "move the file away, or try `sqlite3 FILE .recover`"),
    ):
        if part in message:
            return cure
    return ""
