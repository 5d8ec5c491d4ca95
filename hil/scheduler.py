"""Evaluations on other machines: a Dask scheduler, whose workers advertise what they have.

A campaign asks the workers for trainings, accuracies and measurements, and decides and commits everything itself: so
its result does not depend on how many workers there are, nor on which of them did what. The software must be the same
on all sides; a worker with another is left alone.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from hil import scheduler_tasks as tasks
from mico.errors import ClusterError, MicoError, UsageError
from mico.quant.evaluate import Evaluator

__all__ = ["CONNECT_S", "LOCAL", "PATIENCE_S", "Cluster"]

LOCAL = "local"
"""In place of an address: processes on this machine."""

CONNECT_S = 10.0
PATIENCE_S = 60.0
"""How long a task waits while no worker is there that could do it."""

_LOOK_S = 1.0  # between two looks at the workers


class Cluster:
    """The workers of a scheduler, as one campaign sees them. A context manager.

    Parameters
    ----------
    address
        ``tcp://host:port``, or ``local``.
    patience_s
        How long to wait for a worker that has what is needed, at the start and whenever the last one is lost.

    Raises
    ------
    ClusterError
        The scheduler cannot be reached.
    UsageError
        No address.
    """

    def __init__(self, address: str, *, connect_s: float = CONNECT_S, patience_s: float = PATIENCE_S) -> None:
        from distributed import Client

        self.address, self.patience_s = address, patience_s
        self._own: Any = None
        if address == LOCAL:
            self._own = _local_cluster()
        elif "://" not in address or not address.rpartition(":")[2].isdigit():
            raise UsageError(f"{address!r} is no address of a scheduler", cure="tcp://host:port, or local")
        try:
            self._client = Client(self._own or address, timeout=connect_s, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"the scheduler cannot be reached within {connect_s:.0f} s: {_line(error)}",
                where=address,
                cure="start one with `dask scheduler --port 8786`, and workers with `mico worker tcp://host:8786`",
            ) from error
        self._lock = threading.RLock()
        self._software = tasks.software()
        self._digest, self._blob = "", b""
        self._holders: set[str] = set()  # workers that were sent the network
        self._unfit: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; what still runs for this campaign is given up. Workers of ``local`` end."""
        with suppress(OSError):
            self._client.close()  # type: ignore[no-untyped-call]
        if self._own is not None:
            self._own.close()

    def serve(self, evaluator: Evaluator) -> None:
        """Work on this network from now on: it and its data go to every worker once."""
        payload = tasks.Payload.of(evaluator)
        with self._lock:
            self._digest, self._blob = payload.digest(), pickle.dumps(payload, protocol=5)
            self._holders.clear()

    # ---- who is there

    def workers(self, needs: str = "") -> list[str]:
        """Addresses of the workers with the resource *needs*; of all of them by default. Unfit ones are left out."""
        self._alive()
        found = self._client.scheduler_info(n_workers=-1)["workers"]
        return sorted(
            address
            for address, worker in found.items()
            if address not in self._unfit and (not needs or worker["resources"].get(needs, 0) >= 1)
        )

    def require(self, needs: str = "", avoid: frozenset[str] = frozenset()) -> list[str]:
        """As :meth:`workers`, waiting until there is one that is not among *avoid*.

        Raises
        ------
        ClusterError
            There was none for ``patience_s``: tells who is there and what they offer.
        """
        deadline = time.monotonic() + self.patience_s
        while True:
            able = [worker for worker in self.workers(needs) if worker not in avoid]
            for worker in able:
                self._check(worker)
            able = [worker for worker in able if worker not in self._unfit]
            if able:
                return able
            if time.monotonic() >= deadline:
                raise self._nobody(needs, avoid)
            time.sleep(min(_LOOK_S, 0.2 * self.patience_s))

    def _nobody(self, needs: str, avoid: frozenset[str]) -> ClusterError:
        there = self._client.scheduler_info(n_workers=-1)["workers"]
        told = [f"{address} offers {_offers(worker)}" for address, worker in sorted(there.items())]
        told += [f"{address} is not used: {why}" for address, why in self._unfit.items() if address in there]
        told += [f"{address} failed" for address in sorted(avoid) if address in there]
        offers = f" --offers {needs}" if needs else ""
        missing = f"no worker offers {needs!r}" if needs else "there is no worker"
        return ClusterError(
            f"{missing}, waited {self.patience_s:.0f} s for one; {'; '.join(told) or 'nobody is connected'}",
            where=self.address,
            cure=f"`mico worker {self.address}{offers}` on a machine that has it, with this version of the software",
        )

    def _check(self, worker: str) -> None:
        """Whether *worker*, when it is first seen, has our software; another one is never used."""
        with self._lock:
            if worker in self._holders or worker in self._unfit:
                return
            try:
                found = self._client.run(tasks.describe, workers=[worker])[worker]["software"]
            except (OSError, KeyError):
                return  # it went away; whoever needs it finds out
            except Exception as error:  # noqa: BLE001 - whatever a foreign environment raises at the import
                self._unfit[worker] = f"it cannot run this software: {_line(error)}"
                return
            other = [name for name, value in self._software.items() if found.get(name) != value]
            if other:
                self._unfit[worker] = f"its {' and '.join(other)} differ from here"

    def _send(self, worker: str) -> None:
        """Send the network to *worker*."""
        self._check(worker)
        with self._lock:
            if worker in self._unfit:
                return
            self._holders.add(worker)
            with suppress(OSError):
                self._client.run(tasks.install, self._digest, self._blob, workers=[worker])

    # ---- work

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        needs: str = "",
        avoid: frozenset[str] = frozenset(),
        priority: int = 0,
    ) -> tuple[str, Any]:
        """``function(evaluator, *arguments)`` on a worker with the resource *needs*: its address and the value.

        A worker that dies meanwhile is replaced by another one. *avoid* are workers that are not to be asked.

        Raises
        ------
        MicoError
            What the function raised; its ``worker`` is where.
        ClusterError
            The scheduler is gone; no worker could do it; several died of it.
        """
        while True:
            able = self.require(needs, avoid)
            for worker in able:
                if worker not in self._holders:
                    self._send(worker)
            outcome = self._once(function, arguments, needs, able if avoid or self._unfit else None, priority)
            if outcome is None:
                continue
            if outcome.missing:
                self._send(outcome.worker)
                continue
            if outcome.error is not None:
                outcome.error.worker = outcome.worker  # type: ignore[attr-defined]
                raise outcome.error
            return outcome.worker, outcome.value

    def _once(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        needs: str,
        only: list[str] | None,
        priority: int,
    ) -> tasks.Outcome | None:
        """The outcome of one try; None where all who could have done it are gone."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        future = self._client.submit(
            tasks.answer,
            self._digest,
            function,
            *arguments,
            workers=only,
            resources={needs: 1} if needs else None,
            priority=priority,
            pure=False,
        )
        try:
            while True:
                try:
                    outcome = future.result(timeout=_LOOK_S)
                    assert isinstance(outcome, tasks.Outcome)
                    return outcome
                except TimeoutError:
                    there = self.workers(needs)
                    if not there or (only is not None and not set(only) & set(there)):
                        return None
        except KilledWorker as error:
            raise ClusterError(
                f"several workers died of one task: {_line(error)}", where=self.address, cure="look at their logs"
            ) from error
        except FutureCancelledError as error:
            self._alive()
            raise ClusterError(f"a task was given up: {_line(error)}", where=self.address) from error
        finally:
            future.release()  # type: ignore[no-untyped-call]

    def _alive(self) -> None:
        if self._client.status != "running":
            raise ClusterError(
                f"the connection to the scheduler is {self._client.status}",
                where=self.address,
                cure="start the scheduler again, and then the campaign: it goes on where it was",
            )


def worker_of(error: MicoError) -> str:
    """Address of the worker that raised *error*; empty where none did."""
    return str(getattr(error, "worker", ""))


def _offers(worker: dict[str, Any]) -> str:
    return ", ".join(sorted(name for name, amount in worker["resources"].items() if amount >= 1)) or "nothing special"


def _line(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0][:200]


def _local_cluster() -> Any:
    from distributed import LocalCluster

    return LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=os.cpu_count() or 1,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        resources={"soc": 1, "bitfusion": 1, "board": 1},
        silence_logs=40,
    )
