"""The bench: targets of a lab under their leases, and several that stand in for each other as one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.lab import Lab
from hil.leases import Lease, Leases
from hil.store import Store
from hil.targets.base import Program, Provenance, Run, Target
from mico.errors import DeviceError, FlashError, MicoError, ProtocolError, UsageError
from mico.quant.integer import IntegerModel

__all__ = ["Leased", "Pool", "open_bench"]

WAIT_S = 600.0
LINGER_S = 1.0
_T = TypeVar("_T")
_FAILURES = (DeviceError, ProtocolError, FlashError)
"""Of the target, as against the model or the measurement."""


def open_bench(lab: Lab, names: str, store: Store, purpose: str, *, wait_s: float = WAIT_S) -> Pool:
    """The targets *names* of *lab* (names or groups, by commas) as one, not yet open.

    Raises
    ------
    UsageError
        No such target; or targets that are not the same hardware.
    """
    leases = Leases(store)
    members = [Leased(name, lab.target(name), leases, purpose) for name in lab.select(names)]
    return Pool(members, wait_s=wait_s)


class Leased(Target):
    """A target of a lab that is held while it is open; what fails on it counts against its health.

    Parameters
    ----------
    lab_name
        Name of the target in the lab, and of its lease.
    inner
        The target.
    purpose
        What for, in a few words.
    wait_s
        How long ``open`` waits for somebody else.
    """

    def __init__(self, lab_name: str, inner: Target, leases: Leases, purpose: str, *, wait_s: float = 0.0) -> None:
        self.lab_name, self.inner, self.leases, self.purpose, self.wait_s = lab_name, inner, leases, purpose, wait_s
        self.name = inner.name
        self.simd = inner.simd
        self._lease: Lease | None = None
        self._suspect = False

    @property
    def asks(self) -> bool:
        return self.inner.asks

    def open(self) -> None:
        self.close()
        self._open(self.leases.hold(self.lab_name, self.purpose, wait_s=self.wait_s))

    def try_open(self) -> bool:
        """Open it unless somebody else holds it; DeviceError where it is quarantined or cannot be opened."""
        self.close()
        found = self.leases.take(self.lab_name, self.purpose)
        if not isinstance(found, Lease):
            return False
        self._open(found)
        return True

    def close(self) -> None:
        try:
            self.inner.close()
        finally:
            if self._lease is not None:
                lease, self._lease = self._lease, None
                lease.close()

    def provenance(self, program: Program) -> Provenance:
        """As :meth:`Target.provenance`; a board that must be asked is held meanwhile."""
        if not self.inner.asks:
            return self.inner.provenance(program)
        if self._lease is not None:
            return self._use(lambda: self.inner.provenance(program))
        with self:
            return self._use(lambda: self.inner.provenance(program))

    def build(self, model: IntegerModel) -> Program:
        return self.inner.build(model)

    def flash(self, program: Program) -> None:
        self._use(lambda: self.inner.flash(program))

    def info(self) -> dict[str, str]:
        return self._use(self.inner.info)

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        return self._use(lambda: self.inner.infer(x), proves=True)

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        return self._use(lambda: self.inner.measure(x, laps=laps, warmup=warmup), proves=True)

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        return self._use(self.inner.counts)

    def _open(self, lease: Lease) -> None:
        self._lease, self._suspect = lease, lease.had_failures
        try:
            self._use(self.inner.open)
        except BaseException:
            self.close()
            raise

    def _use(self, work: Callable[[], _T], *, proves: bool = False) -> _T:
        """*work* between two looks at the lease: what was measured while somebody else had the target is not kept."""
        lease = self._lease
        if lease is None:
            raise DeviceError("the target is not held", where=self.lab_name, cure="call open(), or use a with block")
        lease.check()
        try:
            result = work()
        except _FAILURES as error:
            lease.check()  # somebody else on the line explains any failure
            self._suspect = True
            self.leases.failed(self.lab_name, error)
            raise
        lease.check()
        if proves and self._suspect:
            self._suspect = False
            self.leases.succeeded(self.lab_name)
        return result


class Pool(Target):
    """Targets of the same hardware as one: opened, it is whichever is free.

    After a failure the next ``open`` takes another one, if there is. Results do not depend on which is taken: members
    have the same provenance, so a measurement of any is a measurement of all.

    Parameters
    ----------
    wait_s
        How long ``open`` waits while all are held by others.
    linger_s
        How long a target is kept after :meth:`rest`, in case it is wanted again at once.
    """

    def __init__(self, members: Sequence[Leased], *, wait_s: float = WAIT_S, linger_s: float = LINGER_S) -> None:
        if not members:
            raise UsageError("a pool without targets")
        kinds = {type(member.inner).__name__ for member in members}
        if len(kinds) > 1:
            names = ", ".join(member.lab_name for member in members)
            raise UsageError(f"targets of different kinds cannot stand in for each other: {names}", where="target")
        self.members = tuple(members)
        self.wait_s, self.linger_s = wait_s, linger_s
        self.name = members[0].name
        self.simd = members[0].simd
        self.copies = len(members)
        self._first = 0  # where the search for a free member begins
        self._current: Leased | None = None
        self.lab_name = ""
        self._compared: set[str] = set()
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None

    @property
    def device(self) -> Target:
        """The target itself that is in use; DeviceError while closed."""
        if self._current is None:
            raise DeviceError("no target of the pool is open", where=self.name, cure="call open() first")
        return self._current.inner

    @property
    def asks(self) -> bool:
        return all(member.asks for member in self.members)

    def open(self) -> None:
        with self._lock:
            self._stop_timer()
            if self._current is not None:
                return  # it was resting
            self._current = self._take()
            self.lab_name = self._current.lab_name

    def rest(self) -> bool:
        """Nothing is wanted for now: unless it is opened again within *linger_s*, others may have the target."""
        with self._lock:
            self._stop_timer()
            self._timer = threading.Timer(self.linger_s, self._close_rested)
            self._timer.daemon = True
            self._timer.start()
        return True

    def close(self) -> None:
        with self._lock:
            self._stop_timer()
            if self._current is not None:
                current, self._current, self.lab_name = self._current, None, ""
                current.close()

    def provenance(self, program: Program) -> Provenance:
        """As :meth:`Target.provenance`; UsageError where members differ in what they are."""
        known = [member for member in self.members if not member.asks]
        if not known:
            self._asked(program)
            known = [member for member in self.members if not member.asks]
        lead = self._current if self._current in known else known[0]
        found = lead.provenance(program)
        for member in known:
            if member is not lead and member.lab_name not in self._compared:
                _same(lead.lab_name, found, member.lab_name, member.provenance(program))
            self._compared.add(member.lab_name)
        return found

    def build(self, model: IntegerModel) -> Program:
        return self.members[0].build(model)

    def flash(self, program: Program) -> None:
        def work(member: Leased) -> None:
            others = [other for other in self.members if not other.asks]
            asked = member.asks
            member.flash(program)
            if asked and others:
                _same(others[0].lab_name, others[0].provenance(program), member.lab_name, member.provenance(program))

        self._with(work)

    def info(self) -> dict[str, str]:
        return self._with(lambda member: member.info())

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        return self._with(lambda member: member.infer(x))

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        return self._with(lambda member: member.measure(x, laps=laps, warmup=warmup))

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        return self._with(lambda member: member.counts())

    # ---- details

    def _asked(self, program: Program) -> None:
        """Ask whichever board is free what it is."""
        was_open = self._current is not None
        if not was_open:
            self.open()
        try:
            self._with(lambda member: member.provenance(program))
        finally:
            if not was_open:
                self.rest()

    def _with(self, work: Callable[[Leased], _T]) -> _T:
        with self._lock:
            self._stop_timer()
            if self._current is None:
                raise DeviceError("no target of the pool is open", where=self.name, cure="call open() first")
            try:
                return work(self._current)
            except _FAILURES:
                self._first = (self.members.index(self._current) + 1) % len(self.members)
                raise

    def _take(self) -> Leased:
        """The first member that is free and works, waiting for one if all are held."""
        deadline = time.monotonic() + self.wait_s
        broken: dict[str, MicoError] = {}
        while True:
            for index in range(len(self.members)):
                member = self.members[(self._first + index) % len(self.members)]
                if member.lab_name in broken:
                    continue
                try:
                    if member.try_open():
                        return member
                except _FAILURES as error:
                    broken[member.lab_name] = error
            busy = [member for member in self.members if member.lab_name not in broken]
            if not busy and len(broken) == 1:
                raise next(iter(broken.values()))
            if not busy:
                told = "; ".join(str(error) for error in broken.values())
                raise DeviceError(f"no target works: {told}", where=self.name, cure="`mico targets` tells more")
            if time.monotonic() >= deadline:
                busy[0].open()  # says who holds it; or it came free
                return busy[0]
            time.sleep(0.1)

    def _close_rested(self) -> None:
        with self._lock:
            if self._timer is not None:
                with contextlib.suppress(MicoError):
                    self.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _same(name: str, wanted: Provenance, other_name: str, other: Provenance) -> None:
    a, b = wanted.to_json(), other.to_json()
    different = [key for key in a if a[key] != b[key]]
    if different:
        raise UsageError(
            f"{other_name} differs from {name} in its {' and '.join(different)}: one cannot stand in for the other",
            where="target",
            cure="name targets of one configuration, or measure on each by itself",
        )
