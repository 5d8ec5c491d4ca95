"""``mico experiment``: the paper's experiments, and what it leaves open, as Markdown, JSON and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hil.cli_targets import STORE

__all__ = ["experiment"]

_OUT = Path(__file__).resolve().parents[1] / "build" / "experiments"


def experiment(
    name: Annotated[str | None, typer.Argument(help="Name, or all; none lists them.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A tiny network: shows that it runs, nothing else.")] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Repetitions, from seed 0; else the experiment's own.")
    ] = None,
    out: Annotated[Path, typer.Option(help="A folder in it for each experiment.")] = _OUT,
    store: Annotated[str, typer.Option("--store", help="SQLite file or database URL, for measurements.")] = STORE,
) -> None:
    """Run an experiment and write report.md, result.json and its plots."""
    from hil import experiments
    from hil.experiments.common import Report, Setup

    console = Console(stderr=True)
    if name is None:
        for each in experiments.NAMES:
            typer.echo(f"{each:16s} {experiments.experiment(each).TITLE}")
        return
    for each in experiments.NAMES if name == "all" else (name,):
        module = experiments.experiment(each)
        repetitions = seeds or (1 if quick else int(module.SEEDS))
        folder = out / (f"{each}-quick" if quick else each)
        folder.mkdir(parents=True, exist_ok=True)
        setup = Setup(each, folder, quick, repetitions, store, lambda text: console.print(text, highlight=False))
        report = Report(setup, module.TITLE, module.QUESTION)
        console.print(f"{each}: {module.TITLE}", highlight=False)
        module.run(setup, report)
        typer.echo(str(report.write()))
