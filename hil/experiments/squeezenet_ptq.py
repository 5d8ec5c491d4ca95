"""SqueezeNet without training at 0.6 of the 8-bit BOPs: what candidates near the constraint are worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from hil.experiments.common import (
    COLOURS,
    Accuracies,
    Report,
    Setup,
    axes,
    bops,
    fewer,
    legend,
    percent,
    sampling_error,
    searched,
    workload,
)
from mico.quant.prefix import NetworkProbe
from mico.search.base import Searcher, Space, Vectors
from mico.search.mico import MicoSearch
from mico.search.sampling import random_fitting
from mico.search.sieve import SieveSearch

__all__ = ["QUESTION", "SEEDS", "TITLE", "RandomCandidates", "run"]

TITLE = "SqueezeNet, PTQ, 0.6 of the 8-bit BOPs"
QUESTION = (
    "MiCo's forest with candidates grown near the constraint against the same forest with random candidates that fit,"
    " and our searcher: accuracy of the best scheme found, 8 or 4 bits for every layer's weights and activations."
)
SEEDS = 3
FRACTION = 0.6
BUDGET = 32
PAPER_GAIN = 0.0056


class RandomCandidates(MicoSearch):
    """MiCo's forest and start; the candidates are random schemes that fit."""

    name = "mico-random-candidates"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        if len(self.history) < self.initial:
            return super()._propose(rng)
        candidates = random_fitting(self, rng, 4000)[:1000]
        told = [o for o in self.history if o.accuracy is not None]
        if not len(candidates) or not told:
            return None
        known = np.array([o.vector for o in told], dtype=np.int64)
        score = self._score(known, np.array([o.accuracy for o in told], dtype=np.float64), candidates)
        return np.asarray(candidates[int(np.argmax(score))], dtype=np.int64)


SEARCHERS: dict[str, type[Searcher]] = {
    "forest, random candidates": RandomCandidates,
    "forest, near the constraint (MiCo)": MicoSearch,
    "ours (sieve)": SieveSearch,
}


def run(setup: Setup, report: Report) -> None:
    budget = 18 if setup.quick else BUDGET
    work = workload(setup, "squeezenet", "cifar10")
    data = fewer(work.dataset, 100 if setup.quick else 2000)
    accuracies = Accuracies(setup, work, data)
    graph, calibration = work.evaluator.graph, work.evaluator.calibration
    bits = (8, 4, 2) if setup.quick else (8, 4)
    space = Space.of(graph, bits, bits)
    cost = bops(space)
    widest = space.corner(0)
    limit = FRACTION * float(cost(widest[None])[0])
    rows: list[dict[str, Any]] = []
    for name, kind in SEARCHERS.items():
        for seed in range(setup.seeds):
            setup.say(f"{name}, seed {seed}")
            probe = NetworkProbe(graph, calibration, data) if kind is SieveSearch else None
            options: dict[str, Any] = {} if probe else {"initial": 16}
            searcher = kind(space, cost, limit, seed=seed, budget=budget, probe=probe, exact=True, **options)
            paid = searched(searcher, accuracies, cost, budget)
            best = searcher.best()
            if best is None:
                continue
            told = [(o.accuracy or 0.0) if searcher.meets(o) else 0.0 for o in searcher.history]
            rows.append(
                {
                    "searcher": name,
                    "seed": seed,
                    "scheme": list(best.vector),
                    "val": best.accuracy,
                    "test": accuracies(best.vector, "test"),
                    "bops": float(cost(np.array([best.vector]))[0] / cost(widest[None])[0]),
                    "ledger": searcher.ledger.to_json(),
                    "cost": paid,
                    "curve": np.maximum.accumulate(told).tolist(),
                }
            )
    full = {"val": accuracies(widest.tolist()), "test": accuracies(widest.tolist(), "test")}
    report.data |= {"runs": rows, "int8": full, "paper_gain": PAPER_GAIN, "images": len(data.val)}
    _tell(report, rows, full, (len(data.val), len(data.test)), budget)


def _tell(
    report: Report, rows: list[dict[str, Any]], full: dict[str, float], sizes: tuple[int, int], budget: int
) -> None:
    images, tests = sizes
    mean = {
        name: {
            key: float(np.mean([row[key] for row in rows if row["searcher"] == name]))
            for key in ("val", "test", "bops")
        }
        for name in SEARCHERS
        if any(row["searcher"] == name for row in rows)
    }
    report.text(
        f"All 8 bits: {percent(full['val'])} on the {images:,} validation images that the searches see,"
        f" {percent(full['test'])} on the {tests:,} of the test split. Mean over the seeds; no search costs more than"
        f" {budget} evaluations, 16 of them MiCo's orthogonal start for the forests; our probes are charged."
    )
    runs = {name: [row for row in rows if row["searcher"] == name] for name in mean}
    report.table(
        ["searcher", "validation", "test", "test, each seed", "BOPs used", "whole evaluations", "cost with probes"],
        [
            [
                name,
                percent(value["val"]),
                percent(value["test"]),
                ", ".join(f"{100 * row['test']:.2f}" for row in runs[name]),
                f"{value['bops']:.3f}",
                ", ".join(str(row["ledger"]["evaluations"]) for row in runs[name]),
                ", ".join(f"{row['cost'][-1]:.1f}" for row in runs[name]),
            ]
            for name, value in mean.items()
        ],
    )
    names = list(SEARCHERS)
    if all(name in mean for name in names):
        gain = {name: mean[name]["test"] - mean[names[0]]["test"] for name in names[1:]}
        report.data["gain"] = gain
        seeds = {name: _gains(runs[name], runs[names[0]]) for name in names[1:]}
        report.data["gain_by_seed"] = seeds
        report.table(
            ["points over random candidates, test split", "mean here", "each seed", "paper"],
            [
                ["candidates near the constraint", *_cells(gain, seeds, names[1]), f"{100 * PAPER_GAIN:+.2f}"],
                ["our searcher", *_cells(gain, seeds, names[2]), "-"],
            ],
        )
        near = seeds[names[1]]
        found = f"higher by the paper's {100 * PAPER_GAIN:.2f} points or more in {sum(g >= PAPER_GAIN for g in near)}"
        report.text(
            f"**Candidates near the constraint** are better than random ones in {sum(g > 0 for g in near)} of"
            f" {len(near)} seeds, {found}. One accuracy of {tests:,} images has a standard error of"
            f" {100 * sampling_error(full['test'], tests):.2f} points, of {images:,} images"
            f" {100 * sampling_error(full['val'], images):.2f}; schemes are compared on the same images, so differences"
            " are known better than that. The paper's network, data set and widths (4 to 8 bits) are others."
        )
    figure, one = axes(
        "Best scheme within 0.6 of the 8-bit BOPs", "cost in evaluations, probes included", "accuracy on validation (%)"
    )
    for colour, name in zip(COLOURS, names, strict=False):
        for number, row in enumerate(runs.get(name, [])):
            curve = np.array(row["curve"], dtype=np.float64)
            seen = curve > 0
            one.plot(
                np.array(row["cost"])[seen],
                100 * curve[seen],
                "o-",
                ms=2.5,
                color=colour,
                lw=1.3,
                alpha=0.85,
                label=name if number == 0 else None,
            )
    one.axhline(100 * full["val"], color="#444444", lw=1, ls="--", label="all 8 bits")
    legend(figure, one, 2)
    report.figure(figure, "curves", "Best so far, one line a seed")


def _gains(runs: list[dict[str, Any]], base: list[dict[str, Any]]) -> list[float]:
    """Test accuracy of *runs* over that of *base*, seed by seed."""
    known = {row["seed"]: float(row["test"]) for row in base}
    return [float(row["test"]) - known[row["seed"]] for row in runs if row["seed"] in known]


def _cells(mean: dict[str, float], seeds: dict[str, list[float]], name: str) -> tuple[str, str]:
    return f"{100 * mean[name]:+.2f}", ", ".join(f"{100 * gain:+.2f}" for gain in seeds[name])
