"""The store: measurements, each of them once, in SQLite or PostgreSQL.

A measurement is a row under ``Provenance.key()``: same key, same measurement, so it is looked up and not run again. A
row is committed, with fsync, before anything is reported of it. A failed one has a status and an error, never a number,
and is tried again next time. A claim per key keeps two processes from measuring the same thing at once; the claim of a
process that died is taken over. The table of attempts tells every start of a measurement and what became of it, and
the database itself refuses a second successful attempt under one key. An attempt keeps its raw laps, also those that
were refused.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from hil import schema as t
from hil.processes import born
from hil.records import Evaluation, Measurement, check_run, clean, status_of
from hil.store_campaigns import Campaigns
from hil.store_queries import Queries
from hil.targets.base import LayerCycles, Program, Provenance, Run, Target
from mico.errors import MeasurementError, MicoError, StoreError

__all__ = ["Evaluation", "Measurement", "Store", "status_of"]

LEASE_S = 1800.0
"""How long a claim from another machine is believed; on this one the process is looked for instead."""

_measuring: set[tuple[str, int]] = set()
"""Keys and attempts that this process is at: a claim of its own that is not among them was left by a broken store."""


@dataclass(frozen=True)
class _Failure:
    status: str
    error: str
    samples: Sequence[int] = ()


class Store(Campaigns, Queries):
    """The measurement store.

    Parameters
    ----------
    where
        Path of an SQLite file, made with its folder if absent, or a database URL.

    Raises
    ------
    StoreError
        As :class:`hil.database.Database`.
    """

    def lookup(self, key: str) -> Measurement | None:
        """The measurement under *key*, if there is a successful one."""
        with self._read() as connection:
            row = _ok_row(connection, key)
            return None if row is None else _measurement(row, cached=True)

    def measure_once(
        self,
        target: Target,
        program: Program,
        x: NDArray[Any],
        *,
        expected: NDArray[np.int32] | None = None,
        laps: int = 2,
        warmup: int = 1,
        tools: Mapping[str, str] | None = None,
        wait_s: float = LEASE_S,
    ) -> Measurement:
        """Look *program* on *target* up, or flash it, measure it and commit the result.

        Parameters
        ----------
        x
            Inputs ``(N, C, H, W)``, 8 bits; the first is timed.
        expected
            Logits ``(1, output_count)`` that the target must produce; other outputs make the measurement a failure.
        wait_s
            How long to wait for another process that is measuring the same key.

        Raises
        ------
        MicoError
            What the target raised, or MeasurementError for an unusable run; recorded before it is raised.
        """
        provenance = target.provenance(program)
        key = provenance.key()
        deadline = time.monotonic() + wait_s
        while True:
            found = self._claim(key)
            if isinstance(found, Measurement):
                return found
            if isinstance(found, int):
                break
            if time.monotonic() > deadline:
                raise StoreError(
                    f"process {found} has been measuring this for over {wait_s:.0f} s",
                    where=f"measurement {key[:12]}",
                    cure="wait for it, or end it",
                )
            time.sleep(0.1)
        attempt, run = found, None
        try:
            try:
                target.flash(program)
                run = target.measure(x[:1], laps=laps, warmup=warmup)
                check_run(run, expected)
            except MicoError as error:
                samples = error.samples if run is None and isinstance(error, MeasurementError) else ()
                samples = samples if run is None else run.samples
                failure = _Failure(status_of(error), str(error), samples)
                self._finish(attempt, provenance, program, tools or {}, failure, target.lab_name)
                raise
            except BaseException as error:
                failure = _Failure("interrupted", repr(error))
                self._finish(attempt, provenance, program, tools or {}, failure, target.lab_name)
                raise
            if not self._finish(attempt, provenance, program, tools or {}, run, target.lab_name):
                raise StoreError(
                    "somebody else took this measurement over while it ran, so that it is not kept",
                    where=f"measurement {key[:12]}",
                    cure="this process slept or was stopped for long: run again",
                )
        finally:
            _measuring.discard((key, attempt))
        result = self.lookup(key)
        if result is None:
            raise StoreError(f"measurement {key} vanished after its commit", where=self._shown)
        return _fresh(result)

    def _claim(self, key: str) -> Measurement | int | str:
        """The measurement; or the attempt's number, now ours; or ``host:pid`` of who is measuring."""
        now, host, pid = time.time(), socket.gethostname(), os.getpid()
        attempt = None
        try:
            with self._write() as connection:
                row = _ok_row(connection, key)
                if row is not None:
                    return _measurement(row, cached=True)
                claim = connection.execute(select(t.claims).where(t.claims.c.key == key)).mappings().first()
                if claim is not None:
                    if _alive(claim, host, now):
                        return f"{claim['host']}:{claim['pid']}"
                    connection.execute(
                        update(t.attempts)
                        .where(t.attempts.c.id == claim["attempt"])
                        .values(status="lost", ended=now, error="it ended without a report")
                    )
                    connection.execute(delete(t.claims).where(t.claims.c.key == key))
                inserted = connection.execute(
                    insert(t.attempts).values(key=key, host=host, pid=pid, started=now, status="running")
                )
                primary_key = inserted.inserted_primary_key
                assert primary_key is not None
                attempt = int(primary_key[0])
                values = {"attempt": attempt, "host": host, "pid": pid, "born": born(pid), "expires": now + LEASE_S}
                connection.execute(insert(t.claims).values(key=key, **values))
                _measuring.add((key, attempt))  # before anybody can see the claim
        except BaseException:
            if attempt is not None:
                _measuring.discard((key, attempt))
            raise
        return attempt

    def _finish(
        self,
        attempt: int,
        provenance: Provenance,
        program: Program,
        tools: Mapping[str, str],
        what: Run | _Failure,
        where: str,
    ) -> bool:
        """Write what became of an attempt; False where it is not its claim any more, and no measurement comes of it."""
        key, now = provenance.key(), time.time()
        run, failure = (None, what) if isinstance(what, _Failure) else (what, None)
        ended: dict[str, Any] = {
            "ended": now,
            "samples": [int(s) for s in what.samples] or None,
            "target": where or None,
        }
        outcome = {"status": failure.status if failure else "ok", "error": clean(failure.error) if failure else None}
        this = t.attempts.c.id == attempt
        with self._write() as connection:
            ours = (t.claims.c.key == key) & (t.claims.c.attempt == attempt)
            if connection.execute(delete(t.claims).where(ours)).rowcount == 0:
                connection.execute(update(t.attempts).where(this).values(**ended))
                return False
            connection.execute(update(t.attempts).where(this).values(**ended, **outcome))
            if outcome["status"] == "interrupted":
                return True
            values = {
                **provenance.to_json(),
                **outcome,
                "cycles": None if run is None else int(run.cycles),
                "samples": None if run is None else [int(s) for s in run.samples],
                "layers": None if run is None else [[layer.name, int(layer.cycles)] for layer in run.layers],
                "outputs": None if run is None else [int(v) for v in run.outputs.ravel()],
                "model": program.name,
                "flash_bytes": program.flash_bytes,
                "ram_bytes": program.ram_bytes,
                "toolchain": program.toolchain,
                "tools": dict(tools),
                "created": now,
            }
            here = (t.measurements.c.key == key) & (t.measurements.c.status != "ok")
            if connection.execute(update(t.measurements).where(here).values(**values)).rowcount == 0:
                connection.execute(insert(t.measurements).values(key=key, **values))
        return True

    def counts(self, key: str) -> list[tuple[str, dict[str, int]]] | None:
        """Profiling counters of each layer of the measurement under *key*; None where nobody has saved them."""
        with self._read() as connection:
            layers = connection.scalar(select(t.counts.c.layers).where(t.counts.c.key == key))
        return None if layers is None else [(name, counts) for name, counts in layers]

    def save_counts(self, key: str, layers: Sequence[tuple[str, Mapping[str, int]]]) -> None:
        """Keep the counters of the measurement under *key*, instead of those that are there."""
        with self._write() as connection:
            connection.execute(delete(t.counts).where(t.counts.c.key == key))
            values = [[name, dict(counts)] for name, counts in layers]
            connection.execute(insert(t.counts).values(key=key, layers=values))


def _alive(claim: RowMapping, host: str, now: float) -> bool:
    if claim["host"] != host:
        return bool(claim["expires"] > now)
    if claim["pid"] == os.getpid() and claim["born"] == born(os.getpid()):
        return (claim["key"], claim["attempt"]) in _measuring
    return bool(claim["born"] != 0 and claim["born"] == born(claim["pid"]))


def _ok_row(connection: Connection, key: str) -> RowMapping | None:
    query = select(t.measurements).where(t.measurements.c.key == key, t.measurements.c.status == "ok")
    return connection.execute(query).mappings().first()


def _measurement(row: RowMapping, *, cached: bool) -> Measurement:
    names = ("kind", "parameters", "hardware", "firmware", "program", "clock_hz")
    return Measurement(
        key=row["key"],
        provenance={name: row[name] for name in names},
        cycles=row["cycles"],
        samples=tuple(row["samples"]),
        layers=tuple(LayerCycles(name, cycles) for name, cycles in row["layers"]),
        outputs=tuple(row["outputs"]),
        flash_bytes=row["flash_bytes"],
        ram_bytes=row["ram_bytes"],
        toolchain=row["toolchain"],
        tools=row["tools"],
        created=row["created"],
        cached=cached,
    )


def _fresh(measurement: Measurement) -> Measurement:
    return Measurement(**{**measurement.__dict__, "cached": False})
