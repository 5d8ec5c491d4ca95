"""Reading an export of a store: line by line, each checked as if a stranger had written it, and the digest of all.

The key of a measurement must be that of its provenance, a success must have numbers, a failure none.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import JSON, Float, Integer, Table

from hil import schema as t
from hil.records import clean
from hil.store_files import FORMAT, TABLES
from hil.targets.base import Provenance
from mico.errors import StoreError

__all__ = ["Line", "RowError", "read_lines"]

_PROVENANCE = ("kind", "parameters", "hardware", "firmware", "program", "clock_hz")


class Line(NamedTuple):
    """A row of a table, and where in the file it is."""

    number: int
    table: str
    row: dict[str, Any]


class RowError(Exception):
    """What is wrong with a line; becomes a StoreError with the file's name."""

    def __init__(self, line: int, what: str, cure: str = "export it again; nothing was imported") -> None:
        super().__init__(what)
        self.line, self.what, self.cure = line, what, cure


def read_lines(file: Path) -> Iterator[Line]:
    """The rows of an export, each of which is what it should be; ends only where the file is complete.

    Raises
    ------
    RowError
        A line is not what it should be.
    StoreError
        The file cannot be read.
    """
    columns = {table.name: _columns(table) for table in TABLES}
    numbers = dict.fromkeys(columns, 0)
    number, digest = 0, hashlib.sha256()
    try:
        with file.open("rb") as source:
            for number, text in enumerate(source, 1):
                value = _object(number, text)
                if number == 1:
                    _check_header(value)
                elif "end" in value:
                    if value["end"] != numbers:
                        raise RowError(number, f"the file should have {value['end']} rows, it has {numbers}")
                    if value.get("sha256") != digest.hexdigest():
                        raise RowError(number, "the digest is another: the file was changed, or damaged on its way")
                    if source.read(1):
                        raise RowError(number + 1, "something follows the end")
                    return
                else:
                    name, row = value.get("table"), value.get("row")
                    if not isinstance(name, str) or name not in columns or not isinstance(row, dict):
                        raise RowError(number, "is no row of a store")
                    _check_columns(number, columns[name], row)
                    numbers[name] += 1
                    line = Line(number, name, row)
                    _check_outcome(line)
                    yield line
                digest.update(text)
    except OSError as error:
        raise StoreError(f"cannot be read: {error}", where=str(file)) from error
    raise RowError(number, "the end is missing: the file is not complete")


def _object(number: int, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError(number, f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RowError(number, "is no JSON object")
    return value


def _check_header(value: Mapping[str, Any]) -> None:
    if value.get("format") != FORMAT or not isinstance(value.get("schema"), int):
        raise RowError(1, "is no export of a store", "give a file of `mico results export FILE.jsonl`")
    if value["schema"] > t.SCHEMA_VERSION:
        what = f"schema version {value['schema']}, this program reads up to {t.SCHEMA_VERSION}"
        raise RowError(1, what, "update this program")


_Check = Callable[[Any], bool]


def _columns(table: Table) -> dict[str, _Check]:
    return {column.name: _check_of(column) for column in table.c if column.name != "id"}


def _check_of(column: Any) -> _Check:
    special: dict[str, _Check] = {
        "samples": _is_numbers,
        "outputs": _is_numbers,
        "layers": _is_layers,
        "parameters": _is_mapping,
        "tools": _is_mapping,
        "scheme": _is_mapping,
        "config": _is_mapping,
        "result": _is_mapping,
    }
    if isinstance(column.type, JSON):
        check = special[column.name]
    elif (column.table.name, column.name) == ("evaluations", "campaign"):
        check = _is_text  # by key
    elif isinstance(column.type, Float):
        check = _is_float
    elif isinstance(column.type, Integer):
        check = _is_integer
    else:
        check = _is_text
    return (lambda value: value is None or check(value)) if column.nullable else check


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and clean(value) == value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_float(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(_is_integer(item) for item in value)


def _is_layers(value: Any) -> bool:
    """``[[name, cycles], ...]``, of counts ``[[name, {counter: N}], ...]``."""
    return isinstance(value, list) and all(
        isinstance(item, list)
        and len(item) == 2
        and isinstance(item[0], str)
        and (_is_integer(item[1]) or (isinstance(item[1], dict) and all(map(_is_integer, item[1].values()))))
        for item in value
    )


def _check_columns(number: int, columns: Mapping[str, _Check], row: Mapping[str, Any]) -> None:
    if row.keys() != columns.keys():
        name = sorted(row.keys() ^ columns.keys())[0]
        raise RowError(number, f"column {name!r} is {'unknown' if name in row else 'missing'}")
    wrong = next((name for name, check in columns.items() if not check(row[name])), None)
    if wrong is not None:
        raise RowError(number, f"column {wrong!r} cannot be {str(row[wrong])[:40]!r}")


def _check_outcome(line: Line) -> None:
    row = line.row
    if line.table == "evaluations" and row["status"] == "ok" and row["measurement"] is None:
        raise RowError(line.number, f"evaluation {row['position']} has no measurement, and its status is 'ok'")
    if line.table != "measurements":
        return
    provenance = Provenance(**{name: row[name] for name in _PROVENANCE})
    if provenance.key() != row["key"]:
        raise RowError(line.number, f"measurement {row['key'][:12]} is not what its key says: somebody changed it")
    numbers = [row[name] is not None for name in ("cycles", "samples", "layers", "outputs")]
    if row["status"] == "ok":
        good = all(numbers) and row["error"] is None and row["cycles"] > 0 and len(row["samples"]) > 0
        good = good and all(isinstance(cycles, int) for _, cycles in row["layers"])
    else:
        good = not any(numbers) and row["error"] is not None
    if not good:
        raise RowError(line.number, f"measurement {row['key'][:12]}: status {row['status']!r} with such numbers")
