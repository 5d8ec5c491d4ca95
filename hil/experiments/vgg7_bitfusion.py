"""VGG-7 on BitFusion: a search that is guided by BOPs against one that is guided by CBOPs, measured in cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from hil.evaluation import Workbench
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
from hil.records import Measurement
from hil.result import versions
from hil.store import Store
from hil.targets.bitfusion import BitFusionSim
from hil.workload import Workload
from mico.errors import UsageError
from mico.latency.features import BOPS, CBOPS, columns, features
from mico.latency.linear import Bops, Cbops
from mico.latency.network import NetworkLatency
from mico.quant.scheme import LayerBits, Scheme
from mico.search.base import Cost, Space
from mico.search.mico import MicoSearch

__all__ = ["QUESTION", "SEEDS", "TITLE", "run"]

TITLE = "VGG-7 on BitFusion: guided by BOPs or by CBOPs"
QUESTION = (
    "The same search (MiCo's forest) is told three times what a scheme costs: by BOPs, by CBOPs fitted to layers"
    " measured on our BitFusion, and by our latency model fitted to the same runs. What the chosen schemes then really"
    " take is measured on the accelerator's RTL."
)
SEEDS = 1
FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
BUDGET = 24
BITS = (8, 4)
LOSS = 0.01
PAPER = {"BOPs": 0.87, "CBOPs": 0.77}


@dataclass
class _Bench:
    """Measures schemes on the accelerator; what the store knows is not run again."""

    work: Workload
    bench: Workbench

    def __call__(self, scheme: Scheme) -> Measurement:
        model = self.work.evaluator.quantise(scheme).model
        return self.bench.measure(self.bench.build(model), model)


def run(setup: Setup, report: Report) -> None:
    work = workload(setup, "vgg7", "cifar10")
    data = fewer(work.dataset, 100 if setup.quick else 2000)
    accuracies = Accuracies(setup, work, data)
    target, store = BitFusionSim(), Store(setup.store)
    bench = _Bench(
        work,
        Workbench(work.dataset, work.evaluator, target, store, build=target.build, tools=versions()),
    )
    graph = work.evaluator.graph
    space = Space.of(graph, BITS, BITS)
    try:
        latency = NetworkLatency(graph)
        profile = [Scheme.uniform(graph.layer_names, w, a) for w in BITS for a in BITS]
        rest = 0.0
        for scheme in profile:
            setup.say(f"profile: {scheme}")
            found = bench(scheme)
            latency.observe(scheme, [(layer.name, layer.cycles) for layer in found.layers])
            known = {layer.name for layer in graph.quantisable}
            rest += sum(c.cycles for c in found.layers if c.name not in known) / len(profile)
        int8 = bench(profile[0]).cycles
        guides = {"BOPs": bops(space), "CBOPs": _cbops(space, latency, rest), "our latency model": latency.predict}
        rows = []
        fractions, budget = ((0.5, 0.8), 6) if setup.quick else (FRACTIONS, BUDGET)
        for name, guide in guides.items():
            for fraction in fractions:
                for seed in range(setup.seeds):
                    setup.say(f"{name}, {fraction:g} of 8 bit, seed {seed}")
                    row = _search(space, guide, fraction, seed, accuracies, bench, budget)
                    if row:
                        rows.append({"guide": name, **row, "latency": row["cycles"] / int8})
    finally:
        bench.bench.close()
    widest = space.corner(0).tolist()
    full = {"val": accuracies(widest), "test": accuracies(widest, "test"), "cycles": int8}
    report.data |= {"int8": full, "runs": rows, "paper": PAPER, "images": len(data.val), "layers": _layers(latency)}
    _tell(report, rows, full, _layers(latency), budget)


def _search(
    space: Space, guide: Cost, fraction: float, seed: int, accuracies: Accuracies, bench: _Bench, budget: int
) -> dict[str, Any]:
    """The best scheme under a share of what the guide says of 8 bit; empty where there is none."""
    limit = fraction * float(guide(space.corner(0)[None])[0])
    searcher = MicoSearch(space, guide, limit, seed=seed, budget=budget, exact=True)
    try:
        searched(searcher, accuracies, guide, budget)
    except UsageError:
        return {}  # the guide says that nothing is so fast
    best = searcher.best()
    if best is None:
        return {}
    measured = bench(space.scheme(np.array(best.vector)))
    return {
        "fraction": fraction,
        "seed": seed,
        "scheme": list(best.vector),
        "val": best.accuracy,
        "test": accuracies(best.vector, "test"),
        "guide_says": float(guide(np.array([best.vector]))[0] / guide(space.corner(0)[None])[0]),
        "cycles": measured.cycles,
    }


def _cbops(space: Space, latency: NetworkLatency, rest: float) -> Cost:
    """The paper's proxy: every layer's cycles linear in its three variables, plus what is no layer with weights."""
    model, use = Cbops(), columns(CBOPS)
    samples = latency.samples()
    model.fit(np.array([s.features[use] for s in samples]), np.array([s.cycles for s in samples]))
    layers = latency.graph.quantisable
    table = np.array(
        [
            [
                model.predict(np.array([features(layer, LayerBits(w, a))[use] for a in space.activation_bits]))
                for w in space.weight_bits
            ]
            for layer in layers
        ]
    )

    def cost(vectors: NDArray[np.int64]) -> NDArray[np.float64]:
        index = space.encode(vectors)
        half = len(layers)
        return np.asarray(rest + table[np.arange(half), index[:, :half], index[:, half:]].sum(axis=1), dtype=np.float64)

    return cost


def _layers(latency: NetworkLatency) -> dict[str, float]:
    """R2 of both proxies on the measured layers that they were fitted to."""
    samples = latency.samples()
    x, y = np.array([s.features for s in samples]), np.array([s.cycles for s in samples])
    found = {"samples": float(len(samples))}
    for name, model, use in (("BOPs", Bops(), columns(BOPS)), ("CBOPs", Cbops(), columns(CBOPS))):
        found[name] = float(r2_score(y, model.fit(x[:, use], y).predict(x[:, use])))
    return found


def _tell(
    report: Report, rows: list[dict[str, Any]], full: dict[str, float], layers: dict[str, float], budget: int
) -> None:
    names = list(dict.fromkeys(row["guide"] for row in rows))
    report.text(
        f"All 8 bits: {full['cycles']:,} cycles an image, {percent(full['val'])} on validation,"
        f" {percent(full['test'])} on test. 8 or 4 bits for every layer's weights and activations, without training;"
        f" {budget} evaluations a search. A limit is a share of what the guide says of 8 bit; the latency is measured."
    )
    report.table(
        ["guide", "limit", "seed", "the guide says", "measured", "validation", "test"],
        [
            [
                row["guide"],
                f"{row['fraction']:g}",
                row["seed"],
                f"{row['guide_says']:.2f}",
                f"{row['latency']:.3f}",
                percent(row["val"]),
                percent(row["test"]),
            ]
            for row in rows
        ],
    )
    best = {}
    for name in names:
        good = [row["latency"] for row in rows if row["guide"] == name and row["val"] >= full["val"] - LOSS]
        best[name] = min(good) if good else None
    report.data["latency_within_one_point"] = best
    report.text(
        "Measured latency under the same limit, mean of the seeds; a dash where the guide says that none is so fast."
    )
    limits = sorted({row["fraction"] for row in rows})
    same = {
        (name, at): [row["latency"] for row in rows if (row["guide"], row["fraction"]) == (name, at)]
        for name in names
        for at in limits
    }
    report.table(
        ["guide", *(f"limit {at:g}" for at in limits)],
        [[name, *(f"{np.mean(same[name, at]):.3f}" if same[name, at] else "-" for at in limits)] for name in names],
    )
    report.text(
        f"Least measured latency of a scheme chosen under any of these limits that loses at most {100 * LOSS:g} point"
        " on validation:"
    )
    report.table(
        ["guide", "here, of 8 bit", "paper"],
        [[name, "-" if best[name] is None else f"{best[name]:.3f}", PAPER.get(name, "-")] for name in names],
    )
    error = sampling_error(full["val"], report.data["images"])
    report.text(
        f"An accuracy of {report.data['images']:,} validation images has a standard error of {100 * error:.2f} points,"
        " of the size of what may be lost; cycles are exact."
    )
    off = {name: _off([row for row in rows if row["guide"] == name]) for name in names}
    report.text(
        "How far a guide's share is from the measured one, mean of the chosen schemes: "
        + ", ".join(f"{name} {percent(value, 1)}" for name, value in off.items())
        + f". On the {layers['samples']:.0f} measured layers, fitted: R2 of BOPs {layers['BOPs']:.2f} (paper 0.35), of"
        f" CBOPs {layers['CBOPs']:.2f} (paper 0.55). The paper's BitFusion is an analytical simulator; ours is RTL, the"
        " network is narrower, and what the paper's two numbers hold constant is not said in its summary."
    )
    report.data["guide_error"] = off
    figure, one = axes("Chosen schemes on BitFusion", "measured latency, of 8 bit", "accuracy on validation (%)")
    for number, (colour, marker, name) in enumerate(zip(COLOURS, "so^", names, strict=False)):
        of = sorted((row["latency"], 100 * row["val"]) for row in rows if row["guide"] == name)
        size = 11 - 3 * number  # one inside the other where guides agree
        x, y = [p[0] for p in of], [p[1] for p in of]
        one.plot(x, y, marker, color=colour, ms=size, mfc="none", mew=1.6, label=f"guided by {name}")
        one.step(x, np.maximum.accumulate(y), where="post", color=colour, lw=3 - number)
    one.axhline(100 * full["val"], color="#444444", lw=1, ls="--", label="all 8 bits")
    legend(figure, one, 4)
    report.figure(figure, "front", "Every chosen scheme, and the front of each guide")


def _off(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([abs(row["guide_says"] / row["latency"] - 1) for row in rows])) if rows else float("nan")
