"""What is in a store: its measurements by model, target, status, time and key, and the log of attempts."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, true

from hil import schema as t
from hil.database import Database
from mico.errors import UsageError

__all__ = ["COLUMNS", "ERRORS", "Filter", "Queries", "parse_since"]

ERRORS = "errors"
"""As a status: every one but ``ok``."""

COLUMNS = ("key", "created", "kind", "model", "status", "cycles", "clock_hz", "flash_bytes", "ram_bytes", "error")
"""Of a measurement in short: everything but what is long."""


@dataclass(frozen=True)
class Filter:
    """Which measurements; None: any.

    Attributes
    ----------
    model, kind
        Name of the model; kind of target.
    status
        ``ok``, one of the failures, or ``errors`` for all of those.
    since
        Unix time, s.
    key
        The first characters of the key.
    """

    model: str | None = None
    kind: str | None = None
    status: str | None = None
    since: float | None = None
    key: str | None = None

    def condition(self) -> ColumnElement[bool]:
        """As SQL."""
        c = t.measurements.c
        terms: list[ColumnElement[bool]] = [true()]
        if self.model is not None:
            terms.append(c.model == self.model)
        if self.kind is not None:
            terms.append(c.kind == self.kind)
        if self.status is not None:
            terms.append(c.status != "ok" if self.status == ERRORS else c.status == self.status)
        if self.since is not None:
            terms.append(c.created >= self.since)
        if self.key is not None:
            terms.append(c.key.startswith(self.key, autoescape=True))
        return and_(*terms)


class Queries(Database):
    """A database that is asked for what is in it."""

    def attempts(self, key: str | None = None) -> list[dict[str, Any]]:
        """The log of attempts, oldest first; of one key if given. ``samples``: its raw laps, if any."""
        query = select(t.attempts).order_by(t.attempts.c.id)
        if key is not None:
            query = query.where(t.attempts.c.key == key)
        with self._read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def measurements(self, which: Filter | None = None) -> list[dict[str, Any]]:
        """Rows of measurements with everything in them, failures included, oldest first."""
        c = t.measurements.c
        query = select(t.measurements).where((which or Filter()).condition()).order_by(c.created, c.key)
        with self._read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def listing(self, which: Filter | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """``COLUMNS`` of the measurements, oldest first; with *limit* the newest so many of them."""
        c = t.measurements.c
        query = select(*(c[name] for name in COLUMNS)).where((which or Filter()).condition())
        query = query.order_by(c.created.desc(), c.key.desc()).limit(limit)
        with self._read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()][::-1]

    def tally(self, which: Filter | None = None) -> dict[str, int]:
        """How many measurements there are of each status."""
        status = t.measurements.c.status
        query = select(status, func.count()).where((which or Filter()).condition()).group_by(status).order_by(status)
        with self._read() as connection:
            return {name: number for name, number in connection.execute(query)}


def parse_since(text: str) -> float:
    """Unix time of ``7d``, ``12h``, ``30m`` ago, or of a date or time in ISO format (local where it names no zone).

    Raises
    ------
    UsageError
        Neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([dhm])", text)
    if found is not None:
        return time.time() - float(found[1]) * {"d": 86400, "h": 3600, "m": 60}[found[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        cure = "for instance 7d, 12h, 2026-03-01 or 2026-03-01T12:00"
        raise UsageError(f"{text!r} is no time", where="--since", cure=cure) from None
