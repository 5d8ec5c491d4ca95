"""The database under the store: opening it, its transactions, and errors that name their cure.

Writers of both databases come one after another: what a transaction has read is still so when it writes. SQLite has one
lock of a file anyway; in PostgreSQL every writer takes the same advisory lock.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, inspect, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from hil import migrations
from hil import schema as t
from mico.errors import StoreError

__all__ = ["Database"]

BUSY_TIMEOUT_S = 30.0
_EXPECTED = "expected a path, or a database URL, for instance postgresql://user@host/name"
_WRITERS = 0x6D69636F  # number of the advisory lock

# A server that is gone is noticed within half a minute, also where nothing says so.
_NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25000,
}


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_of_parent: list[Any] = []


class Database:
    """Opens a database, makes its tables if there are none, takes older ones to this version, and checks it.

    A commit is on the disk when it returns: SQLite runs with a write-ahead log that is synced, PostgreSQL with
    ``synchronous_commit``.

    Parameters
    ----------
    where
        Path of an SQLite file, made with its folder if absent, or the URL of a database:
        ``postgresql://user@host/name``, ``postgresql:///name?host=/folder/of/socket``, ``sqlite:///...``.

    Attributes
    ----------
    where
        As it was given; errors show it without a password.

    Raises
    ------
    StoreError
        Not a database, damaged, locked, read-only, full, out of reach, or written by a later version.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self.where = os.fspath(where)
        self._shown, self._engine = _open(self.where)
        _engines.add(self._engine)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections that are kept; they are opened again when they are needed."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._guard(), self._engine.connect().execution_options(mico_read=True) as connection:
            yield connection

    @contextmanager
    def _write(self, *, passing: bool = False) -> Iterator[Connection]:
        """A transaction; *passing*: what it writes is worth nothing after a power failure, so no disk is waited for."""
        with (
            self._guard(),
            self._engine.connect().execution_options(mico_passing=passing) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            what = " ".join(str(error.orig).split())
            raise StoreError(what, where=self._shown, cure=_cure(what)) from error
        except json.JSONDecodeError as error:
            raise StoreError(f"damaged: {error}", where=self._shown, cure=_cure("malformed")) from error

    def _prepare(self) -> None:
        with self._read() as connection:
            if self._engine.dialect.name == "sqlite":
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if verdict != "ok":
                    raise StoreError(f"damaged: {verdict}", where=self._shown, cure=_cure("malformed"))
            tables = set(inspect(connection).get_table_names())
            version = self._version(connection) if "meta" in tables else None
        ours = set(t.metadata.tables)
        if version is None:
            self._create()
        elif version > t.SCHEMA_VERSION:
            raise StoreError(
                f"schema version {version}, this program reads up to {t.SCHEMA_VERSION}",
                where=self._shown,
                cure="update this program, or give another --store",
            )
        elif version < t.SCHEMA_VERSION:
            for step in range(version + 1, t.SCHEMA_VERSION + 1):
                with self._write() as connection:
                    migrations.migrate(connection, step)
        elif not tables.issuperset(ours):  # one that came later, within the version
            with self._write() as connection:
                t.metadata.create_all(connection)

    def _create(self) -> None:
        with self._write() as connection:
            tables = set(inspect(connection).get_table_names())
            if "meta" in tables and self._version(connection) is not None:
                return  # somebody was faster
            strange = sorted(tables & set(t.metadata.tables))
            if strange:
                raise StoreError(
                    f"has a table {strange[0]!r} already, but is not a store",
                    where=self._shown,
                    cure="it belongs to some other program: give another --store",
                )
            t.metadata.create_all(connection)
            connection.execute(insert(t.meta).values(name="schema", value=str(t.SCHEMA_VERSION)))

    def _version(self, connection: Connection) -> int | None:
        """None where the table ``meta`` is not ours, or says nothing."""
        if not {"name", "value"} <= {column["name"] for column in inspect(connection).get_columns("meta")}:
            return None
        text = migrations.version(connection)
        if text is not None and not text.isdecimal():
            raise StoreError(f"schema version {text!r} is no number", where=self._shown, cure=_cure("malformed"))
        return None if text is None else int(text)


def _open(where: str) -> tuple[str, Engine]:
    """What to call it in messages, and the engine."""
    if "://" not in where:
        path = Path(where).absolute()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the store's folder: {error}", where=where) from error
        url, shown = URL.create("sqlite", database=str(path)), where
    else:
        try:
            url = make_url(where)
            if url.drivername in ("postgres", "postgresql"):
                url = url.set(drivername="postgresql+psycopg")
        except (SQLAlchemyError, ValueError) as error:
            raise StoreError(f"cannot open: {error}", where=_masked(where), cure=_EXPECTED) from error
        shown = _masked(where)
    kind = url.drivername.partition("+")[0]
    if kind not in ("sqlite", "postgresql"):
        raise StoreError(f"{kind} is not supported", where=shown, cure=_EXPECTED)
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise StoreError("a store in memory would be lost", where=shown, cure=_EXPECTED)
    missing = {name: value for name, value in _NETWORK.items() if name not in url.query and kind == "postgresql"}
    # A connection is kept: the last one to close an SQLite file would write all of its log back each time.
    pool = {"poolclass": QueuePool, "pool_size": 2, "max_overflow": -1, "pool_pre_ping": kind == "postgresql"}
    try:
        engine = create_engine(url, connect_args=missing, **pool)
    except (SQLAlchemyError, ImportError) as error:
        raise StoreError(f"cannot open: {error}", where=shown, cure=_EXPECTED) from error
    if kind == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgresql)
    return shown, engine


def _after_fork() -> None:
    """A child has connections of its own; those of its parent it must not even close."""
    for engine in list(_engines):
        _of_parent.append(engine.pool)
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_after_fork)


def _masked(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return url.partition("://")[0] + "://..."


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _use_wal(connection: Any) -> None:
    """As its time-out for locks says: SQLite itself does not wait where several change the journal of one file."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: a transaction that reads first could not be retried by SQLite when it must wait.
    options = connection.get_execution_options()
    read = options.get("mico_read")
    connection.exec_driver_sql(f"PRAGMA synchronous = {'NORMAL' if options.get('mico_passing') else 'FULL'}")
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("mico_read"):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    lasting = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
    passing = connection.get_execution_options().get("mico_passing")
    connection.exec_driver_sql(
        f"SET LOCAL lock_timeout = {int(BUSY_TIMEOUT_S * 1000)};"
        f" {'SET LOCAL synchronous_commit = off' if passing else lasting};"
        f" SELECT pg_advisory_xact_lock({_WRITERS})"
    )


_CURES = (
    # SQLite
    ("database is locked", "another program holds the file: close it and try again"),
    ("readonly", "make the file and its folder writable, or give another --store"),
    ("unable to open", "the folder must exist and be writable, or give another --store"),
    ("disk is full", "free some space; what was reported before is safe"),
    ("disk I/O", "check the disk and its free space; what was reported before is safe if the file can be read"),
    ("not a database", "it is some other file: give another --store"),
    ("malformed", "move the file away, or try `sqlite3 FILE .recover`"),
    # PostgreSQL
    ("lock timeout", "another program has been writing for long: wait for it, or end it"),
    ("No space left", "free some space on the server; what was reported before is safe"),
    ("read-only transaction", "the server takes no writes: use its primary"),
    ("permission denied", "grant the user of the URL CREATE on the schema and its own tables"),
    ("does not exist", "create the role and the database, or correct the URL"),
    ("password", "give the password in the URL, PGPASSWORD or ~/.pgpass"),
    ("shutting down", "start the server; what was reported before is safe"),
    ("starting up", "wait until the server has started, then try again"),
    ("terminat", "start the server, then run again: it goes on; what was reported before is safe"),
    ("connection", "is the server running, and is the URL right? What was reported before is safe"),
)


def _cure(message: str) -> str:
    return next((cure for part, cure in _CURES if part in message), "")
