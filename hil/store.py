"""Measurements, evaluations and campaigns in SQLite (or any SQLAlchemy URL).

A measurement is a row under ``Provenance.key()``: same key, same measurement, so it is looked up and not run again. A
row is committed, with fsync, before anything is reported of it. A failed one has a status and an error, never a number,
and is tried again next time. A claim per key keeps two processes from measuring the same thing at once; the claim of a
process that died is taken over. The table of attempts tells every start of a measurement and what became of it, and
the database itself refuses a second successful attempt under one key.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from hil import schema as t
from hil.database import Database
from hil.processes import born
from hil.records import Evaluation, Measurement, check_run, status_of
from hil.targets.base import LayerCycles, Program, Provenance, Run, Target
from mico.errors import (
    MicoError,
    StoreError,
)

__all__ = ["Evaluation", "Measurement", "Store", "status_of"]

LEASE_S = 1800.0
"""How long a claim from another machine is believed; on this one the process is looked for instead."""


class Store(Database):
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

    # ---------------------------------------------------------------- measurements

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
        attempt = found
        try:
            target.flash(program)
            run = target.measure(x[:1], laps=laps, warmup=warmup)
            check_run(run, expected)
        except MicoError as error:
            self._finish(attempt, provenance, program, tools or {}, status_of(error), error=str(error))
            raise
        except BaseException as error:
            self._finish(attempt, provenance, program, tools or {}, "interrupted", error=repr(error))
            raise
        self._finish(attempt, provenance, program, tools or {}, "ok", run=run)
        result = self.lookup(key)
        if result is None:
            raise StoreError(f"measurement {key} vanished after its commit", where=self.where)
        return _fresh(result)

    def _claim(self, key: str) -> Measurement | int | str:
        """The measurement; or the attempt's number, now ours; or ``host:pid`` of who is measuring."""
        now, host, pid = time.time(), socket.gethostname(), os.getpid()
        with self._write() as connection:
            row = _ok_row(connection, key)
            if row is not None:
                return _measurement(row, cached=True)
            claim = connection.execute(select(t.claims).where(t.claims.c.key == key)).mappings().first()
            if claim is not None:
                if claim["host"] == host:
                    alive = claim["born"] == born(claim["pid"]) and claim["born"] != 0
                else:
                    alive = claim["expires"] > now
                if alive:
                    return f"{claim['host']}:{claim['pid']}"
                connection.execute(
                    update(t.attempts)
                    .where(t.attempts.c.id == claim["attempt"])
                    .values(status="lost", ended=now, error="its process ended before it reported")
                )
                connection.execute(delete(t.claims).where(t.claims.c.key == key))
            inserted = connection.execute(
                insert(t.attempts).values(key=key, host=host, pid=pid, started=now, status="running")
            )
            primary_key = inserted.inserted_primary_key
            assert primary_key is not None
            attempt = int(primary_key[0])
            connection.execute(
                insert(t.claims).values(
                    key=key, attempt=attempt, host=host, pid=pid, born=born(pid), expires=now + LEASE_S
                )
            )
            return attempt

    def _finish(
        self,
        attempt: int,
        provenance: Provenance,
        program: Program,
        tools: Mapping[str, str],
        status: str,
        *,
        run: Run | None = None,
        error: str | None = None,
    ) -> None:
        key, now = provenance.key(), time.time()
        with self._write() as connection:
            connection.execute(
                update(t.attempts).where(t.attempts.c.id == attempt).values(status=status, ended=now, error=error)
            )
            connection.execute(delete(t.claims).where(t.claims.c.key == key))
            if status == "interrupted":
                return
            values = {
                **provenance.to_json(),
                "status": status,
                "error": error,
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

    def attempts(self, key: str | None = None) -> list[dict[str, Any]]:
        """The log of attempts, oldest first; of one key if given."""
        query = select(t.attempts).order_by(t.attempts.c.id)
        if key is not None:
            query = query.where(t.attempts.c.key == key)
        with self._read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def measurements(self) -> list[dict[str, Any]]:
        """All rows of measurements, failures included, oldest first."""
        with self._read() as connection:
            query = select(t.measurements).order_by(t.measurements.c.created)
            return [dict(row) for row in connection.execute(query).mappings()]

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

    # ---------------------------------------------------------------- campaigns

    def campaign(self, config: Mapping[str, Any]) -> int:
        """Number of the campaign with this configuration; made if new."""
        key = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
        now = time.time()
        with self._write() as connection:
            number = connection.scalar(select(t.campaigns.c.id).where(t.campaigns.c.key == key))
            if number is None:
                values = {"key": key, "config": dict(config), "state": "running", "wall_s": 0.0}
                inserted = connection.execute(insert(t.campaigns).values(**values, created=now, updated=now))
                assert inserted.inserted_primary_key is not None
                number = inserted.inserted_primary_key[0]
            return int(number)

    def set_campaign(
        self, number: int, state: str, *, add_wall_s: float = 0.0, result: Mapping[str, Any] | None = None
    ) -> None:
        """Set the state, add to the time spent, and set the result if one is given."""
        values: dict[str, Any] = {"state": state, "updated": time.time()}
        if result is not None:
            values["result"] = dict(result)
        with self._write() as connection:
            connection.execute(
                update(t.campaigns)
                .where(t.campaigns.c.id == number)
                .values(**values, wall_s=t.campaigns.c.wall_s + add_wall_s)
            )

    def campaigns(self) -> list[dict[str, Any]]:
        """All campaigns, oldest first, with their number of evaluations."""
        count = (
            select(func.count())
            .where(t.evaluations.c.campaign == t.campaigns.c.id)
            .scalar_subquery()
            .label("evaluated")
        )
        with self._read() as connection:
            query = select(t.campaigns, count).order_by(t.campaigns.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def save_evaluation(self, campaign: int, context: str, digest: str, evaluation: Evaluation) -> None:
        """Write the evaluation, over the one at its position if there is one (a failure that was tried again)."""
        e = evaluation
        values = {
            "stage": e.stage,
            "context": context,
            "scheme": {name: dict(bits) for name, bits in e.scheme.items()},
            "scheme_digest": digest,
            "method": e.method,
            "accuracy": e.accuracy,
            "seconds": e.seconds,
            "predicted_cycles": e.predicted_cycles,
            "program": e.program,
            "measurement": e.measurement,
            "status": e.status,
            "error": e.error,
            "created": time.time(),
        }
        here = (t.evaluations.c.campaign == campaign) & (t.evaluations.c.position == e.position)
        with self._write() as connection:
            if connection.execute(update(t.evaluations).where(here).values(**values)).rowcount == 0:
                connection.execute(insert(t.evaluations).values(campaign=campaign, position=e.position, **values))

    def evaluations(self, campaign: int) -> list[Evaluation]:
        """Evaluations of a campaign in the order in which the searcher was told."""
        return self._evaluations(t.evaluations.c.campaign == campaign)

    def known_evaluation(self, context: str, digest: str) -> Evaluation | None:
        """A successful evaluation of the same scheme in the same context, from any campaign."""
        c = t.evaluations.c
        found = self._evaluations((c.context == context) & (c.scheme_digest == digest) & (c.status == "ok"))
        return found[0] if found else None

    def _evaluations(self, where: Any) -> list[Evaluation]:
        m = t.measurements.c
        query = (
            select(t.evaluations, m.cycles, m.layers, m.flash_bytes, m.ram_bytes)
            .join(t.measurements, (m.key == t.evaluations.c.measurement) & (m.status == "ok"), isouter=True)
            .where(where)
            .order_by(t.evaluations.c.position)
        )
        with self._read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Evaluation(
                **{name: row[name] for name in Evaluation.__dataclass_fields__ if name != "layers"},
                layers=tuple(LayerCycles(name, cycles) for name, cycles in row["layers"] or ()),
            )
            for row in rows
        ]


# -------------------------------------------------------------------- helpers


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
