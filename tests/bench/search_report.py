"""From runs to tables, the summary and the bars of search.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.bench import search_tables as tables
from tests.bench.search_run import BUDGET, Event, tie
from tests.bench.search_tables import Case

OURS = "sieve"
ILP = ("ilp", "ilp-local")
QUARTER = ("mico", "tpe", "nsga2", "gp", "amp")
AT = (4, 8, 16, 24, 32, 48)
NEAR = 0.1  # points
_EPSILON = 1e-9

Runs = Mapping[tuple[str, Case], list[list[Event]]]


def optimum(case: Case) -> int:
    """The most accurate scheme that truly fits, the first of equals."""
    accuracy = tables.load(case.table).accuracy
    fits = tables.costs(case.table, case.cost) <= tables.limit(case)
    return int(np.argmax(np.where(fits, accuracy, -1.0)))


def regrets(case: Case, events: Sequence[Event]) -> list[tuple[float, float, int]]:
    """``(cost, points below the optimum, scheme)`` every time that the best evaluated within the limit gets better."""
    accuracy = tables.load(case.table).accuracy
    best = accuracy[optimum(case)]
    found: list[tuple[float, float, int]] = []
    for e in events:
        lost = 100 * float(best - accuracy[e.index])
        if e.fits and (not found or lost < found[-1][1]):
            found.append((e.cost, lost, e.index))
    return found


def regret_at(case: Case, events: Sequence[Event], cost: float, ties: bool = False) -> float:
    """Points below the optimum after so much; where nothing fits yet, those of a network that guesses.

    With *ties* a scheme that only chance tells from the optimum (:func:`tests.bench.search_run.tie`) loses nothing.
    """
    table, best = tables.load(case.table), optimum(case)
    within = [(lost, index) for at, lost, index in regrets(case, events) if at <= cost + _EPSILON]
    if not within:
        return 100 * float(table.accuracy[best] - 1 / table.meta["classes"])
    lost, index = within[-1]
    return 0.0 if ties and tie(table, index, best) else lost


def cost_to(case: Case, events: Sequence[Event], points: float) -> float:
    """Evaluations until within so many points of the optimum; BUDGET where it never is."""
    reached = [at for at, lost, _ in regrets(case, events) if lost <= points + _EPSILON]
    return min(reached[0], BUDGET) if reached else BUDGET


def cost_to_tie(case: Case, events: Sequence[Event]) -> float:
    """Evaluations until nothing but chance tells the best from the optimum, or it is within 0.1 point."""
    table, best = tables.load(case.table), optimum(case)
    for at, lost, index in regrets(case, events):
        if lost <= NEAR + _EPSILON or tie(table, index, best):
            return min(at, BUDGET)
    return BUDGET


def feasible(runs: Sequence[Sequence[Event]], after: float = 16) -> tuple[int, int]:
    """How many proposals met the true limit of how many, after the first *after* of cost."""
    late = [e.fits for events in runs for e in events if e.cost > after]
    return sum(late), len(late)


def quartiles(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": round(float(middle), 4), "q1": round(float(low), 4), "q3": round(float(high), 4)}


def row(case: Case, runs: list[list[Event]]) -> dict[str, Any]:
    good, late = feasible(runs)
    first_good, first = feasible(runs, 1)
    return {
        "regret": {str(n): quartiles([regret_at(case, events, n) for events in runs]) for n in AT},
        "regret_ties": {str(n): quartiles([regret_at(case, events, n, ties=True) for events in runs]) for n in AT},
        "to_0p1": quartiles([cost_to(case, events, NEAR) for events in runs]),
        "to_tie": quartiles([cost_to_tie(case, events) for events in runs]),
        "reached": round(float(np.mean([cost_to(case, events, NEAR) < BUDGET for events in runs])), 3),
        "feasible_after_16": None if not late else round(good / late, 4),
        "proposals_after_16": late,
        "feasible": None if not first else round(first_good / first, 4),
    }


def geomean(values: Sequence[float]) -> float:
    return float(math.exp(np.mean(np.log(values)))) if len(values) else math.nan


def report(runs: Runs, searchers: Sequence[str], cases: Sequence[Case]) -> dict[str, Any]:
    """``cases``, by name: the constraint, its optimum, a row for every searcher; and the summaries."""
    found: dict[str, Any] = {}
    for case in cases:
        table, best = tables.load(case.table), optimum(case)
        fits = tables.costs(case.table, case.cost) <= tables.limit(case)
        near = table.accuracy[fits] >= table.accuracy[best] - NEAR / 100 - _EPSILON
        found[case.name] = {
            "table": case.table,
            "cost": case.cost,
            "fraction": case.fraction,
            "optimum": round(100 * float(table.accuracy[best]), 3),
            "schemes_that_fit": int(fits.sum()),
            "within_0p1": int(near.sum()),
            "searchers": {name: row(case, runs[name, case]) for name in searchers},
        }
    developed = [case for case in cases if case.table not in tables.HELD_OUT]
    others = {name: [case for case in cases if case.table == name] for name in tables.HELD_OUT}
    return {
        "cases": found,
        "summary": summary(found, runs, searchers, developed),
        "summary_held_out": {name: summary(found, runs, searchers, rows) for name, rows in others.items() if rows},
    }


def summary(found: Mapping[str, Any], runs: Runs, searchers: Sequence[str], cases: Sequence[Case]) -> dict[str, Any]:
    """The figures of the bars, and under ``ties`` the same where ties count; nothing without our searcher."""
    if OURS not in searchers or not cases:
        return {}
    late = [feasible(runs[OURS, case]) for case in cases]
    return {
        **_figures(found, searchers, cases, "regret", "to_0p1"),
        "feasible_rate": round(sum(g for g, _ in late) / max(1, sum(n for _, n in late)), 4),
        "ties": _figures(found, searchers, cases, "regret_ties", "to_tie"),
    }


def _figures(
    found: Mapping[str, Any], searchers: Sequence[str], cases: Sequence[Case], regret: str, to: str
) -> dict[str, Any]:
    medians = {name: [found[case.name]["searchers"][name][to]["median"] for case in cases] for name in searchers}
    lost = [found[case.name]["searchers"][OURS][regret]["16"]["median"] for case in cases]
    ours = medians[OURS]
    rivals = [name for name in searchers if name != OURS]

    def over(names: Sequence[str]) -> float | None:
        """Geometric mean over the cases of ours over the best of *names*; None without any."""
        if not names:
            return None
        best = [min(medians[name][i] for name in names) for i in range(len(cases))]
        return round(geomean([a / b for a, b in zip(ours, best, strict=True)]), 4)

    return {
        "regret_16_worst": max(lost),
        "evals_to_0p1_worst": max(ours),
        "evals_to_0p1_geomean": round(geomean(ours), 3),
        "over_best_rival": over(rivals),
        "over_best_sampler": over([name for name in rivals if name not in ILP]),
        "over_each": {name: over([name]) for name in rivals},
        "geomeans": {name: round(geomean(medians[name]), 3) for name in searchers},
    }


def bars(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every bar, without ties and with them: the limit, the value, whether it holds; a missing value does not."""
    s = results["summary"]
    rows: list[tuple[str, float | None, str, float]] = []
    for of, label in ((s, ""), (s.get("ties", {}), ", ties counted")):
        each = of.get("over_each", {})
        rows += [
            (f"median regret after 16 evaluations, worst case, points{label}", of.get("regret_16_worst"), "<=", 0.05),
            (f"evaluations to 0.1 point, geometric mean{label}", of.get("evals_to_0p1_geomean"), "<=", 8),
            (f"evaluations to 0.1 point, worst case{label}", of.get("evals_to_0p1_worst"), "<=", 16),
            (f"evaluations over the best rival's, geometric mean{label}", of.get("over_best_rival"), "<=", 1),
            *((f"evaluations over {name}'s, geometric mean{label}", each.get(name), "<=", 0.25) for name in QUARTER),
        ]
    rows.append(("proposals that truly fit, after 16", s.get("feasible_rate"), ">=", 0.95))
    if "suggestion" in results:
        rows += [
            ("seconds of a suggestion, 50 layers", results["suggestion"].get("50"), "<=", 0.5),
            ("seconds of a suggestion, 500 layers", results["suggestion"].get("500"), "<=", 5),
        ]
    return [
        {
            "name": name,
            "value": value,
            "bar": f"{sign} {limit:g}",
            "pass": value is not None and (value <= limit if sign == "<=" else value >= limit),
        }
        for name, value, sign, limit in rows
    ]
