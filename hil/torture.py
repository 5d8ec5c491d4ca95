"""Measures on a target while everything goes wrong, and checks that nothing wrong comes of it.

A scenario is a measurement through a proxy with the faults of its seed (`hil/faults`), stored in a database of its own,
and then a measurement without faults. What may come of it: the right number, or an error; and afterwards the target
works, and nothing is left behind. Everything else is a violation.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.faults.leftovers import Leftovers
from hil.faults.proxy import proxied
from hil.faults.script import DEVICE_KINDS, LINE_KINDS, Script, draw
from hil.store import Store
from hil.targets.base import Program, Provenance, Run, Target
from mico.errors import MicoError

__all__ = ["Outcome", "Report", "Subject", "run_scenario", "torture"]

Action = Callable[[float], None]
CYCLES_TOLERANCE = 0.05
"""Of a device whose time is not exact."""

RECOVERIES = 3
"""A target that fails so often without faults is stuck."""


@dataclass(frozen=True)
class Subject:
    """What is measured, and what must come of it.

    Attributes
    ----------
    program, x
        The program and one input.
    expected
        Its logits, ``(1, output_count)``.
    cycles
        Of the program on this target, from a measurement without faults.
    exact
        Whether every measurement takes these cycles; else they may differ by CYCLES_TOLERANCE.
    """

    program: Program
    x: NDArray[Any]
    expected: NDArray[np.int32]
    cycles: int
    exact: bool = True

    def fits(self, outputs: NDArray[np.int32], cycles: int) -> bool:
        close = cycles == self.cycles if self.exact else abs(cycles - self.cycles) <= CYCLES_TOLERANCE * self.cycles
        return close and np.array_equal(outputs.ravel(), self.expected.ravel())


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario; ``error`` is empty where the measurement succeeded."""

    seed: int
    kind: str
    error: str
    seconds: float
    wrong_number: bool = False
    lost_measurement: bool = False
    stuck_target: bool = False
    leftovers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def violated(self) -> bool:
        return self.wrong_number or self.lost_measurement or self.stuck_target or bool(self.leftovers or self.notes)


@dataclass
class Report:
    """All outcomes of a run."""

    target: str
    outcomes: list[Outcome] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """``faults`` as in build/bench/lab.json, how often each kind ended how, and the violations in full."""
        kinds: dict[str, dict[str, int]] = {}
        for outcome in self.outcomes:
            counts = kinds.setdefault(outcome.kind, {"scenarios": 0, "errors": 0})
            counts["scenarios"] += 1
            counts["errors"] += bool(outcome.error)
        return {
            "target": self.target,
            "faults": {
                "scenarios": len(self.outcomes),
                "wrong_numbers": sum(o.wrong_number for o in self.outcomes),
                "lost_measurements": sum(o.lost_measurement for o in self.outcomes),
                "stuck_targets": sum(o.stuck_target for o in self.outcomes),
                "leftovers": sum(len(o.leftovers) for o in self.outcomes),
            },
            "kinds": dict(sorted(kinds.items())),
            "violations": [asdict(o) for o in self.outcomes if o.violated],
        }

    @property
    def violated(self) -> bool:
        return any(outcome.violated for outcome in self.outcomes)


class _OfScenario(Target):
    """*inner* with the scenario's seed in the key of its measurements, so that none is looked up."""

    def __init__(self, inner: Target, seed: int) -> None:
        self.inner, self.seed, self.name = inner, seed, inner.name

    def open(self) -> None:
        self.inner.open()

    def close(self) -> None:
        self.inner.close()

    def provenance(self, program: Program) -> Provenance:
        own = self.inner.provenance(program)
        parameters = {**own.parameters, "torture": self.seed}
        return Provenance(own.kind, parameters, own.hardware, own.firmware, own.program, own.clock_hz)

    def flash(self, program: Program) -> None:
        self.inner.flash(program)

    def info(self) -> dict[str, str]:
        return self.inner.info()

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        return self.inner.infer(x)

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        return self.inner.measure(x, laps=laps, warmup=warmup)


def run_scenario(
    target: Target, subject: Subject, script: Script, store: Store, actions: Mapping[str, Action] | None = None
) -> Outcome:
    """One scenario of *script*; *target* is closed before and after.

    *actions* are those of :class:`hil.faults.proxy.Proxy`.

    Nothing is raised for what goes wrong on the target: it is in the outcome.
    """
    started = time.monotonic()
    store.close()  # the connections that it keeps are no leftovers
    before = Leftovers.now()
    here = _OfScenario(target, script.seed)
    error, wrong, lost, stuck = "", False, False, False
    notes: list[str] = []
    measured = None
    try:
        with proxied(script, actions), here:
            measured = store.measure_once(here, subject.program, subject.x, expected=subject.expected)
    except MicoError as raised:
        error = f"{type(raised).__name__}: {raised}"
    except Exception as raised:  # noqa: BLE001 - whatever is no error of the product is what we look for
        error = f"{type(raised).__name__}: {raised}"
        notes.append(f"an error without a diagnosis: {error}")
    stored = store.lookup(here.provenance(subject.program).key())
    if measured is not None:
        lost = stored is None or stored.cycles != measured.cycles or stored.outputs != measured.outputs
    if stored is not None:
        wrong = not subject.fits(np.array(stored.outputs, np.int32), stored.cycles)
    refused = ""
    for _ in range(RECOVERIES):
        try:
            with target:
                target.flash(subject.program)
                run = target.measure(subject.x)
        except MicoError as raised:
            refused = f"without faults again: {type(raised).__name__}: {raised}"
        else:
            wrong = wrong or not subject.fits(run.outputs, run.cycles)
            break
    else:
        stuck = True
        notes.append(refused)
    store.close()
    return Outcome(
        seed=script.seed,
        kind=script.kind,
        error=error,
        seconds=round(time.monotonic() - started, 3),
        wrong_number=wrong,
        lost_measurement=lost,
        stuck_target=stuck,
        leftovers=before.grown(),
        notes=tuple(notes),
    )


def torture(
    target: Target,
    subject: Subject,
    *,
    seed: int = 0,
    count: int = 100,
    kinds: Sequence[str] | None = None,
    actions: Mapping[str, Action] | None = None,
    span: int = 8000,
    progress: Callable[[Outcome], None] | None = None,
) -> Report:
    """Scenarios *seed* to *seed + count - 1* on *target*.

    Parameters
    ----------
    kinds
        Faults to draw from; default: those of the line, and those that *actions* can do.
    span
        Bytes that a measurement of *subject* moves.
    """
    if kinds is None:
        kinds = (*LINE_KINDS, *(kind for kind in DEVICE_KINDS if kind in (actions or {})))
    report = Report(target.name)
    with tempfile.TemporaryDirectory(prefix="mico-torture-") as folder:
        store = Store(Path(folder) / "torture.sqlite")
        for number in range(seed, seed + count):
            outcome = run_scenario(target, subject, draw(number, kinds, span=span), store, actions)
            report.outcomes.append(outcome)
            if progress is not None:
                progress(outcome)
        _check_rows(store, subject, report)
        store.close()
    return report


def _check_rows(store: Store, subject: Subject, report: Report) -> None:
    """What stands in the store in the end, whoever wrote it: right numbers, or failures without a number."""
    rows = store.measurements()
    for row in rows:
        right = (
            subject.fits(np.array(row["outputs"], np.int32), row["cycles"])
            if row["status"] == "ok"
            else row["cycles"] is None and row["samples"] is None and bool(row["error"])
        )
        if not right:
            seed = int(row["parameters"]["torture"])
            notes = (f"in the store: {row['status']}, {row['cycles']} cycles",)
            report.outcomes.append(Outcome(seed, "store", "", 0.0, wrong_number=True, notes=notes))
    succeeded = {outcome.seed for outcome in report.outcomes if not outcome.error and outcome.kind != "store"}
    kept = {int(row["parameters"]["torture"]) for row in rows if row["status"] == "ok"}
    for seed in sorted(succeeded - kept):
        report.outcomes.append(Outcome(seed, "store", "", 0.0, lost_measurement=True, notes=("gone from the store",)))
