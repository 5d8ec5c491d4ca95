"""How tight constraints treat accuracy: is it monotone in cost near the boundary, where the paper searches?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray
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
    tables,
    truth_table,
)
from mico.search.truth import TruthTable

__all__ = ["QUESTION", "SEEDS", "TITLE", "run"]

TITLE = "Constraint tightness: accuracy near the boundary"
QUESTION = (
    "MiCo's sampler looks for candidates in a band just under the constraint, because accuracy grows with cost. Does"
    " it, scheme by scheme, and what is lost by looking only there? All schemes of a network are known here."
)
SEEDS = 1  # nothing is random

FRACTIONS = (0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BANDS = (0.02, 0.05, 0.1, 0.3)
_POINT = 0.001 + 1e-9  # 0.1 points, these included: accuracies are rounded
_SHADES = ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 128)))  # no scheme is as white as none

Floats = NDArray[np.float64]


def run(setup: Setup, report: Report) -> None:
    for model, dataset in tables(setup):
        table = truth_table(setup, model, dataset)
        meta = table.meta
        error = sampling_error(float(table.accuracy[0]), table.images)
        report.text(
            f"## {meta['model']} on {meta['dataset']}\n\n{table.space.size:,} schemes of {len(meta['names'])} layers at"
            f" {', '.join(map(str, meta['weight_bits']))} bits; accuracy on {table.images:,} validation images,"
            f" all 8 bits: {percent(table.accuracy[0])}. Nothing is drawn at random. One accuracy of so many images has"
            f" a standard error of {100 * error:.2f} points; schemes are compared on the same images. The paper assumes"
            " that accuracy is monotone in cost and gives no figure."
        )
        costs = {"BOPs": table.bops().astype(np.float64)}
        costs |= {f"cycles on {name}": cycles.astype(np.float64) for name, cycles in table.totals.items()}
        report.data[str(meta["model"])] = {}
        for name, cost in costs.items():
            rows = [_at(table.accuracy, cost / cost[0], fraction) for fraction in FRACTIONS]
            rows = [row for row in rows if row]
            report.data[str(meta["model"])][name] = rows
            _tell(report, name, rows)
            _answer(report, name, rows)
        _plots(report, table, costs)


def _at(accuracy: Floats, cost: Floats, fraction: float) -> dict[str, Any]:
    """What lies under the limit *fraction*, *cost* being a share of the 8-bit scheme's."""
    fits = cost <= fraction
    if fits.sum() < 10:
        return {}
    best = float(accuracy[fits].max())
    winners = np.flatnonzero(fits & (accuracy >= best - 1e-12))
    near = fits & (cost > fraction - 0.1)
    below = {}
    for width in BANDS:
        band = fits & (cost > fraction - width)
        below[f"{width:g}"] = best - float(accuracy[band].max()) if band.any() else None
    tied = fits & (accuracy >= best - _POINT)
    return {
        "fraction": fraction,
        "schemes": int(fits.sum()),
        "best": best,
        "slack": float(fraction - cost[winners].max()) / fraction,
        "within_0p1": int(tied.sum()),
        "cheapest_within_0p1": float(cost[tied].min()) / fraction,
        "spearman_near": float(spearmanr(cost[near], accuracy[near]).statistic) if near.sum() > 9 else None,
        "lost_in_band": below,
    }


def _tell(report: Report, name: str, rows: list[dict[str, Any]]) -> None:
    def points(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.2f}"

    report.text(
        f"### Limit on {name}\n\nLimit as a share of 8 bit; slack: how much of the limit the best scheme leaves unused;"
        " Spearman correlation of cost and accuracy among schemes at most 0.1 under the limit; points lost when only"
        " the band of that width under the limit (as a share of 8 bit) is searched."
    )
    header = [
        "limit",
        "schemes",
        "best",
        "slack",
        "cheapest within 0.1 points",
        "Spearman",
        *(f"band {b:g}" for b in BANDS),
    ]
    cells = [
        [
            f"{row['fraction']:g}",
            f"{row['schemes']:,}",
            percent(row["best"]),
            percent(row["slack"], 1),
            f"{row['cheapest_within_0p1']:.2f} of the limit",
            "-" if row["spearman_near"] is None else f"{row['spearman_near']:.2f}",
            *(points(row["lost_in_band"][f"{b:g}"]) for b in BANDS),
        ]
        for row in rows
    ]
    report.table(header, cells)


def _answer(report: Report, name: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    ranks = [row["spearman_near"] for row in rows if row["spearman_near"] is not None]
    away = [row for row in rows if row["slack"] > 0.05]
    said = []
    for width in BANDS:
        lost = [row["lost_in_band"][f"{width:g}"] for row in rows]
        found = [value for value in lost if value is not None]
        empty = f", and {len(lost) - len(found)} hold no scheme" if len(found) < len(lost) else ""
        most = f", at most {100 * max(found):.2f} points" if found else ""
        said.append(f"{width:g}: {sum(value > _POINT for value in found)} of {len(found)}{most}{empty}")
    report.text(
        f"**Limit on {name}**: were accuracy monotone in cost, their rank correlation just under the limit would be 1;"
        f" it is {min(ranks, default=0.0):.2f} to {max(ranks, default=0.0):.2f}, and under {len(away)} of {len(rows)}"
        " limits the best scheme leaves more than 5 % unused. Limits at which searching only a band loses more than 0.1"
        f" points, by width of the band: {'; '.join(said)}."
    )


def _plots(report: Report, table: TruthTable, costs: dict[str, Floats]) -> None:
    name = str(table.meta["model"])
    figure, parts = axes(
        f"{name}: every scheme", "cost, of 8 bit", "accuracy (%)", size=(5.2 * len(costs), 4.4), columns=len(costs)
    )
    for one, (label, cost) in zip(np.atleast_1d(parts), costs.items(), strict=True):
        share = cost / cost[0]
        floor = np.quantile(table.accuracy, 0.25)
        shown = table.accuracy >= floor
        cells = one.hexbin(
            share[shown], 100 * table.accuracy[shown], gridsize=60, bins="log", cmap=_SHADES, mincnt=1, linewidths=0
        )
        order = np.argsort(share, kind="stable")
        best = np.maximum.accumulate(table.accuracy[order])
        one.step(share[order], 100 * best, where="post", color=COLOURS[1], lw=1.6, label="best within the limit")
        edges = np.linspace(share.min(), share.max(), 30)
        bands = [table.accuracy[(share > a) & (share <= b)] for a, b in pairwise(edges)]
        middle = [(a + b) / 2 for a, b in pairwise(edges)]
        medians = [(m, 100 * np.median(band)) for m, band in zip(middle, bands, strict=True) if len(band) > 9]
        one.plot(
            *zip(*[p for p in medians if p[1] >= 100 * floor], strict=True),
            color=COLOURS[2],
            lw=1.6,
            label="median at this cost",
        )
        one.set_xlabel(f"{label}, of 8 bit")
        bar = figure.colorbar(cells, ax=one, label="schemes")
        plain_ticks(bar.ax.yaxis)
    legend(figure, figure.axes[0], 2)
    report.figure(figure, f"{name}-cost", f"{name}: accuracy over cost, the lowest quarter of accuracies cut off")
