"""Who uses a target of the lab, in the store: leases with a heartbeat, and targets that are left alone.

A holder on this machine is gone when its process is; one on another machine when it has not renewed its lease for ten
seconds. Taking a lease is one transaction, so two that ask at once cannot both have it. Who lost a lease all the same
(a machine that slept) hears so at the next use: :meth:`Lease.check`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, extract, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from hil import schema as t
from hil.processes import born
from hil.store import Store
from mico.errors import DeviceError, MicoError, StoreError

__all__ = ["FAILURES", "HEARTBEAT_S", "LEASE_S", "Health", "Holder", "Lease", "Leases"]

LEASE_S = 10.0
HEARTBEAT_S = 2.0
FAILURES = 3
"""In a row, of device, flash or protocol: then a target is left alone until somebody releases it."""
_POLL_S = 0.1
_OK, _QUARANTINED = "ok", "quarantined"


@dataclass(frozen=True)
class Holder:
    """Who holds a target, what for, and since when; times are Unix seconds."""

    target: str
    host: str
    pid: int
    born: int
    purpose: str
    acquired: float
    expires: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.purpose})"


@dataclass(frozen=True)
class Health:
    """What is known of a target: failures in a row, and why it is left alone if it is."""

    state: str = _OK
    failures: int = 0
    reason: str | None = None
    updated: float = 0.0

    @property
    def quarantined(self) -> bool:
        return self.state == _QUARANTINED


class Leases:
    """The leases and the health of targets in *store*. All that share a bench share the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._host = socket.gethostname()

    def hold(self, name: str, purpose: str, *, wait_s: float = 0.0) -> Lease:
        """The lease of target *name*, for a ``with`` block; renewed by a thread until it is closed.

        Parameters
        ----------
        purpose
            What for, in a few words: others read it.
        wait_s
            How long to wait for somebody else.

        Raises
        ------
        DeviceError
            Somebody else holds it (the message says who), or it is quarantined (with the reason).
        """
        deadline = time.monotonic() + wait_s
        while True:
            found = self.take(name, purpose)
            if isinstance(found, Lease):
                return found
            if time.monotonic() >= deadline:
                waited = f" and did not let go within {wait_s:g} s" if wait_s else ""
                raise DeviceError(
                    f"the target is held by {found} since {time.time() - found.acquired:.0f} s{waited}",
                    where=name,
                    cure="wait for it, or end that process: its lease is then free",
                )
            time.sleep(_POLL_S)

    def take(self, name: str, purpose: str) -> Lease | Holder:
        """The lease of *name* if it is free, else who holds it. DeviceError where it is quarantined."""
        while True:
            try:
                with self.store._write(passing=True) as connection:
                    health = _health(connection, name)
                    if health.quarantined:
                        raise DeviceError(
                            f"the target is quarantined: {health.reason}",
                            where=name,
                            cure=f"repair it, then `mico targets release {name}`",
                        )
                    now = _now(connection)
                    query = select(t.leases).where(t.leases.c.target == name)
                    row = connection.execute(query).mappings().first()
                    if row is not None:
                        holder = Holder(**row)
                        if self._alive(holder, now):
                            return holder
                        connection.execute(delete(t.leases).where(_is(holder)))
                    pid = os.getpid()
                    holder = Holder(name, self._host, pid, born(pid), purpose, now, now + LEASE_S)
                    connection.execute(insert(t.leases).values(**holder.__dict__))
            except StoreError as error:
                if isinstance(error.__cause__, IntegrityError):
                    continue  # somebody was faster
                raise
            return Lease(self, holder, had_failures=health.failures > 0)

    def holders(self) -> dict[str, Holder]:
        """Who holds what at the moment, by target."""
        with self.store._read() as connection:
            now = _now(connection)
            rows = connection.execute(select(t.leases)).mappings()
            holders = [Holder(**row) for row in rows]
        return {holder.target: holder for holder in holders if self._alive(holder, now)}

    def health(self) -> dict[str, Health]:
        """Of every target of which anything is known."""
        with self.store._read() as connection:
            rows = connection.execute(select(t.health)).mappings()
            return {row["target"]: _health_of(row) for row in rows}

    def failed(self, name: str, error: MicoError) -> Health:
        """Count a failure of *name*; the third in a row quarantines it with *error* as the reason."""
        with self.store._write() as connection:
            failures = _health(connection, name).failures + 1
            state = _QUARANTINED if failures >= FAILURES else _OK
            reason = f"{failures} failures in a row, the last: {error}"
            return _set_health(connection, name, state, failures, reason)

    def succeeded(self, name: str) -> None:
        """*name* works: failures before this were not in a row with later ones."""
        with self.store._write() as connection:
            if not _health(connection, name).quarantined:
                _set_health(connection, name, _OK, 0, None)

    def release(self, name: str, *, force: bool = False) -> Holder | None:
        """Lift the quarantine of *name*; with *force* take the lease from whoever holds it, too.

        Returns
        -------
        Who held the target, if anybody did; a holder whose lease was taken hears so at its next use.
        """
        with self.store._write() as connection:
            _set_health(connection, name, _OK, 0, None)
            row = connection.execute(select(t.leases).where(t.leases.c.target == name)).mappings().first()
            holder = None if row is None else Holder(**row)
            if holder is not None and (force or not self._alive(holder, _now(connection))):
                connection.execute(delete(t.leases).where(_is(holder)))
            return holder

    # ---- of a Lease

    def renew(self, holder: Holder) -> bool:
        """Move the end of *holder*'s lease; False where it has none any more."""
        with self.store._write(passing=True) as connection:
            query = update(t.leases).where(_is(holder)).values(expires=_now(connection) + LEASE_S)
            return connection.execute(query).rowcount == 1

    def is_held(self, holder: Holder) -> bool:
        """Whether *holder* still has its lease."""
        with self.store._read() as connection:
            return connection.scalar(select(func.count()).select_from(t.leases).where(_is(holder))) == 1

    def give_back(self, holder: Holder) -> None:
        """End the lease; nothing where it was lost."""
        with self.store._write(passing=True) as connection:
            connection.execute(delete(t.leases).where(_is(holder)))

    def _alive(self, holder: Holder, now: float) -> bool:
        if holder.host == self._host:
            return holder.born != 0 and born(holder.pid) == holder.born
        return holder.expires > now


class Lease:
    """A target that is ours until :meth:`close`, or until it is taken: :meth:`check`. Made by :meth:`Leases.hold`.

    Attributes
    ----------
    holder
        How the store names us.
    had_failures
        Whether the target failed when it was last used.
    """

    def __init__(self, leases: Leases, holder: Holder, *, had_failures: bool) -> None:
        self.leases, self.holder, self.had_failures = leases, holder, had_failures
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {holder.target}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """Of the target."""
        return self.holder.target

    def check(self) -> None:
        """DeviceError where the lease was lost. What was measured before such an error must not be kept."""
        if self._end.is_set() or not self.leases.is_held(self.holder):
            raise DeviceError(
                f"the lease of {time.strftime('%H:%M:%S', time.localtime(self.holder.acquired))} is lost:"
                f" it was given back, taken by `mico targets release --force`, or not renewed for {LEASE_S:g} s",
                where=self.name,
                cure="this machine slept or was stopped: somebody else may have used the target; try again",
            )

    def close(self) -> None:
        """Give the target back. Safe to call twice."""
        if not self._end.is_set():
            self._end.set()
            self._thread.join(HEARTBEAT_S)
            self.leases.give_back(self.holder)

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_S):
            with contextlib.suppress(StoreError):  # the next beat tries again; check() tells where that was too late
                if not self.leases.renew(self.holder):
                    return

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _now(connection: Connection) -> float:
    """Unix time by the database's clock where several machines share it."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.scalar(select(extract("epoch", func.clock_timestamp()))) or 0.0)


def _is(holder: Holder) -> Any:
    c = t.leases.c
    same = (c.target == holder.target) & (c.host == holder.host) & (c.pid == holder.pid)
    return same & (c.born == holder.born) & (c.acquired == holder.acquired)


def _health(connection: Connection, name: str) -> Health:
    row = connection.execute(select(t.health).where(t.health.c.target == name)).mappings().first()
    return Health() if row is None else _health_of(row)


def _health_of(row: RowMapping) -> Health:
    return Health(row["state"], row["failures"], row["reason"], row["updated"])


def _set_health(connection: Connection, name: str, state: str, failures: int, reason: str | None) -> Health:
    health = Health(state, failures, reason, _now(connection))
    if connection.execute(update(t.health).where(t.health.c.target == name).values(**health.__dict__)).rowcount == 0:
        connection.execute(insert(t.health).values(target=name, **health.__dict__))
    return health
