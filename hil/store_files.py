"""Export of a store: all of it as JSON lines, which can be imported; its measurements as Parquet or CSV, to read.

JSON lines: a header ``{"format": "mico-store", "schema": 2, "exported": <Unix time>}``, then rows
``{"table": ..., "row": {...}}`` in the order of ``TABLES``, then ``{"end": {table: rows}, "sha256": ...}`` of the bytes
of all lines before, without which a file is not complete. Numbers of rows mean nothing elsewhere: an evaluation names
its campaign by key. What is about processes that run (claims, leases, health, attempts under way) stays here.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from hil import schema as t
from hil.database import Database
from mico.errors import StoreError, UsageError

__all__ = ["FORMAT", "TABLES", "export"]

FORMAT = "mico-store"
TABLES = (t.measurements, t.counts, t.attempts, t.campaigns, t.evaluations)
"""Those that an export holds, each after those that it refers to."""

_CHUNK = 500
_FLAT = (  # columns of Parquet and CSV
    *("key", "created", "kind", "model", "status", "error", "cycles", "latency_us", "clock_hz"),
    *("flash_bytes", "ram_bytes", "samples", "layers", "outputs"),
    *("parameters", "hardware", "firmware", "program", "toolchain", "tools"),
)


def export(store: Database, file: Path) -> dict[str, int]:
    """Write the store to *file*, which is replaced when all of it is on the disk; returns the rows of each table.

    Raises
    ------
    UsageError
        The name ends in none of .jsonl, .parquet, .csv.
    StoreError
        The file cannot be written, or the store not be read.
    """
    writers: dict[str, Callable[[Connection, Path], dict[str, int]]] = {
        ".jsonl": _jsonl,
        ".parquet": _parquet,
        ".csv": _csv,
    }
    write = writers.get(file.suffix)
    if write is None:
        raise UsageError("no such format", where=str(file), cure="a name that ends in .jsonl, .parquet or .csv")
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with store._read() as connection:
            rows = write(connection, part)
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(file)
    except OSError as error:
        cure = "give another file, or free some space; the store is as it was"
        raise StoreError(f"cannot be written: {error.strerror or error}", where=str(file), cure=cure) from error
    finally:
        part.unlink(missing_ok=True)
    return rows


def _jsonl(connection: Connection, part: Path) -> dict[str, int]:
    keys = {row.id: row.key for row in connection.execute(select(t.campaigns.c.id, t.campaigns.c.key))}
    numbers = {table.name: 0 for table in TABLES}
    digest = hashlib.sha256()
    with part.open("wb") as out:

        def write(value: Mapping[str, Any]) -> None:
            line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
            digest.update(line)
            out.write(line)

        write({"format": FORMAT, "schema": t.SCHEMA_VERSION, "exported": time.time()})
        for table in TABLES:
            for row in _rows(connection, table):
                row.pop("id", None)
                if "campaign" in row:
                    row["campaign"] = keys[row["campaign"]]
                write({"table": table.name, "row": row})
                numbers[table.name] += 1
        write({"end": numbers, "sha256": digest.hexdigest()})
    return numbers


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    query = select(table)
    if table is t.measurements:
        query = query.order_by(table.c.created, table.c.key)
    elif table is t.attempts:
        query = query.where(table.c.status != "running").order_by(table.c.id)
    else:
        query = query.order_by(*table.primary_key)
    for row in connection.execute(query.execution_options(yield_per=_CHUNK)).mappings():
        yield dict(row)


def _flat(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in _rows(connection, t.measurements):
        row["latency_us"] = None if row["cycles"] is None else row["cycles"] / row["clock_hz"] * 1e6
        yield {name: row[name] for name in _FLAT}


def _csv(connection: Connection, part: Path) -> dict[str, int]:
    number = 0
    with part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, _FLAT, lineterminator="\n")
        writer.writeheader()
        for row in _flat(connection):
            for name in ("samples", "layers", "outputs", "parameters", "tools"):
                row[name] = None if row[name] is None else json.dumps(row[name], sort_keys=True)
            writer.writerow(row)
            number += 1
    return {"measurements": number}


def _parquet(connection: Connection, part: Path) -> dict[str, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, whole = pa.string(), pa.int64()
    types = dict.fromkeys(_FLAT, text)
    types |= dict.fromkeys(("cycles", "clock_hz", "flash_bytes", "ram_bytes"), whole)
    types |= dict.fromkeys(("created", "latency_us"), pa.float64())
    types |= dict.fromkeys(("samples", "outputs"), pa.list_(whole))
    types["layers"] = pa.list_(pa.struct([("name", text), ("cycles", whole)]))
    schema = pa.schema(list(types.items()))
    number = 0
    with part.open("wb") as out, pq.ParquetWriter(out, schema) as writer:
        for chunk in _chunks(_flat(connection)):
            for row in chunk:
                for name in ("parameters", "tools"):
                    row[name] = json.dumps(row[name], sort_keys=True)
                if row["layers"] is not None:
                    row["layers"] = [{"name": name, "cycles": cycles} for name, cycles in row["layers"]]
            writer.write_table(pa.Table.from_pylist(chunk, schema))
            number += len(chunk)
    return {"measurements": number}


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
