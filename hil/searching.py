"""A campaign's searcher: its limits of cycles, flash and RAM, and what it may ask beside whole evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.settings import Settings
from hil.store import Evaluation
from hil.targets.base import Program
from mico.data import Dataset
from mico.errors import UsageError
from mico.graph import Graph
from mico.latency.features import tensor_bits
from mico.latency.network import NetworkLatency
from mico.quant.calibrate import Calibration
from mico.quant.evaluate import PTQ_BITS
from mico.quant.prefix import NetworkProbe
from mico.quant.scheme import Scheme
from mico.search.base import Constraint, Probe, Searcher, Space, Vectors, flash_bytes
from mico.search.constraint import least
from mico.search.registry import searcher_class

__all__ = [
    "FLASH",
    "RAM",
    "Memory",
    "fits",
    "measured_bytes",
    "merit",
    "nothing_fits",
    "open_searcher",
    "probe_of",
    "refuse_impossible",
]

FLASH, RAM = "flash bytes", "RAM bytes"


class Memory:
    """Flash and RAM of a program, predicted: packed weights, and tensors alive at once; the rest as it was measured.

    What code, tables and the planner's alignment add is the mean over the programs measured so far.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        counts = [0 if layer.weight is None else int(layer.weight.size) for layer in graph.quantisable]
        self._weights = flash_bytes(counts)
        self._flash: list[float] = []
        self._ram: list[float] = []

    def observe(self, evaluation: Evaluation) -> None:
        """Take in the measured bytes of a program."""
        row = np.array([Scheme.from_json(evaluation.scheme).vector()], dtype=np.int64)
        if evaluation.flash_bytes is not None:
            self._flash.append(evaluation.flash_bytes - float(self._weights(row)[0]))
        if evaluation.ram_bytes is not None:
            self._ram.append(evaluation.ram_bytes - float(self._alive(row)[0]))

    def flash(self, vectors: Vectors) -> NDArray[np.float64]:
        """Bytes ``(N,)``."""
        return self._weights(vectors) + (float(np.mean(self._flash)) if self._flash else 0.0)

    def ram(self, vectors: Vectors) -> NDArray[np.float64]:
        """Bytes ``(N,)``."""
        return self._alive(vectors) + (float(np.mean(self._ram)) if self._ram else 0.0)

    def _alive(self, vectors: Vectors) -> NDArray[np.float64]:
        """Most bytes of tensors that are needed at once ``(N,)``."""
        bits = tensor_bits(self.graph, np.atleast_2d(vectors))
        layers = self.graph.layers
        last = {name: i for i, layer in enumerate(layers) for name in layer.inputs}
        size = {layer.name: np.prod(layer.out_shape) * bits[layer.name] / 8 for layer in layers}
        size["input"] = np.full(len(vectors), float(np.prod(self.graph.input_shape)))
        born = {"input": -1} | {layer.name: i for i, layer in enumerate(layers)}
        peak = np.zeros(len(vectors))
        for i in range(len(layers)):
            alive = [name for name, at in born.items() if at <= i <= max(last.get(name, at), at)]
            peak = np.maximum(peak, np.sum([size[name] for name in alive], axis=0))
        return peak


def probe_of(graph: Graph, calibration: Calibration, dataset: Dataset, settings: Settings) -> Probe:
    """What may be asked of the network; its answers are those of evaluations only if none of them trains."""
    faithful = min(*settings.weight_bits, *settings.activation_bits) >= PTQ_BITS
    return NetworkProbe(graph, calibration, dataset, faithful=faithful)


def measured_bytes(evaluation: Evaluation) -> Mapping[str, float]:
    found = {FLASH: evaluation.flash_bytes, RAM: evaluation.ram_bytes}
    return {name: float(value) for name, value in found.items() if value is not None}


def fits(evaluation: Evaluation, limit: int, settings: Settings) -> bool:
    """Whether what was measured is within all limits."""
    if evaluation.status != "ok" or evaluation.cycles is None or evaluation.cycles > limit:
        return False
    bytes_ = ((evaluation.flash_bytes, settings.max_flash), (evaluation.ram_bytes, settings.max_ram))
    return all(most is None or taken is None or taken <= most for taken, most in bytes_)


def nothing_fits(evaluations: Sequence[Evaluation], limit: int, settings: Settings) -> UsageError:
    """What to say where none of *evaluations* is within all limits: each limit, and the least that was measured."""
    limits = {"cycles": limit, **settings.bytes}
    told = []
    for name, most in limits.items():
        found = [getattr(e, name) for e in evaluations if getattr(e, name) is not None]
        told.append(f"{most} {name.replace('_', ' ')} (the least measured is {min(found, default='unknown')})")
    return UsageError(
        f"no evaluated scheme fits in {' and '.join(told)}",
        where="constraint",
        cure="raise the limits or the budget",
    )


def refuse_impossible(settings: Settings, space: Space, memory: Memory, program: Callable[[Scheme], Program]) -> None:
    """Refuse limits of bytes that nothing meets, before anything but the 8-bit network is measured.

    Parameters
    ----------
    memory
        Has observed the 8-bit network.
    program
        Builds the program of a scheme: a prediction alone proves nothing.

    Raises
    ------
    UsageError
        Not even the program that is predicted to need least fits: says what it takes.
    """
    limits = ((FLASH, "flash_bytes", memory.flash), (RAM, "ram_bytes", memory.ram))
    for name, field, predict in limits:
        limit = settings.bytes.get(field)
        if limit is None:
            continue
        vector, predicted = least(space, predict, np.random.default_rng(settings.seed))
        if predicted <= limit:
            continue
        taken = getattr(program(space.scheme(vector)), field)
        if taken > limit:
            raise UsageError(
                f"no scheme fits in {limit} {name}: the least predicted is {predicted:.0f}, its program takes {taken}",
                where="constraint",
                cure=f"raise the limit to {taken}, or allow narrower widths",
            )


def merit(evaluation: Evaluation) -> tuple[float, int]:
    """The most accurate; of equals the fastest."""
    return evaluation.accuracy or 0.0, -(evaluation.cycles or 0)


def open_searcher(
    settings: Settings, graph: Graph, latency: NetworkLatency, memory: Memory, limit: int, probe: Probe | None
) -> Searcher:
    """The searcher of *settings* under *limit* cycles and the settings' bytes."""
    constraints = []
    if settings.max_flash is not None:
        constraints.append(Constraint(FLASH, memory.flash, settings.max_flash))
    if settings.max_ram is not None:
        constraints.append(Constraint(RAM, memory.ram, settings.max_ram))

    def upper(vectors: Vectors) -> Any:
        return latency.predict_interval(vectors)[1]

    return searcher_class(settings.searcher)(
        Space.of(graph, settings.weight_bits, settings.activation_bits),
        latency.predict,
        limit,
        seed=settings.seed,
        budget=settings.budget,
        probe=probe,
        upper=upper,
        constraints=constraints,
    )
