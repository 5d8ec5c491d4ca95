"""``mico table``: accuracy of every scheme of a small network, and its cycles from measured layers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hil.cli_targets import STORE, LabAt, StoreAt
from mico.errors import UsageError

__all__ = ["table"]

_TABLES = Path(__file__).resolve().parents[1] / "build" / "tables"


def table(
    model: Annotated[str, typer.Argument(help="Name in the zoo, or path.py:Class; of few layers.")],
    dataset: Annotated[str, typer.Option(help="As `mico data list` names them, or auto.")] = "auto",
    bits: Annotated[str, typer.Option(help="Widths of weights and of activations to choose from.")] = "8,4,2",
    target: Annotated[str, typer.Option(help="Targets of the lab for cycles, by commas; empty: none.")] = "soc",
    out: Annotated[Path | None, typer.Option(help="Default build/tables/MODEL.npz.")] = None,
    images: Annotated[int, typer.Option(help="Validation images; 0: all.")] = 0,
    processes: Annotated[int, typer.Option(help="Groups of schemes computed at a time; 0: as many as cores.")] = 0,
    check: Annotated[int, typer.Option(help="Random schemes measured whole, against the sums of layers.")] = 10,
    lab: LabAt = None,
    store: StoreAt = STORE,
    seed: Annotated[int, typer.Option(help="Of training and calibration.")] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="State dict as safetensors; else the network is trained.")
    ] = None,
) -> None:
    """Evaluate every scheme of a network, exactly; killed and started again, it goes on where it was."""
    import numpy as np
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from hil.bench import open_bench
    from hil.lab import load_lab
    from hil.store import Store
    from hil.truth import job_of
    from hil.truth_cycles import check_cycles, complete_table

    widths = _widths(bits)
    console = Console(stderr=True)
    with console.status(f"training {model}, unless it is cached"):
        job = job_of(model, dataset, bits=widths, images=images or None, seed=seed, weights=weights)
    path = out or _TABLES / f"{job.graph.name}.npz"
    opened, loaded = Store(store), load_lab(lab)
    benches = {name: open_bench(loaded, name, opened, f"table {model}") for name in target.split(",") if name}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            tasks = {}

            def show(stage: str, done: int, of: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage, total=of)
                bar.update(tasks[stage], completed=done)
                if not console.is_terminal:
                    console.print(f"{stage}: {done} of {of}", highlight=False)

            made = complete_table(job, path, benches, opened, processes=processes or os.cpu_count() or 1, progress=show)
        best = made.vectors(np.array([made.accuracy.argmax()]))[0]
        print(
            f"{made.space.size:,} schemes of {job.graph.name} on {job.dataset.name}, {made.images:,} images:", end=" "
        )
        print(f"{made.accuracy.min():.2%} to {made.accuracy.max():.2%}, all widest {made.accuracy[0]:.2%},", end=" ")
        print(f"best {job.space.scheme(best)}; {made.meta['seconds']:.0f} s of processor time")
        for name, bench in benches.items():
            cycles = made.cycles(name)
            print(f"{name}: {cycles.min():,} to {cycles.max():,} cycles, all widest {cycles[0]:,}", end="")
            if check:
                found = check_cycles(made, job, name, bench, opened, count=check)
                print(f"; sums are off by {found.mean:.2%} on average, {found.worst:.2%} at most,", end=" ")
                print(f"from {found.schemes} schemes measured whole", end="")
            print()
    finally:
        for bench in benches.values():
            bench.close()
    print(path)


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}, reverse=True))
    except ValueError:
        raise UsageError(f"{text!r} is not a list of widths", where="--bits", cure="for instance 8,4,2") from None
