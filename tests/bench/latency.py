"""How far off latency models are on the simulated SoC and on BitFusion: ``python -m tests.bench.latency``.

Writes ``build/bench/latency.json``; README.md in this folder has its keys. Cycles come from the corpora of the project
where they are of the present hardware and firmware; else they are measured anew, which takes half an hour. ``--only
soc`` or ``--only bitfusion`` leaves the other out, whose bars then count as failed. Exits with 1 where a bar does not
hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hil.latency_corpus import Untrained
from hil.latency_models import corpus_of
from hil.store import Store
from hil.targets.base import Target
from hil.targets.bitfusion import BitFusionSim
from hil.targets.soc_sim import SocSim
from mico.latency.engines import engine_for
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.latency.protocols import BASELINES, held_out_networks
from mico.quant.scheme import BITS, Scheme
from tests.bench.result import ROOT, bar_table, save

TARGETS = ("soc", "bitfusion")
LIMITS = {
    "soc_mape_network_out": ("<=", 10.0),
    "bitfusion_mape_network_out": ("<=", 5.0),
    "soc_mape_3of16": ("<=", 3.0),
    "bitfusion_mape_3of16": ("<=", 2.0),
    "r2": (">=", 0.98),
    "coverage_90": ("87..93", 0.0),
}


def independence(target: Target, store: Store) -> dict[str, Any]:
    """Cycles of the same programs with weights of two seeds: every layer of LeNet-5 and CmsisCNN at three schemes."""
    rows = []
    with target:
        for name in ("lenet5", "cmsiscnn"):
            networks = [Untrained.of(name, seed) for seed in (0, 1)]
            for w, a in ((8, 8), (1, 2), (4, 1)):
                scheme = Scheme.uniform(networks[0].graph.layer_names, w, a)
                first, second = (network.measure(scheme, target, store) for network in networks)
                for one, other in zip(first.layers, second.layers, strict=True):
                    rows.append((f"{name} {w}/{a} {one.name}", one.cycles, other.cycles))
    off = [abs(b / a - 1) if a else float(b > 0) for name, a, b in rows if not name.endswith(" glue")]
    totals = sum(a for _, a, _ in rows), sum(b for _, _, b in rows)
    return {
        "layers": len(off),
        "equal": sum(o == 0 for o in off),
        "worst_percent": round(100 * max(off), 3),
        "total_percent": round(100 * (totals[1] / totals[0] - 1), 4),
    }


def speed(model: LayerModel) -> dict[str, float]:
    """Milliseconds: 1,000 schemes of MobileNetV2, and taking in a run of it."""
    graph = Untrained.of("mobilenetv2").graph
    latency = NetworkLatency(graph, model=model)
    vectors = np.random.default_rng(0).choice(BITS, (1000, 2 * len(graph.quantisable)))
    latency.predict(vectors)
    start = time.perf_counter()
    latency.predict(vectors)
    first = time.perf_counter()
    latency.predict_interval(vectors)
    return {
        "layers": len(graph.quantisable),
        "predict_1000_ms": round(1e3 * (first - start), 2),
        "predict_interval_1000_ms": round(1e3 * (time.perf_counter() - first), 2),
    }


def measured(name: str, store: Store, console: Console) -> dict[str, Any]:
    """Everything of one target."""

    def say(text: str) -> None:
        console.print(f"{name}: {text}", highlight=False)

    target: Target = SocSim() if name == "soc" else BitFusionSim()
    corpus = corpus_of(target, store, say=say)
    engine = engine_for(str(corpus.target["kind"]), corpus.target["parameters"])
    tables = held_out_networks(corpus, engine, say=say)
    model = LayerModel.fit(corpus, engine)
    return {
        "target": dict(corpus.target),
        "corpus": {"digest": corpus.digest(), "runs": len(corpus.runs), "networks": list(corpus.networks)},
        "engine": engine.name,
        "prices": dict(zip(engine.columns, np.round(model.prices.coef_, 4).tolist(), strict=True)),
        "protocols": tables,
        "weights_do_not_matter": independence(target, store),
        "speed": speed(model),
    }


def summary(targets: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """The figures that have bars; R2 and coverage are the worse, and the farther from 90, of both targets."""
    result: dict[str, float | None] = {}
    r2, coverage = list[float](), list[float]()
    for name in TARGETS:
        tables = targets.get(name, {}).get("protocols")
        out, three = (tables[p]["ours"] if tables else None for p in ("network_out", "3of16"))
        result[f"{name}_mape_network_out"] = out["mape"] if out else None
        result[f"{name}_mape_3of16"] = three["mape"] if three else None
        if out and three:
            r2 += [out["r2"], three["r2"]]
            coverage.append(out["coverage_90"])
            result[f"{name}_coverage_90"] = out["coverage_90"]
    whole = len(coverage) == len(TARGETS)
    result["r2"] = min(r2) if whole else None
    result["coverage_90"] = max(coverage, key=lambda c: abs(c - 90)) if whole else None
    return result


def bars(values: dict[str, float | None]) -> list[dict[str, Any]]:
    """Every bar; a value that is missing does not hold."""
    rows = []
    for name, (sign, limit) in LIMITS.items():
        value = values[name]
        if sign == "87..93":
            passed, text = value is not None and 87 <= value <= 93, "87 to 93"
        else:
            passed = value is not None and (value <= limit if sign == "<=" else value >= limit)
            text = f"{sign} {limit:g}"
        rows.append({"name": name, "value": value, "bar": text, "pass": passed})
    return rows


def show(name: str, tables: dict[str, Any], console: Console) -> None:
    view = Table("protocol", "model", "error %", "median", "95 %", "worst", "R2", "held of 90 %", title=name)
    for protocol, row in tables.items():
        for model, s in row.items():
            held = f"{s['coverage_90']:.1f}" if "coverage_90" in s else ""
            numbers = (
                f"{s['mape']:.2f}",
                f"{s['median']:.2f}",
                f"{s['p95']:.1f}",
                f"{s['worst']:.1f}",
                f"{s['r2']:.4f}",
            )
            view.add_row(protocol, model, *numbers, held)
        view.add_section()
    console.print(view)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=TARGETS)
    only = parser.parse_args(arguments).only
    torch.set_num_threads(1)
    console = Console(width=None if sys.stdout.isatty() else 160)
    store = Store(ROOT / "build" / "mico.sqlite")
    targets = {name: measured(name, store, console) for name in TARGETS if only in (None, name)}
    for name, result in targets.items():
        show(name, result["protocols"], console)
    values = summary(targets)
    results = {
        "models": {
            **{key: baseline.what for key, baseline in BASELINES.items()},
            "ours": "mico.latency.model.LayerModel",
        },
        "targets": targets,
        "summary": values,
        "bars": bars(values),
    }
    bar_table(results, console)
    return save("latency", results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
