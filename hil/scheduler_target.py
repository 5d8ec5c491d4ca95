"""The quantiser and the target of a campaign whose work is done by the workers of a :class:`hil.scheduler.Cluster`."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil import scheduler_tasks as tasks
from hil.scheduler import Cluster, worker_of
from hil.targets.base import Program, Provenance, Run, Target
from mico.errors import DeviceError, FlashError, ProtocolError, UsageError
from mico.quant.evaluate import PTQ_BITS, Evaluator, Quantised
from mico.quant.integer import IntegerModel
from mico.quant.scheme import Scheme

__all__ = ["RemoteQuantiser", "RemoteTarget"]

_PART = 500  # images that are worth a task of their own
_OF_THE_DEVICE = (DeviceError, ProtocolError, FlashError)


class RemoteQuantiser:
    """Trainings and accuracies on the workers; what is only lowered is lowered here.

    With ``MICO_DEVICE=cuda`` here, trainings go to workers that offer a ``gpu``.

    Parameters
    ----------
    evaluator
        Of this process; every worker gets one like it.
    """

    def __init__(self, cluster: Cluster, evaluator: Evaluator) -> None:
        self.cluster, self.evaluator = cluster, evaluator
        self._trained: dict[tuple[str, bool], Quantised] = {}
        cluster.serve(evaluator)

    def quantise(self, scheme: Scheme, full: bool = False) -> Quantised:
        """As :meth:`Evaluator.quantise`."""
        if scheme.min_bits >= PTQ_BITS:
            return self.evaluator.quantise(scheme, full=full)
        key = (scheme.digest(), full)
        if key not in self._trained:
            device = os.environ.get("MICO_DEVICE", "")
            needs = "gpu" if device.startswith("cuda") else ""
            _, found = self.cluster.call(tasks.quantise, scheme.to_json(), full, device, needs=needs)
            assert isinstance(found, Quantised)
            self._trained[key] = found
        return self._trained[key]

    def accuracy(self, model: IntegerModel, split: str) -> float:
        """As :meth:`Evaluator.accuracy`: the split in parts, one a worker."""
        count = len(self.evaluator.dataset.split(split))
        parts = max(1, min(len(self.cluster.require()), count // _PART))
        edges = np.linspace(0, count, parts + 1).astype(int).tolist()

        def right(part: int) -> int:
            _, found = self.cluster.call(tasks.count_right, model, split, edges[part], edges[part + 1])
            return int(found)

        with ThreadPoolExecutor(parts) as pool:
            return sum(pool.map(right, range(parts))) / count


class RemoteTarget(Target):
    """Whichever worker has the target, as one target that several threads may use at once.

    Every measurement is one task: flashed, run and given back with the provenance that the worker sees, which must be
    the one expected here. A worker whose target fails is avoided until another has done better.

    Parameters
    ----------
    make
        Makes the target on the worker.
    inner
        The same kind of target here, never opened: for compiling and for the provenance.
    needs
        Resource that a worker must offer.
    """

    def __init__(self, cluster: Cluster, make: tasks.Make, inner: Target, needs: str) -> None:
        self.cluster, self.make, self.inner, self.needs = cluster, make, inner, needs
        self.name, self.simd = inner.name, inner.simd
        self.copies = len(cluster.require(needs))
        self.parallel = len(cluster.workers())
        self._state = threading.local()  # program and counters: every thread has its own measurement
        self._failed: set[str] = set()
        self._asked: Provenance | None = None

    def open(self) -> None:
        self.copies = len(self.cluster.require(self.needs))

    def close(self) -> None:
        """Nothing is held between two tasks."""

    def build(self, model: IntegerModel) -> Program:
        return self.inner.build(model)

    def provenance(self, program: Program) -> Provenance:
        if not self.inner.asks:
            return self.inner.provenance(program)
        if self._asked is None:
            self._asked = _provenance(self._call(tasks.ask, program)[1])
        return _provenance({**self._asked.to_json(), "program": program.digest})

    def flash(self, program: Program) -> None:
        """Remember it: it is flashed by the task that needs it."""
        self._state.program = program

    def info(self) -> dict[str, str]:
        return {"name": self.name, "workers": ", ".join(self.cluster.workers(self.needs))}

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        program = self._flashed()
        worker, (run, provenance, name) = self._call(tasks.measure, program, x, laps, warmup)
        self._check(worker, program, provenance)
        self.lab_name = f"{name or self.name} of {worker}"
        assert isinstance(run, Run)
        return run

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        program = self._flashed()
        worker, (outputs, counts, provenance) = self._call(tasks.infer, program, x)
        self._check(worker, program, provenance)
        self._state.counts = counts
        return np.asarray(outputs, dtype=np.int32)

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        return list(getattr(self._state, "counts", []))

    # ---- details

    def _flashed(self) -> Program:
        program = getattr(self._state, "program", None)
        if not isinstance(program, Program):
            raise DeviceError("nothing is flashed", where=self.name)
        return program

    def _call(self, function: Any, *arguments: Any) -> tuple[str, Any]:
        if not set(self.cluster.workers(self.needs)) - self._failed:
            self._failed.clear()  # all failed once: any may be tried
        try:
            worker, value = self.cluster.call(
                function, self.make, *arguments, needs=self.needs, avoid=frozenset(self._failed), priority=1
            )
        except _OF_THE_DEVICE as error:
            if worker_of(error):
                self._failed.add(worker_of(error))
            raise
        self._failed.discard(worker)
        return worker, value

    def _check(self, worker: str, program: Program, found: dict[str, Any]) -> None:
        wanted = self.provenance(program).to_json()
        other = [name for name, value in wanted.items() if found.get(name) != value]
        if other:
            raise UsageError(
                f"the target of {worker} differs from the one here in its {' and '.join(other)}",
                where=self.name,
                cure="the same lab.toml, sources and compiler on both sides",
            )


def _provenance(data: dict[str, Any]) -> Provenance:
    return Provenance(**data)
