"""``mico targets torture``: a target measures while its line, and where possible itself, is damaged by a seed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hil.cli_targets import STORE, LabAt, StoreAt

__all__ = ["torture"]


def torture(
    name: Annotated[str, typer.Argument(help="Target of the lab.")],
    seed: Annotated[int, typer.Option(help="Of the first scenario; the others follow.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="Scenarios.")] = 50,
    kinds: Annotated[str, typer.Option(help="Faults to draw from, by commas; default: all that are possible.")] = "",
    lab: LabAt = None,
    store: StoreAt = STORE,
    out: Annotated[Path | None, typer.Option(help="File for the report as JSON.")] = None,
) -> None:
    """Measure through a line that flips, drops, doubles and delays bytes, is cut and unplugged, while the simulator is
    killed or stopped. Exits with 1 where a wrong number, a lost measurement, a stuck target or a leftover comes of it.
    """
    from hil.lab import load_lab
    from hil.leases import Leases
    from hil.store import Store
    from hil.torture import Outcome
    from hil.torture_lab import torture_target

    def tell(outcome: Outcome) -> None:
        what = "VIOLATED " + "; ".join((*outcome.notes, *outcome.leftovers)) if outcome.violated else outcome.error
        print(f"{outcome.seed} {outcome.kind}, {outcome.seconds:.1f} s: {what or 'measured'}", file=sys.stderr)

    chosen = [part.strip() for part in kinds.split(",")] if kinds else None
    target = load_lab(lab).target(name)
    report = torture_target(target, Leases(Store(store)), seed=seed, count=count, kinds=chosen, progress=tell)
    told = report.to_json()
    if out is not None:
        out.write_text(json.dumps(told, indent=2) + "\n")
    table = Table("fault", "scenarios", "ended in an error")
    for kind, counts in told["kinds"].items():
        table.add_row(kind, str(counts["scenarios"]), str(counts["errors"]))
    console = Console()
    console.print(table)
    console.print(
        ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in told["faults"].items()), highlight=False
    )
    raise typer.Exit(int(report.violated))
