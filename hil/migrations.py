"""Takes the store of an earlier version to the present one, a version at a time, each in a transaction of its own.

A step is a function that turns a database of the version before into its own. It says what it does in SQL and does not
look at `schema.py`, which moves on. What both SQLite and PostgreSQL understand is enough so far.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

__all__ = ["migrate", "version"]


def version(connection: Connection) -> str | None:
    """The version of the database, which has a table ``meta``; None where that says nothing."""
    value = connection.exec_driver_sql("SELECT value FROM meta WHERE name = 'schema'").scalar()
    return None if value is None else str(value)


def migrate(connection: Connection, step: int) -> None:
    """Take a database of version ``step - 1`` to *step*; leaves one alone that somebody else has taken there.

    *connection* is in a transaction that keeps other writers out. An error leaves the database as it was.
    """
    present = version(connection)
    if present is not None and int(present) < step:
        _STEPS[step](connection)
        connection.exec_driver_sql(f"UPDATE meta SET value = '{step}' WHERE name = 'schema'")


def _leases(connection: Connection) -> None:
    """2: targets of a lab are leased, and their health is known; an attempt carries its laps and its target."""
    for statement in (
        # version 1 itself began without counts
        "CREATE TABLE IF NOT EXISTS counts (key VARCHAR(64) NOT NULL, layers JSON NOT NULL, PRIMARY KEY (key),"
        " FOREIGN KEY(key) REFERENCES measurements (key))",
        "CREATE TABLE leases (target VARCHAR NOT NULL, host VARCHAR NOT NULL, pid INTEGER NOT NULL,"
        " born BIGINT NOT NULL, purpose VARCHAR NOT NULL, acquired FLOAT NOT NULL, expires FLOAT NOT NULL,"
        " PRIMARY KEY (target))",
        "CREATE TABLE health (target VARCHAR NOT NULL, state VARCHAR NOT NULL, failures INTEGER NOT NULL,"
        " reason TEXT, updated FLOAT NOT NULL, PRIMARY KEY (target))",
        "ALTER TABLE attempts ADD COLUMN samples JSON",
        "ALTER TABLE attempts ADD COLUMN target VARCHAR",
    ):
        connection.exec_driver_sql(statement)


_STEPS: dict[int, Callable[[Connection], None]] = {2: _leases}
