"""One scheme through the loop: quantise, accuracy, build, measure, store. A failure is a row, not an exception."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hil.store import Evaluation, Measurement, Store, status_of
from hil.targets.base import Program, Provenance, Target
from mico.data import Dataset
from mico.errors import (
    ClusterError,
    DeviceError,
    FlashError,
    MeasurementError,
    MicoError,
    ProtocolError,
    StoreError,
    UsageError,
)
from mico.graph import Graph
from mico.quant.integer import IntegerModel
from mico.quant.scheme import Scheme
from mico.search.base import Searcher

__all__ = ["Job", "Quantiser", "Workbench", "ask_several", "context", "identity"]

_ROOT = Path(__file__).resolve().parents[1]
_T = TypeVar("_T")
_ATTEMPTS = 2  # a target that died or fell silent is opened anew once, or the next of its kind is


class _Quantised(Protocol):
    @property
    def model(self) -> IntegerModel: ...
    @property
    def method(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class Quantiser(Protocol):
    """What the loop needs of :class:`mico.quant.evaluate.Evaluator`."""

    def quantise(self, scheme: Scheme, full: bool = False) -> _Quantised:
        """Integers for *scheme*: a short training where it needs one, the full one if *full*."""

    def accuracy(self, model: IntegerModel, split: str) -> float:
        """Share 0..1 of the split ``val`` or ``test`` that the integers answer right."""


def identity(graph: Graph, dataset: Dataset, provenance: Provenance, seed: int) -> dict[str, Any]:
    """Everything but the scheme that decides accuracy and cycles: network, data, code, seed, target.

    Two evaluations of one scheme under the same identity are the same evaluation.
    """
    network = hashlib.sha256(repr((graph.name, graph.input_shape)).encode())
    for layer in graph.layers:
        network.update(repr((layer.name, layer.kind, layer.inputs, sorted(layer.attrs.items()), layer.relu)).encode())
        for array in (layer.weight, layer.bias):
            network.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    code = hashlib.sha256()
    for path in sorted([*(_ROOT / "mico" / "quant").rglob("*.py"), _ROOT / "mico" / "train.py"]):
        code.update(path.read_bytes())
    target = {name: value for name, value in provenance.to_json().items() if name != "program"}
    return {
        "network": network.hexdigest(),
        "dataset": dataset.digest,
        "quantisation": code.hexdigest(),
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "seed": seed,
        "target": target,
    }


def context(identity: Mapping[str, Any], *, full: bool) -> str:
    """Key of an evaluation besides its scheme: the identity, and whether the training is the full one."""
    return hashlib.sha256(json.dumps({**identity, "full": full}, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Job:
    """One evaluation to make, or, where *known* is a good one of an earlier run, to take from there."""

    position: int
    stage: str
    scheme: Scheme
    predicted: float | None = None
    full: bool = False
    known: Evaluation | None = None

    @classmethod
    def again(cls, old: Evaluation) -> Job:
        """What *old* was: a failure is tried again, in its place."""
        return cls(old.position, old.stage, Scheme.from_json(old.scheme), old.predicted_cycles, known=old)

    @property
    def done(self) -> bool:
        return self.known is not None and self.known.status == "ok"


def ask_several(searcher: Searcher, count: int, *shared: object) -> list[Scheme]:
    """The next *count* schemes at once: each after the first is asked for while those before it are pending.

    Pending schemes are told to a copy of the searcher as ones without a result, so no made-up number enters a model and
    none is asked for twice. The same history gives the same schemes. Fewer where nothing more fits.

    Parameters
    ----------
    shared
        Parts of the searcher that are not to be copied; its probe never is.

    Raises
    ------
    UsageError
        As :meth:`Searcher.ask`, of the first.
    """
    asked = [searcher.ask()]
    if count > 1:
        memo = {id(item): item for item in (searcher.probe, *shared)}
        fork = copy.deepcopy(searcher, memo)
        while len(asked) < count:
            fork.tell_failed(asked[-1])
            try:
                asked.append(fork.ask())
            except UsageError:
                break
    return asked


class Workbench:
    """Carries schemes from bits to a stored measurement on one target.

    Parameters
    ----------
    build
        Makes the program of a model, ``hil.toolchain.build_program`` for a simulated SoC.
    tools
        Versions that are stored with every measurement.
    """

    def __init__(
        self,
        dataset: Dataset,
        quantiser: Quantiser,
        target: Target,
        store: Store,
        *,
        build: Callable[[IntegerModel], Program],
        tools: Mapping[str, str],
        laps: int = 2,
        warmup: int = 1,
    ) -> None:
        self.dataset, self.quantiser, self.target, self.store = dataset, quantiser, target, store
        self.build, self.tools, self.laps, self.warmup = build, tools, laps, warmup
        self.measured = 0
        """Measurements run, as against looked up, by this workbench."""
        self.looked_up = 0
        self.counts: list[tuple[str, dict[str, int]]] = []
        self._open = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Release the target."""
        self._open = False
        self.target.close()

    def evaluate_all(self, jobs: Sequence[Job], identity: Mapping[str, Any]) -> Iterator[Evaluation]:
        """:meth:`evaluate` of each, in their order; side by side where the target is several."""
        width = min(len(jobs), self.target.parallel)

        def work(job: Job) -> Evaluation:
            return self.evaluate(job.position, job.stage, job.scheme, identity, predicted=job.predicted, full=job.full)

        if width <= 1:
            yield from map(work, jobs)
            return
        pool = ThreadPoolExecutor(width)
        try:
            for future in [pool.submit(work, job) for job in jobs]:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def evaluate(
        self,
        position: int,
        stage: str,
        scheme: Scheme,
        identity: Mapping[str, Any],
        *,
        predicted: float | None = None,
        full: bool = False,
    ) -> Evaluation:
        """Accuracy and measured cycles of *scheme*, or the status and error of what failed.

        While the target measures, the validation images are computed here: neither depends on the other.

        Parameters
        ----------
        identity
            As :func:`identity` gives it; the same scheme under the same identity is looked up.

        Raises
        ------
        MeasurementError
            The target is no longer the one of *identity*.
        StoreError
            The store cannot be read or written.
        ClusterError
            The work is that of other machines, and none of them can do it.
        """
        known = self.store.known_evaluation(context(identity, full=full), scheme.digest())
        if known is not None:
            self._count(False)
            return replace(known, position=position, stage=stage, predicted_cycles=predicted)
        blank = Evaluation(position, stage, scheme.to_json(), None, None, None, predicted, None, None, "", None)
        try:
            quantised = self.quantiser.quantise(scheme, full=full)
        except ClusterError:
            raise
        except MicoError as error:
            return replace(blank, status=status_of(error), error=str(error))
        model = quantised.model
        blank = replace(blank, method=quantised.method, seconds=quantised.seconds)
        with ThreadPoolExecutor(1) as pool:
            accuracy = pool.submit(self.quantiser.accuracy, model, "val")
            try:
                program = self.build(model)
                blank = replace(blank, program=program.digest)
                measurement = self.measure(program, model)
            except (StoreError, ClusterError):  # says nothing of the scheme
                raise
            except MicoError as error:
                return replace(blank, accuracy=accuracy.result(), status=status_of(error), error=str(error))
            _check_identity(measurement, identity["target"])
            return replace(
                blank,
                accuracy=accuracy.result(),
                cycles=measurement.cycles,
                layers=measurement.layers,
                measurement=measurement.key,
                flash_bytes=measurement.flash_bytes,
                ram_bytes=measurement.ram_bytes,
                status="ok",
            )

    def measure(self, program: Program, model: IntegerModel) -> Measurement:
        """The measurement of *program*, looked up or run; its output must be that of *model*."""
        x = self.dataset.val.images[:1]
        found = self.store.lookup(self.target.provenance(program).key())
        if found is not None:
            self._count(False)
            return found
        expected = model.run(x)

        def work() -> Measurement:
            return self.store.measure_once(
                self.target, program, x, expected=expected, laps=self.laps, warmup=self.warmup, tools=self.tools
            )

        measurement = self._with_target(work)
        self._count(not measurement.cached)
        return measurement

    def _count(self, measured: bool) -> None:
        with self._lock:
            self.measured += measured
            self.looked_up += not measured

    def compare(self, program: Program, model: IntegerModel, x: NDArray[np.uint8]) -> int:
        """Flash *program* and count the inputs *x* of which any logit differs from that of *model*.

        ``counts`` are then the profiling counters of its layers, where the target has any.
        """
        expected = model.run(x)

        def work() -> NDArray[np.int32]:
            self.target.flash(program)
            outputs = self.target.infer(x)
            self.counts = self.target.counts()
            return outputs

        outputs = self._with_target(work).reshape(expected.shape)
        return int(np.any(outputs != expected, axis=1).sum())

    def _with_target(self, work: Callable[[], _T]) -> _T:
        attempts = max(_ATTEMPTS, self.target.copies)
        for attempt in range(1, attempts + 1):
            try:
                if not self._open:
                    self.target.open()
                    self._open = True
                result = work()
                self._open = not self.target.rest()  # while schemes are trained, others may use it
                return result
            except ClusterError:
                raise
            except (DeviceError, ProtocolError, FlashError):
                self.close()  # whatever state it is in: the next attempt, or the next scheme, starts afresh
                if attempt == attempts:
                    raise
        raise AssertionError("unreachable")


def _check_identity(measurement: Measurement, target: Mapping[str, Any]) -> None:
    """Refuse to mix targets in one campaign: somebody changed the firmware or the hardware while it ran."""
    changed = [name for name, value in target.items() if measurement.provenance[name] != value]
    if changed:
        raise MeasurementError(
            f"the target's {' and '.join(changed)} changed while the campaign ran",
            cure="run again: a changed target is another campaign",
        )
