"""Does a short training rank schemes as the full one does, at 1 and 2 bits?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hil.experiments.common import COLOURS, Report, Setup, axes, percent, workload
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
    _tell(report, rows)


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


def _tell(report: Report, rows: list[dict[str, Any]]) -> None:
    cells, data = [], []
    for low in (2, 1):
        of = [row for row in rows if row["lowest"] == low]
        full = np.array([row["full"] for row in of])
        for proxy in ("short", "ptq"):
            guess = np.array([row[proxy] for row in of])
            rank = spearmanr(guess, full)
            lost = float(full.max() - full[int(np.argmax(guess))])
            error = np.abs(guess - full).mean()
            found = {"lowest": low, "proxy": proxy, "spearman": float(rank.statistic), "p": float(rank.pvalue)}
            data.append({**found, "lost_points": 100 * lost})
            name = "short QAT" if proxy == "short" else "no training"
            cells.append(
                [low, name, f"{rank.statistic:.2f}", f"{rank.pvalue:.3f}", f"{100 * lost:.2f}", f"{100 * error:.2f}"]
            )
    report.data["ranking"] = data
    report.table(
        ["lowest width", "proxy", "Spearman with full QAT", "p", "points lost by its choice", "mean distance, points"],
        cells,
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
    figure, one = axes("Short against full training", "error after short QAT (%)", "error after full QAT (%)")
    for colour, low in zip(COLOURS, (2, 1), strict=False):
        of = [row for row in rows if row["lowest"] == low]
        x, y = ([max(100 * (1 - row[key]), 1e-2) for row in of] for key in ("short", "full"))
        one.plot(x, y, "o", color=colour, label=f"lowest width {low}")
    one.set_xscale("log")
    one.set_yscale("log")
    one.legend(fontsize=8, framealpha=0.85, edgecolor="none")
    report.figure(figure, "ranking", "Every scheme once")
