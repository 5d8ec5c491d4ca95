"""``mico latency``: models of the cycles of any scheme on a target; fitted, shown, and sharpened by measurements."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hil.cli_targets import STORE, LabAt, StoreAt

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Latency models: fit, show, and profile a network with few measurements.")

On = Annotated[str, typer.Option("--target", help="Target of the lab, or several of a kind by commas.")]
At = Annotated[
    Path | None, typer.Option("--model", help="File of the model; by default one a target in build/latency.")
]
Widths = Annotated[str, typer.Option(help="Widths that are of interest.")]


@app.command()
def fit(target: On = "soc", model: At = None, lab: LabAt = None, store: StoreAt = STORE) -> None:
    """Fit a model to the corpus of a target, which is measured first where none is of this very target."""
    from hil.bench import open_bench
    from hil.lab import load_lab
    from hil.latency_models import fitted
    from hil.store import Store

    console, opened = Console(stderr=True), Store(store)
    bench = open_bench(load_lab(lab), target, opened, "mico latency fit")
    _, path = fitted(bench, opened, path=model, again=True, say=lambda text: console.print(text, highlight=False))
    print(path)


@app.command()
def show(model: Annotated[Path, typer.Argument(help="File of a latency model.")]) -> None:
    """What a model says: prices of what the engine does, how far off predictions are believed to be, what it is of."""
    from mico.latency.storage import read_model

    found = read_model(model)
    console = Console(width=None if sys.stdout.isatty() else 120)
    prices = Table("counted", "cycles each", title=f"{found.engine.name}, {found.target['kind']}")
    for name, price in zip(found.engine.columns, found.prices.coef_, strict=True):
        prices.add_row(name, f"{price:.3f}" if price else "-")
    console.print(prices)
    facts = Table("of the target", "")
    for key, value in {**found.target, "corpus": found.corpus}.items():
        facts.add_row(key, ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value))
    console.print(facts)


@app.command()
def profile(
    network: Annotated[str, typer.Argument(help="Name in the zoo.")],
    runs: Annotated[int, typer.Option(help="Schemes to measure at most.")] = 3,
    until: Annotated[
        float, typer.Option(help="Stop once schemes are believed to be less off than this, in percent.")
    ] = 0.0,
    weight_bits: Widths = "8,4,2,1",
    activation_bits: Widths = "8,4,2,1",
    target: On = "soc",
    model: At = None,
    lab: LabAt = None,
    store: StoreAt = STORE,
) -> None:
    """Measure the few schemes that tell most of the latency of all, with random weights, which cost the same."""
    from hil.active import believed_error
    from hil.active import profile as steps
    from hil.bench import open_bench
    from hil.lab import load_lab
    from hil.latency_corpus import Untrained
    from hil.latency_models import fitted
    from hil.store import Store
    from mico.latency.network import NetworkLatency

    console, opened = Console(stderr=True), Store(store)
    bench = open_bench(load_lab(lab), target, opened, f"mico latency profile {network}")
    found, _ = fitted(bench, opened, path=model, say=lambda text: console.print(text, highlight=False))
    untrained = Untrained.of(network)
    latency = NetworkLatency(untrained.graph, model=found)
    weights, activations = (tuple(map(int, text.split(","))) for text in (weight_bits, activation_bits))
    print(f"before: schemes are believed to be {100 * believed_error(latency, weights, activations):.2f} % off")
    with bench:
        for step in steps(
            latency, lambda scheme: untrained.measure(scheme, bench, opened), runs=runs, weight_bits=weights,
            activation_bits=activations, until=until / 100,
        ):  # fmt: skip
            bits = " ".join(f"{pair.weight}/{pair.activation}" for pair in step.scheme.values())
            off = "" if step.predicted is None else f", predicted {100 * (step.predicted / step.measured - 1):+.2f} %"
            print(f"{bits}: {step.measured:,} cycles{off}; others are believed to be {100 * step.error:.2f} % off")
