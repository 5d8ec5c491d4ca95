"""CBOPs with and without what the shape of a layer says: open question 1 of the paper, on measured layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_percentage_error, r2_score

from hil.experiments.common import COLOURS, Report, Setup, axes, legend, percent, plain_ticks
from hil.latency_corpus import NETWORKS, Untrained, measure_corpus
from hil.latency_models import corpus_of
from hil.store import Store
from hil.targets.kinds import make_target
from mico.latency.blend import Blend
from mico.latency.evaluate import out_of_fold
from mico.latency.features import BOPS, CBOPS, columns
from mico.latency.linear import Cbops
from mico.latency.network import NetworkLatency, Sample
from mico.quant.scheme import Scheme

__all__ = ["QUESTION", "SEEDS", "TITLE", "interval", "run"]

TITLE = "Latency proxies with and without shape features"
QUESTION = (
    "The paper's CBOPs are three numbers of a layer: what is computed, and what is loaded of weights and activations."
    " It leaves out shapes, on purpose, and asks what that costs. Fitted to layers measured on the SoC and on"
    " BitFusion, each at 16 pairs of bits, and judged on layers of shapes that the fit never saw."
)
SEEDS = 1  # nothing is drawn
BYTES = ("weight_bytes", "input_bytes", "output_bytes")
SHAPES = ("macs", "outputs", "patch")
SETS: dict[str, tuple[str, ...]] = {
    "BOPs": BOPS,
    "CBOPs (paper)": CBOPS,
    "CBOPs + tensor bytes": (*CBOPS, *BYTES),
    "CBOPs + bytes + shapes": (*CBOPS, *BYTES, *SHAPES),
}
PAPER = {"BOPs": 0.35, "CBOPs (paper)": 0.55}


class LogForest(RandomForestRegressor):  # type: ignore[misc]
    """A forest on the logarithm of the cycles."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogForest:
        super().fit(X, np.log(y), sample_weight)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        return np.asarray(np.exp(super().predict(X)), dtype=np.float64)


MODELS = {
    "least squares": LinearRegression(),
    "non-negative, relative error": Cbops(),
    "forest on the logarithm": LogForest(100, random_state=0),
    "linear with forest on the residual": Blend(),
}

FIT = "non-negative, relative error"
"""The fit that the answer is told of: it extrapolates, and weighs small and large layers alike."""


def run(setup: Setup, report: Report) -> None:
    targets = ("bitfusion",) if setup.quick else ("soc", "bitfusion")
    networks = ("lenet5",) if setup.quick else NETWORKS
    store = Store(setup.store)
    for target in targets:
        samples = _samples(setup, target, networks, store)
        x, y = np.array([s.features for s in samples]), np.array([s.cycles for s in samples])
        groups = [s.shape for s in samples]
        rows, errors = [], {}
        for name, use in SETS.items():
            part = x[:, columns(use)]
            for label, model in MODELS.items():
                setup.say(f"{target}: {name}, {label}")
                seen = model.fit(part, y).predict(part)
                unseen = out_of_fold(model, part, y, groups)
                errors[name, label] = np.abs(unseen / y - 1)
                low, high = interval(errors[name, label], groups)
                rows.append(
                    {
                        "features": name,
                        "model": label,
                        "fitted_r2": float(r2_score(y, seen)),
                        "fitted_mape": float(mean_absolute_percentage_error(y, seen)),
                        "r2": float(r2_score(y, unseen)),
                        "mape": float(errors[name, label].mean()),
                        "mape_interval": [low, high],
                    }
                )
        report.data[target] = {"rows": rows, "samples": len(samples), "shapes": len(set(groups))}
        _tell(report, target, rows, len(samples), len(set(groups)), networks)
        if target == "bitfusion":
            _paper(report, rows)
        _answer(report, target, {name: errors[name, FIT] for name in SETS}, groups)


def interval(errors: NDArray[np.float64], groups: list[str]) -> tuple[float, float]:
    """95 % interval of the mean error *errors* ``(n,)``: shapes are drawn again 2,000 times, seed 0."""
    shapes, of = np.unique(groups, return_inverse=True)
    totals, counts = np.bincount(of, errors), np.bincount(of)
    drawn = np.random.default_rng(0).integers(len(shapes), size=(2000, len(shapes)))
    low, high = np.quantile(totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _samples(setup: Setup, target: str, networks: tuple[str, ...], store: Store) -> list[Sample]:
    """Layers of all networks at all pairs: of the project's corpus where it is of this hardware, else measured."""
    made = make_target(target)
    if setup.quick:
        corpus = measure_corpus(made, store, networks, mixed=0, say=setup.say)
    else:
        corpus = corpus_of(made, store, say=setup.say)
    samples = []
    for network in networks:
        graph = Untrained.of(network).graph
        latency = NetworkLatency(graph)
        for run in corpus.of(network):
            latency.observe(Scheme.from_vector(graph.layer_names, list(run.vector)), run.layers)
        samples += latency.samples()
    return samples


def _tell(
    report: Report, target: str, rows: list[dict[str, Any]], count: int, shapes: int, networks: tuple[str, ...]
) -> None:
    report.text(
        f"## {target}\n\n{count} layers at their bits, {shapes} shapes, of {', '.join(networks)} with random weights."
        " Held out: whole shapes, never one in both parts of a fold; in brackets the 95 % interval over shapes that are"
        " drawn again, the fits kept. Cycles are exact."
    )
    report.table(
        ["features", "model", "fitted: R2", "fitted: MAPE", "held out: R2", "held out: MAPE", "paper: R2"],
        [
            [
                row["features"],
                row["model"],
                f"{row['fitted_r2']:.2f}",
                percent(row["fitted_mape"], 0),
                f"{row['r2']:.2f}",
                percent(row["mape"], 0) + " ({:.0f} to {:.0f})".format(*(100 * v for v in row["mape_interval"])),
                PAPER.get(row["features"], "-") if target == "bitfusion" and row["model"] == "least squares" else "-",
            ]
            for row in rows
        ],
    )
    figure, one = axes(
        f"{target}: error on shapes that were never measured", "", "mean relative error (%)", size=(8.5, 4.4)
    )
    width = 0.8 / len(MODELS)
    for number, (colour, label) in enumerate(zip(COLOURS, MODELS, strict=False)):
        found = [next(r for r in rows if r["features"] == name and r["model"] == label) for name in SETS]
        heights = 100 * np.array([row["mape"] for row in found])
        reach = np.abs(100 * np.array([row["mape_interval"] for row in found]).T - heights)
        at = np.arange(len(SETS)) + (number - 1.5) * width
        one.errorbar(at, heights, reach, fmt="o", ms=6, elinewidth=1, capsize=3, color=colour, label=label)
    one.set_xticks(range(len(SETS)), list(SETS), fontsize=8)
    one.set_yscale("log")
    plain_ticks(one.yaxis)
    legend(figure, one, 2)
    report.figure(figure, f"{target}-error", f"{target}: whole shapes held out; bars: 95 % interval")


def _paper(report: Report, rows: list[dict[str, Any]]) -> None:
    """The paper's two figures, which are of least squares on BitFusion, beside ours."""
    here = {row["features"]: row["fitted_r2"] for row in rows if row["model"] == "least squares"}
    bops, cbops = PAPER
    verdict = "as here" if here[cbops] > here[bops] + 0.02 else "which is not so here"
    report.text(
        f"The paper finds R2 {PAPER[cbops]:.2f} of CBOPs over {PAPER[bops]:.2f} of BOPs on its BitFusion, {verdict}:"
        f" {here[cbops]:.2f} and {here[bops]:.2f} by least squares. Its BitFusion is an analytical simulator and its"
        " layers are others; ours are of seven networks, of depthwise layers too, and of corner cases."
    )


def _answer(report: Report, target: str, errors: dict[str, NDArray[np.float64]], groups: list[str]) -> None:
    """What shapes are worth to the fit that extrapolates: *errors* ``(n,)`` of every set of features."""
    told = ", ".join(f"{percent(float(errors[name].mean()), 0)} with {name}" for name in SETS)
    paper, richest = "CBOPs (paper)", "CBOPs + bytes + shapes"
    gain = errors[paper] - errors[richest]
    low, high = interval(gain, groups)
    report.data[target]["gain"] = {"mape": float(gain.mean()), "interval": [low, high]}
    report.text(
        f"**{target}**, {FIT}: a layer of an unseen shape is off by {told}. Bytes and shapes take"
        f" {100 * gain.mean():.0f} points off the paper's three numbers (95 %: {100 * low:.0f} to {100 * high:.0f})."
        " What prices the engines' own steps instead of such features is judged by `make bench-latency`."
    )
