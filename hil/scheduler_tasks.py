"""What a Dask worker does for a campaign: it trains, computes accuracies, and measures on the targets that it has.

A worker is sent the network and its data once, under a digest; tasks name the digest. A worker that does not have it,
because it came later or was started anew, says so, is sent it, and the task is given out again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from hil.bench import open_bench
from hil.lab import Entry, load_lab
from hil.store import Store
from hil.targets.base import Program, Run, Target
from hil.targets.kinds import KINDS, make_from
from mico.data import Dataset
from mico.errors import MicoError
from mico.graph import Graph
from mico.models.recipe import Recipe
from mico.quant.calibrate import Calibration
from mico.quant.evaluate import Evaluator, Quantised
from mico.quant.integer import IntegerModel
from mico.quant.scheme import Scheme

__all__ = [
    "LabTarget",
    "Make",
    "Outcome",
    "Payload",
    "answer",
    "ask",
    "close_targets",
    "count_right",
    "describe",
    "infer",
    "install",
    "measure",
    "needs_of",
    "quantise",
    "software",
]

_T = TypeVar("_T")
_ROOT = Path(__file__).resolve().parents[1]
_KEPT = 4  # networks with their data that a worker remembers

Make = Callable[[], Target]
"""Makes the target that a worker measures on; is sent to it."""


@dataclass(frozen=True)
class Payload:
    """A trained network with its data: all that an :class:`Evaluator` is made of."""

    graph: Graph
    calibration: Calibration
    dataset: Dataset
    recipe: Recipe
    seed: int

    @classmethod
    def of(cls, evaluator: Evaluator) -> Payload:
        return cls(evaluator.graph, evaluator.calibration, evaluator.dataset, evaluator.recipe, evaluator.seed)

    def digest(self) -> str:
        """Hex SHA-256 of all of it."""
        parts = [self.graph.digest(), self.calibration.digest(), self.dataset.digest, self.recipe.to_json(), self.seed]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What became of a task on *worker*: a value, or an error of the product, or that the worker lacks the network."""

    worker: str
    value: Any = None
    error: MicoError | None = None
    missing: bool = False


@dataclass(frozen=True)
class LabTarget:
    """Targets by their names in the lab of the worker. Simulators are the worker's own; others it holds by leases."""

    names: str

    def __call__(self) -> Target:
        lab = load_lab()
        chosen = [lab.entries[name] for name in lab.select(self.names)]
        if all(entry.kind in KINDS for entry in chosen):
            return make_from(chosen[0].kind, chosen[0].name, chosen[0].options)
        store = Store(os.environ.get("MICO_WORKER_STORE") or _ROOT / "build" / "mico.sqlite")
        return open_bench(lab, self.names, store, "campaign from another machine")


def needs_of(entry: Entry) -> str:
    """The Dask resource that stands for targets like *entry*: ``soc``, ``bitfusion`` or ``board``."""
    if entry.kind in ("serial", "tcp"):
        return "board"
    if entry.kind == "container":
        from hil.targets.bitfusion_container import is_bitfusion

        return "bitfusion" if is_bitfusion(entry.options["image"]) else "soc"
    return "bitfusion" if entry.kind.startswith("bitfusion") else "soc"


@cache
def software() -> dict[str, str]:
    """What must be the same on all sides, so that it does not matter where something was computed.

    The target is not in it: every measurement comes back with its own provenance.
    """
    code = hashlib.sha256()
    folders = [*(_ROOT / "mico" / "quant").rglob("*.py"), *(_ROOT / "hil").glob("scheduler*.py")]
    for path in sorted([*folders, *(_ROOT / "mico" / name for name in ("graph.py", "train.py", "models/recipe.py"))]):
        code.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return {"code": code.hexdigest(), "torch": torch.__version__, "numpy": np.__version__}


# ---- on the worker


@dataclass
class _Bench:
    """A target of this worker and what is known of it."""

    target: Target
    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: bool = False


_evaluators: OrderedDict[str, Evaluator] = OrderedDict()
_benches: dict[bytes, _Bench] = {}
_lock = threading.Lock()


def describe() -> dict[str, Any]:
    """This worker's software and host."""
    torch.set_num_threads(1)
    return {"software": software(), "host": socket.gethostname(), "pid": os.getpid()}


def install(digest: str, blob: bytes) -> None:
    """Keep a pickled :class:`Payload` under its digest; the ones used longest ago are dropped."""
    payload: Payload = pickle.loads(blob)
    made = Evaluator(payload.graph, payload.calibration, payload.dataset, payload.recipe, seed=payload.seed)
    with _lock:
        _evaluators[digest] = made
        while len(_evaluators) > _KEPT:
            _evaluators.popitem(last=False)


def answer(digest: str, function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Carry a task out: *function* of the evaluator under *digest* and the *arguments*."""
    from distributed import get_worker

    worker = str(get_worker().address)
    with _lock:
        evaluator = _evaluators.get(digest)
        if evaluator is None:
            return Outcome(worker, missing=True)
        _evaluators.move_to_end(digest)
    try:
        return Outcome(worker, function(evaluator, *arguments))
    except MicoError as error:
        return Outcome(worker, error=error)


def quantise(evaluator: Evaluator, scheme: Mapping[str, Mapping[str, int]], full: bool, device: str) -> Quantised:
    """Integers for *scheme*, trained on *device*, or where this worker trains if that is empty."""
    if device:
        os.environ["MICO_DEVICE"] = device
    return evaluator.quantise(Scheme.from_json(scheme), full=full)


def count_right(evaluator: Evaluator, model: IntegerModel, split: str, start: int, stop: int) -> int:
    """How many of the images *start* to *stop* of a split the integers answer right."""
    images, labels = evaluator.dataset.split(split)
    answers = model.run(images[start:stop]).argmax(axis=1)
    return int(np.sum(answers == labels[start:stop]))


def measure(
    _: Evaluator, make: Make, program: Program, x: NDArray[Any], laps: int, warmup: int
) -> tuple[Run, dict[str, Any], str]:
    """Flash and measure *program*; with it, the provenance as this worker has it, and the name in its lab."""

    def work(target: Target) -> tuple[Run, dict[str, Any], str]:
        target.flash(program)
        run = target.measure(x, laps=laps, warmup=warmup)
        return run, target.provenance(program).to_json(), target.lab_name

    return _on(make, work)


def infer(
    _: Evaluator, make: Make, program: Program, x: NDArray[Any]
) -> tuple[NDArray[np.int32], list[tuple[str, dict[str, int]]], dict[str, Any]]:
    """Flash *program*; its outputs for all of *x*, the counters of its layers, and the provenance."""

    def work(target: Target) -> tuple[NDArray[np.int32], list[tuple[str, dict[str, int]]], dict[str, Any]]:
        target.flash(program)
        outputs = target.infer(x)
        return outputs, target.counts(), target.provenance(program).to_json()

    return _on(make, work)


def ask(_: Evaluator, make: Make, program: Program) -> dict[str, Any]:
    """Provenance of *program* on a device that must be asked what it is."""
    return _on(make, lambda target: target.provenance(program).to_json())


def _on(make: Make, work: Callable[[Target], _T]) -> _T:
    """*work* on this worker's target, which stays open for the next task; whatever fails closes it."""
    key = pickle.dumps(make)
    with _lock:
        bench = _benches.get(key)
        if bench is None:
            bench = _benches[key] = _Bench(make())
    with bench.lock:
        try:
            if not bench.opened:
                bench.target.open()
                bench.opened = True
            result = work(bench.target)
            bench.opened = not bench.target.rest()
            return result
        except BaseException:
            bench.opened = False
            with suppress(MicoError):
                bench.target.close()
            raise


def close_targets() -> None:
    """Release the targets of this worker."""
    for bench in _benches.values():
        with suppress(MicoError):
            bench.target.close()
