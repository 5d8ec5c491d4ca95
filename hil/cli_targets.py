"""``mico targets``: what the lab has, who holds it, what is wrong; entries for attached boards; quarantine lifted."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["STORE", "LabAt", "StoreAt", "app"]

app = typer.Typer(
    invoke_without_command=True, help="Targets of the lab: state, who holds each, and what is wrong with it."
)

STORE = str(Path(__file__).resolve().parents[1] / "build" / "mico.sqlite")
LabAt = Annotated[Path | None, typer.Option("--lab", help="lab.toml; else MICO_LAB, ./lab.toml, the default lab.")]
StoreAt = Annotated[str, typer.Option("--store", help="SQLite file or database URL that the bench shares.")]


@app.callback(invoke_without_command=True)
def targets(
    context: typer.Context,
    lab: LabAt = None,
    store: StoreAt = STORE,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List the targets of the lab."""
    if context.invoked_subcommand is not None:
        return
    rows = _states(lab, store)
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("target", "kind", "state", "held by", "since", "what is wrong")
    for row in rows:
        since = "" if row["since_s"] is None else f"{row['since_s']:.0f} s"
        table.add_row(row["target"], row["kind"], row["state"], row["holder"] or "", since, row["problem"] or "")
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _states(lab: Path | None, store: str) -> list[dict[str, Any]]:
    from hil.lab import load_lab
    from hil.leases import Health, Leases
    from hil.store import Store

    loaded, leases = load_lab(lab), Leases(Store(store))
    holders, health, now = leases.holders(), leases.health(), time.time()
    rows = []
    for name, entry in loaded.entries.items():
        held, known = holders.get(name), health.get(name, Health())
        state, problem = "free", None if known.failures == 0 else known.reason
        if held is not None:
            state = "held"
        elif not known.quarantined:  # who holds it has its port
            trouble = loaded.target(name).trouble()
            if trouble:
                state, problem = "absent", trouble
        if known.quarantined:
            state = "quarantined"
        rows.append(
            {
                "target": name,
                "kind": entry.kind,
                "state": state,
                "holder": None if held is None else str(held),
                "since_s": None if held is None else now - held.acquired,
                "failures": known.failures,
                "problem": problem,
            }
        )
    return rows


@app.command()
def scan() -> None:
    """Print entries of lab.toml for the boards that are attached to USB serial ports of this machine."""
    from hil.usb_ports import attached, propose

    found = attached()
    if not found:
        print("no USB serial port on this machine: is the board plugged in and powered?", file=sys.stderr)
        return
    print(propose(found))


@app.command()
def release(
    name: Annotated[str, typer.Argument(help="Target of the lab.")],
    lab: LabAt = None,
    store: StoreAt = STORE,
    force: Annotated[bool, typer.Option(help="Also take it from whoever holds it.")] = False,
) -> None:
    """Lift the quarantine of a target."""
    from hil.lab import load_lab
    from hil.leases import Leases
    from hil.store import Store

    for each in load_lab(lab).select(name):
        leases = Leases(Store(store))
        before = leases.health().get(each)
        holder = leases.release(each, force=force)
        if before is not None and before.quarantined:
            print(f"{each}: released; it was quarantined: {before.reason}")
        else:
            print(f"{each}: was not quarantined")
        if holder is not None:
            print(f"{each}: {'taken from' if force else 'still held by'} {holder}")
