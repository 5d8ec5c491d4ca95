"""Import of what :mod:`hil.store_files` exported as JSON lines: all of a file in one transaction, or nothing of it.

Doing it twice changes nothing. A success is never changed: one that the file has another way is an error. Where only
one side has succeeded, that side stays; of two failures the one in the store, of two states of a campaign that is not
done the later one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select, tuple_, update

from hil import schema as t
from hil.database import Database
from hil.store_files import TABLES
from hil.store_lines import Line, RowError, read_lines
from mico.errors import StoreError

__all__ = ["import_file"]

_CHUNK = 400


def import_file(store: Database, file: Path) -> dict[str, int]:
    """Add the rows of *file* to the store; returns how many of each table are new or took a failure's place.

    Raises
    ------
    StoreError
        With the line: the file is no complete export, or of a later version; a row is not what it should be, or is in
        conflict with one in the store. The store is then as it was.
    """
    added = {table.name: 0 for table in TABLES}
    merge: dict[str, Callable[[Connection, Sequence[Line]], int]] = {
        "measurements": _measurements,
        "counts": _counts,
        "attempts": _attempts,
        "campaigns": _campaigns,
        "evaluations": _evaluations,
    }
    try:
        with store._write() as connection:
            for table, lines in groupby(read_lines(file), key=lambda line: line.table):
                while chunk := list(islice(lines, _CHUNK)):
                    added[table] += merge[table](connection, chunk)
    except RowError as error:
        raise StoreError(error.what, where=f"{file}:{error.line}", cure=error.cure) from error
    return added


def _conflict(line: Line, what: str) -> RowError:
    return RowError(line.number, what, "nothing was imported: find out which is right, and remove the other")


# ---- a table each: what is new is inserted, what is known left alone


def _measurements(connection: Connection, lines: Sequence[Line]) -> int:
    present = _present(connection, t.measurements, ("key",), lines)
    new: list[dict[str, Any] | None] = []
    for line in lines:
        row, here = line.row, present.get((line.row["key"],))
        if here is None:
            new.append(row)
        elif row["status"] == "ok" and here["status"] != "ok":
            connection.execute(update(t.measurements).where(t.measurements.c.key == row["key"]).values(**row))
            new.append(None)
        elif row["status"] == "ok":
            other = _differing(row, here, but=("created", "tools", "toolchain"))
            if other is not None:
                what = f"measurement {row['key'][:12]} has {other} {_short(row[other])} here, in the store it has"
                raise _conflict(line, f"{what} {_short(here[other])}")
    return _insert(connection, t.measurements, new)


def _counts(connection: Connection, lines: Sequence[Line]) -> int:
    present = _present(connection, t.counts, ("key",), lines)
    _refers(connection, "key", lines)
    new: list[dict[str, Any] | None] = []
    for line in lines:
        here = present.get((line.row["key"],))
        if here is None:
            new.append(line.row)
        elif here["layers"] != line.row["layers"]:
            raise _conflict(line, f"measurement {line.row['key'][:12]} has other counts in the store")
    return _insert(connection, t.counts, new)


def _attempts(connection: Connection, lines: Sequence[Line]) -> int:
    names = ("key", "host", "pid", "started")
    present = _present(connection, t.attempts, names, lines)
    c = t.attempts.c
    keys = {line.row["key"] for line in lines}
    succeeded = set(connection.scalars(select(c.key).where(c.status == "ok", c.key.in_(keys))))
    new: list[dict[str, Any] | None] = []
    for line in lines:
        row, here = line.row, present.get(tuple(line.row[name] for name in names))
        if row["status"] == "running":
            raise RowError(line.number, "an attempt that is under way cannot be imported")
        if here is None:
            if row["status"] == "ok" and row["key"] in succeeded:
                continue  # measured in both places, with the same numbers: one success a key
            new.append(row)
        elif here["status"] not in ("running", row["status"]):
            raise _conflict(line, f"an attempt of {row['key'][:12]} has status {here['status']!r} in the store")
    return _insert(connection, t.attempts, new)


def _campaigns(connection: Connection, lines: Sequence[Line]) -> int:
    present = _present(connection, t.campaigns, ("key",), lines)
    new: list[dict[str, Any] | None] = []
    for line in lines:
        row, here = line.row, present.get((line.row["key"],))
        if here is None:
            new.append(row)
        elif here["state"] == "done":
            if row["state"] == "done" and row["result"] != here["result"]:
                raise _conflict(line, f"campaign {row['key'][:12]} has another result in the store")
        elif row["updated"] > here["updated"]:
            values = {name: row[name] for name in ("state", "result", "updated", "wall_s")}
            connection.execute(update(t.campaigns).where(t.campaigns.c.key == row["key"]).values(**values))
            new.append(None)
    return _insert(connection, t.campaigns, new)


def _evaluations(connection: Connection, lines: Sequence[Line]) -> int:
    _refers(connection, "measurement", lines)
    keys = {line.row["campaign"] for line in lines}
    query = select(t.campaigns.c.key, t.campaigns.c.id).where(t.campaigns.c.key.in_(keys))
    numbers = {key: number for key, number in connection.execute(query)}
    moved = []
    for line in lines:
        if line.row["campaign"] not in numbers:
            raise RowError(line.number, f"its campaign {line.row['campaign'][:12]} is missing")
        moved.append(line._replace(row={**line.row, "campaign": numbers[line.row["campaign"]]}))
    present = _present(connection, t.evaluations, ("campaign", "position"), moved)
    new: list[dict[str, Any] | None] = []
    for line in moved:
        row, here = line.row, present.get((line.row["campaign"], line.row["position"]))
        if here is None:
            new.append(row)
        elif here["status"] != "ok" and row["status"] == "ok":
            connection.execute(update(t.evaluations).where(t.evaluations.c.id == here["id"]).values(**row))
            new.append(None)
        elif here["status"] == "ok" == row["status"]:
            other = _differing(row, here, but=("created", "seconds"))
            if other is not None:
                raise _conflict(line, f"evaluation {row['position']} of the campaign has another {other} in the store")
    return _insert(connection, t.evaluations, new)


# ---- helpers


def _present(
    connection: Connection, table: Table, names: Sequence[str], lines: Sequence[Line]
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """The rows of the store that have the same *names* as one of *lines*."""
    wanted = [tuple(line.row[name] for name in names) for line in lines]
    if len(set(wanted)) < len(wanted):
        raise RowError(lines[0].number, f"two rows of {table.name} from here on are the same")
    query = select(table).where(tuple_(*(table.c[name] for name in names)).in_(wanted))
    return {tuple(row[name] for name in names): dict(row) for row in connection.execute(query).mappings()}


def _refers(connection: Connection, name: str, lines: Sequence[Line]) -> None:
    """A row that names a measurement must find it."""
    keys = {line.row[name] for line in lines} - {None}
    known = set(connection.scalars(select(t.measurements.c.key).where(t.measurements.c.key.in_(keys))))
    line = next((line for line in lines if line.row[name] is not None and line.row[name] not in known), None)
    if line is not None:
        raise RowError(line.number, f"its measurement {line.row[name][:12]} is missing")


def _differing(row: Mapping[str, Any], here: Mapping[str, Any], *, but: Sequence[str]) -> str | None:
    return next((name for name in row if name not in but and row[name] != here[name]), None)


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any] | None]) -> int:
    """Insert *rows*; None stands for one that was updated. Returns how many there are."""
    new = [row for row in rows if row is not None]
    if new:
        connection.execute(insert(table), new)
    return len(rows)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
