"""Search curves: regret over the cost of a search, on truth tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.experiments.common import (
    COLOURS,
    Report,
    Setup,
    axes,
    fairness,
    legend,
    median,
    plain_ticks,
    span,
    tables,
    truth_table,
)
from mico.errors import UsageError
from mico.search.registry import searcher_class
from mico.search.space import Vectors
from mico.search.truth import TruthTable

__all__ = ["QUESTION", "SEEDS", "TITLE", "done", "play", "run"]

TITLE = "Search curves"
QUESTION = (
    "How far from the best possible scheme is the best found so far, over what the search has cost? A whole evaluation"
    " costs 1, a probe on n of the N validation images n/N, for every searcher alike. `make bench-search` has more"
    " constraints and seeds."
)
SEEDS = 3
BUDGET = 32
FRACTIONS = (0.2, 0.5)
SEARCHERS = ("sieve", "ilp", "ilp-local", "amp", "mico", "gp", "tpe", "nsga2", "random")
CLOSE = 0.001
"""Regret at which a search counts as done: 0.1 points, these included."""
_ROUNDING = 1e-9
_SEEN = {"cmsiscnn": " But `sieve` screens less since it was seen that more bought nothing on this one."}
_BAND = (0.003, 0.015)  # of the plot, where no regret is left: less than one image of 5,000
GRID = (1, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32)


def run(setup: Setup, report: Report) -> None:
    names = ("sieve", "mico", "random") if setup.quick else SEARCHERS
    budget = 12 if setup.quick else BUDGET
    for model, dataset in tables(setup):
        table = truth_table(setup, model, dataset)
        cost = table.bops().astype(np.float64)
        curves: dict[str, Any] = {}
        finished: dict[str, list[float]] = {}
        for fraction in FRACTIONS:
            for name in names:
                setup.say(f"{table.meta['model']} at {fraction:g} of 8-bit BOPs: {name}")
                runs = [play(table, cost, name, fraction, seed, budget) for seed in range(setup.seeds)]
                curves[f"{fraction:g} {name}"] = [[_regret(run, at) for at in GRID if at <= budget] for run in runs]
                finished[f"{fraction:g} {name}"] = [done(run) for run in runs]
        model_name = str(table.meta["model"])
        report.data[model_name] = {"regret": curves, "cost_until_close": finished, "grid": GRID}
        report.text(
            f"## {model_name} on {table.meta['dataset']}\n\n{table.space.size:,} schemes, accuracy on {table.images:,}"
            " validation images; the optimum is the best of all that fit. The paper's summary gives no curve."
            f"{fairness(model_name)}{_SEEN.get(model_name, '')}"
        )
        _tell(report, model_name, curves, names, budget)
        _answer(report, finished, names, budget)


def play(
    table: TruthTable, cost: NDArray[np.float64], name: str, fraction: float, seed: int, budget: int
) -> list[tuple[float, float]]:
    """What the search had cost, and how far its best was from the optimum (1: nothing feasible yet), at every step."""
    limit = fraction * float(cost[0])
    optimum = float(table.accuracy[cost <= limit].max())

    def predict(rows: Vectors) -> NDArray[np.float64]:
        return cost[table.index(rows)]

    searcher = searcher_class(name)(
        table.space, predict, limit, seed=seed, budget=budget, probe=table.probe(), exact=True
    )
    scheme, best, steps = table.space.scheme(table.space.corner(0)), -np.inf, []
    while True:
        at = int(table.index(np.array([scheme.vector()]))[0])
        searcher.tell(scheme, float(table.accuracy[at]), int(cost[at]))
        if cost[at] <= limit:
            best = max(best, float(table.accuracy[at]))
        steps.append((searcher.ledger.cost, min(optimum - best, 1.0)))
        if searcher.ledger.cost >= budget or best >= optimum:
            return steps
        try:
            scheme = searcher.ask()
        except UsageError:
            return steps


def _regret(steps: list[tuple[float, float]], at: float) -> float:
    """After a cost of *at*: that of the last evaluation it paid for."""
    paid = [regret for cost, regret in steps if cost <= at]
    return paid[-1] if paid else 1.0


def done(steps: list[tuple[float, float]]) -> float:
    """What it cost to come within :data:`CLOSE` of the optimum; infinite where the search did not."""
    return next((cost for cost, regret in steps if regret <= CLOSE + _ROUNDING), float("inf"))


def _tell(report: Report, model: str, curves: dict[str, Any], names: tuple[str, ...], budget: int) -> None:
    grid = [at for at in GRID if at <= budget]
    figure, parts = axes(
        f"{model}: regret over cost, median of seeds",
        "cost in evaluations",
        "regret in points",
        size=(11, 4.4),
        columns=2,
    )
    for one, fraction in zip(parts, FRACTIONS, strict=True):
        for number, (colour, name) in enumerate(zip(COLOURS, names, strict=False)):
            mid = [100 * median([run[i] for run in curves[f"{fraction:g} {name}"]]) for i in range(len(grid))]
            optimum = _BAND[1] * (_BAND[0] / _BAND[1]) ** ((number + 1) / (len(names) + 1))  # each has its place there
            shown = [value if value > _BAND[1] else optimum for value in mid]
            shown = [y if value < 99 else np.nan for y, value in zip(shown, mid, strict=True)]
            width = 2.2 if name == "sieve" else 1.1
            one.plot(grid, shown, "o-", ms=3, color=colour, label=name, lw=width, drawstyle="steps-post")
        one.set_yscale("log")
        plain_ticks(one.yaxis)
        one.axhspan(*_BAND, color="#2a7f4f", alpha=0.07, lw=0)
        one.text(0.5, np.sqrt(_BAND[0] * _BAND[1]), "optimum", fontsize=8, rotation=90, va="center")
        one.set_ylim(bottom=_BAND[0])
        one.set_xlim(left=0)
        one.yaxis.set_major_formatter(lambda y, _: f"{y:g}" if y > _BAND[1] else "")
        one.set_title(f"{fraction:g} of 8-bit BOPs", fontsize=10)
    legend(figure, parts[0], len(names))
    report.figure(
        figure, f"{model}-curves", f"{model}: from the first feasible scheme on; in the band no regret is left"
    )
    report.text("Regret in points after a cost of that many evaluations: median of the seeds, least to greatest.")
    told = [at for at in (4, 8, 16, 24, 32) if at <= budget]
    rows = []
    for fraction in FRACTIONS:
        for name in names:
            seeds = [[run[grid.index(at)] for run in curves[f"{fraction:g} {name}"]] for at in told]
            rows.append([f"{fraction:g}", name, *map(_points, seeds)])
    report.table(["of 8-bit BOPs", "searcher", *map(str, told)], rows)


def _points(seeds: list[float]) -> str:
    """Regrets of the seeds in points; 1 stands for no scheme that fits."""
    found = [value for value in seeds if value < 1]
    if not found:
        return "nothing feasible"
    return span(found, 2, 100) + ("" if len(found) == len(seeds) else f", {len(seeds) - len(found)} nothing feasible")


def _answer(report: Report, finished: dict[str, list[float]], names: tuple[str, ...], budget: int) -> None:
    report.text(
        f"Cost until the best found is within {100 * CLOSE:g} points of the optimum: median of the seeds, and how many"
        f" of them got there within {budget}."
    )
    rows, said = [], []
    for fraction in FRACTIONS:
        cost = {name: median(finished[f"{fraction:g} {name}"]) for name in names}
        least = min(cost.values())
        for name in names:
            seeds = finished[f"{fraction:g} {name}"]
            got = sum(bool(np.isfinite(value)) for value in seeds)
            shown = f"{cost[name]:.1f}" if np.isfinite(cost[name]) else f"over {budget}"
            rows.append([f"{fraction:g}", name, shown, f"{got} of {len(seeds)}"])
        first = [name for name in names if cost[name] == least]
        said.append(
            f"at {fraction:g} of the BOPs "
            + (f"{' and '.join(first)} with {least:.1f}" if np.isfinite(least) else "none, within the budget")
        )
    report.table(["of 8-bit BOPs", "searcher", "cost", "seeds that got there"], rows)
    report.text(f"Cheapest: {'; '.join(said)}. `sieve` is ours.")
