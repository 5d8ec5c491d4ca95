"""Cycles of one layer at any shape and bits, measured on the bench firmware and kept in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hil.bench_case import Case
from hil.breakdown import Breakdown
from hil.layer_models import LAYER, LayerShape, layer_case
from hil.store import Store
from hil.targets.bench_target import BenchTarget
from mico.errors import MeasurementError
from mico.quant.scheme import LayerBits

__all__ = ["Profile", "Profiler"]


@dataclass(frozen=True)
class Profile:
    """What a layer takes.

    Attributes
    ----------
    cycles
        From the call of its kernel to the return: the input in memory, the output written.
    breakdown
        Where they go; None where the target has no counters.
    cached
        Looked up in the store rather than run.
    key
        Of the measurement.
    """

    shape: LayerShape
    bits: LayerBits
    cycles: int
    breakdown: Breakdown | None
    cached: bool
    key: str

    @property
    def pair(self) -> str:
        """``AxW``: activation by weight bits."""
        return f"{self.bits.activation}x{self.bits.weight}"

    def to_json(self) -> dict[str, Any]:
        return {
            "layer": str(self.shape),
            "bits": self.pair,
            "cycles": self.cycles,
            "breakdown": None if self.breakdown is None else self.breakdown.to_json(),
            "cached": self.cached,
            "key": self.key,
        }


class Profiler:
    """Times layers on an open target.

    Parameters
    ----------
    target
        Where; it must be open before anything is run that the store does not know.
    store
        Where measurements are looked up and kept; None: every call runs.
    seed
        Of weights and inputs. Cycles do not depend on them.
    """

    def __init__(self, target: BenchTarget, store: Store | None = None, *, seed: int = 0) -> None:
        self.target = target
        self.store = store
        self.seed = seed

    def time(self, layer: LayerShape, bits: LayerBits) -> Profile:
        """Cycles of *layer* at *bits*, its outputs compared with Python's.

        Raises
        ------
        UsageError
            The shape makes no sense, or the layer is too large.
        MeasurementError
            The target computes something else than Python.
        DeviceError, ProtocolError
            The target does not answer.
        """
        case = layer_case(layer, bits, seed=self.seed)
        program = self.target.program(case)
        key = self.target.provenance(program).key()
        if self.store is None:
            return Profile(layer, bits, *self._run(case), False, key)
        found = self.store.measure_once(self.target, program, case.x, laps=1, warmup=0)
        cycles, counts = _cycles(found.layers), self.store.counts(key)
        if counts is None:
            if found.cached:  # its process ended between the two
                again, _ = self._run(case)
                if again != cycles:
                    raise MeasurementError(f"takes {again} cycles, {cycles} before", where=program.name)
            counts = self.target.counts()
            self.store.save_counts(key, counts)
        return Profile(layer, bits, cycles, _breakdown(counts), found.cached, key)

    def _run(self, case: Case) -> tuple[int, Breakdown | None]:
        self.target.flash(self.target.program(case))
        run = self.target.measure(case.x, laps=1)
        return _cycles(run.layers), _breakdown(self.target.counts())


def _cycles(layers: Any) -> int:
    return next(int(layer.cycles) for layer in layers if layer.name == LAYER)


def _breakdown(counts: list[tuple[str, dict[str, int]]]) -> Breakdown | None:
    return next((Breakdown.of(values) for name, values in counts if name == LAYER), None)
