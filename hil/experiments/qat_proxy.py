"""Does a short training rank schemes as the full one does, at 1 and 2 bits?"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator
from scipy.stats import spearmanr

from hil.experiments.common import (
    COLOURS,
    Report,
    Setup,
    axes,
    legend,
    percent,
    plain_ticks,
    sampling_error,
    workload,
)
from hil.workload import Workload
from mico.quant.evaluate import FULL_SHARE, SHORT_SHARE
from mico.quant.prefix import PrefixEvaluator
from mico.quant.scheme import Scheme

__all__ = ["QUESTION", "SEEDS", "TITLE", "run"]

TITLE = "Short against full QAT at 1 and 2 bits"
QUESTION = (
    "While it searches, MiCo trains a scheme below 4 bits for a twentieth of the float network's training and trusts"
    " the ranking. Open question 2 of the paper: is it the full training's? And would no training at all rank as well?"
)
SEEDS = 1
SCHEMES = 8
_LOW = 0.6  # share of the entries at the lowest width
_PROXIES = {"short": "short QAT", "ptq": "no training"}


def run(setup: Setup, report: Report) -> None:
    work = workload(setup, "lenet5", "mnist")
    count = 4 if setup.quick else SCHEMES
    report.text(
        f"{work.graph.name} on {work.dataset.name}: short training {work.evaluator.steps(False)} steps,"
        f" {SHORT_SHARE:g} of the float network's, full training {work.evaluator.steps(True)} steps, {FULL_SHARE:g}."
        f" {count} random schemes for each lowest width and seed: {_LOW:g} of all entries have it, the others 4 or 8"
        f" bits. Accuracy on {len(work.dataset.val):,} validation images."
    )
    rows = [
        {"lowest": low, "seed": seed, **row}
        for low in (2, 1)
        for seed in range(setup.seeds)
        for row in _schemes(setup, work, low, seed, count)
    ]
    report.data["schemes"] = rows
    _tell(report, rows, len(work.dataset.val))
    _plot(report, rows, len(work.dataset.val))


def _schemes(setup: Setup, work: Workload, low: int, seed: int, count: int) -> list[dict[str, Any]]:
    graph, evaluator = work.evaluator.graph, work.evaluator
    prefix = PrefixEvaluator(graph, evaluator.calibration)
    rng = np.random.default_rng([20261121, low, seed])
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        size = 2 * len(graph.layer_names)
        vector = np.where(rng.random(size) < _LOW, low, rng.choice((4, 8), size))
        scheme = Scheme.from_vector(graph.layer_names, vector.tolist())
        if scheme.min_bits != low or any(row["vector"] == vector.tolist() for row in rows):
            continue
        setup.say(f"lowest {low}, seed {seed}: {scheme}")
        images, labels = work.dataset.val.images, work.dataset.val.labels
        short, full = evaluator.quantise(scheme), evaluator.quantise(scheme, full=True)
        rows.append(
            {
                "vector": vector.tolist(),
                "ptq": float(prefix.answers(vector[None], images, labels).mean()),
                "short": evaluator.accuracy(short.model),
                "full": evaluator.accuracy(full.model),
                "short_s": short.seconds,
                "full_s": full.seconds,
            }
        )
    return rows


def _tell(report: Report, rows: list[dict[str, Any]], images: int) -> None:
    data = [
        {"lowest": low, **_ranking([row for row in rows if row["lowest"] == low], proxy, images)}
        for low in (2, 1)
        for proxy in _PROXIES
    ]
    report.data["ranking"] = data
    report.table(
        [
            "lowest width",
            "proxy",
            "Spearman with full QAT",
            "p",
            "clear pairs in the right order",
            "points lost by its choice",
            "mean distance, points",
        ],
        [
            [
                row["lowest"],
                _PROXIES[row["proxy"]],
                f"{row['spearman']:.2f}",
                f"{row['p']:.3f}",
                f"{row['right']} of {row['clear']}",
                f"{row['lost_points']:.2f}",
                f"{row['distance_points']:.2f}",
            ]
            for row in data
        ],
    )
    error = 100 * max(sampling_error(row["full"], images) for row in rows)
    report.text(
        "A pair of schemes is clear where their accuracies after full training differ by more than two standard errors"
        f" of the difference; one of an accuracy here is at most {error:.2f} points. Schemes closer than that have no"
        " order that a proxy could know, and a Spearman correlation of all of them is the lower for it. One training"
        " seed per scheme: its own spread is not in these errors."
    )
    for low in (2, 1):
        short, none = (row for row in data if row["lowest"] == low)
        pairs = (
            f"it has {short['right']} of {short['clear']} clear pairs right, no training {none['right']}"
            if short["clear"]
            else "no pair is clear, so that the order itself is within the sampling error"
        )
        report.text(
            f"**Lowest width {low}**: Spearman {short['spearman']:.2f} for short training (p {short['p']:.3f}),"
            f" {none['spearman']:.2f} for no training (p {none['p']:.3f}); {pairs}. Choosing by short training loses"
            f" {short['lost_points']:.2f} points of accuracy after full training, without training"
            f" {none['lost_points']:.2f}."
        )
    report.table(
        ["lowest width", "scheme, weights then activations", "no training", "short", "full", "s short", "s full"],
        [
            [
                row["lowest"],
                " ".join(map(str, row["vector"])),
                *(percent(row[name]) for name in ("ptq", "short", "full")),
                f"{row['short_s']:.1f}",
                f"{row['full_s']:.1f}",
            ]
            for row in rows
        ],
    )
    report.text("The paper gives no number; it leaves the question open.")


def _ranking(rows: list[dict[str, Any]], proxy: str, images: int) -> dict[str, Any]:
    """How *proxy* orders *rows* beside their full training."""
    full, guess = (np.array([row[name] for row in rows]) for name in ("full", proxy))
    error = [sampling_error(float(value), images) for value in full]
    clear = [
        (a, b)
        for a, b in combinations(range(len(rows)), 2)
        if abs(full[a] - full[b]) > 2 * np.hypot(error[a], error[b])
    ]
    rank = spearmanr(guess, full)
    return {
        "proxy": proxy,
        "spearman": float(rank.statistic),
        "p": float(rank.pvalue),
        "clear": len(clear),
        "right": sum((full[a] - full[b]) * (guess[a] - guess[b]) > 0 for a, b in clear),
        "lost_points": 100 * float(full.max() - full[int(np.argmax(guess))]),
        "distance_points": 100 * float(np.abs(guess - full).mean()),
    }


def _plot(report: Report, rows: list[dict[str, Any]], images: int) -> None:
    size = (9.4, 4.6)
    figure, parts = axes(
        "Errors beside those after full training", "", "error after full QAT (%)", size=size, columns=2
    )
    for one, (proxy, name) in zip(parts, _PROXIES.items(), strict=True):
        for colour, marker, low in zip(COLOURS, "os", (2, 1), strict=False):
            of = [row for row in rows if row["lowest"] == low]
            bars = [[100 * sampling_error(row[key], images) for row in of] for key in (proxy, "full")]
            x, y = ([max(100 * (1 - row[key]), 1e-2) for row in of] for key in (proxy, "full"))
            one.errorbar(
                x, y, bars[1], bars[0], marker, ms=5, lw=0.8, color=colour, ecolor=colour, label=f"lowest width {low}"
            )
        one.set_xlabel(f"error with {name} (%)")
        one.set_xscale("log")
        one.set_yscale("log")
        for axis in (one.xaxis, one.yaxis):
            plain_ticks(axis)
            axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    legend(figure, figure.axes[0], 2)
    report.figure(figure, "ranking", "Every scheme once, with one standard error of sampling the images")
