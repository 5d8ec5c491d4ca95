"""``mico results``: what is in a store, as tables, JSON or CSV; export and import."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hil.store import Store
from hil.store_queries import COLUMNS, Filter, parse_since
from mico.errors import UsageError

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True, help="What is in a store: campaigns and measurements.")

_STORE = Path(__file__).resolve().parents[1] / "build" / "mico.sqlite"
_SHOWN = 50

StoreAt = Annotated[str | None, typer.Option("--store", help=f"SQLite file or database URL.  [default: {_STORE}]")]


@app.callback()
def results(
    context: typer.Context,
    store: StoreAt = None,
    model: Annotated[str | None, typer.Option(help="Measurements of this model alone.")] = None,
    target_kind: Annotated[str | None, typer.Option(help="On this kind of target alone, for instance soc-sim.")] = None,
    status: Annotated[str | None, typer.Option(help="ok; errors; or one: timeout, device, wrong, ...")] = None,
    since: Annotated[str | None, typer.Option(help="7d, 12h, 30m ago; or an ISO date.")] = None,
    key: Annotated[str | None, typer.Option(help="First characters of the key.")] = None,
    limit: Annotated[int, typer.Option(help="Rows of the table, the newest; 0: all. JSON and CSV have all.")] = _SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Campaigns and measurements as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Measurements as CSV.")] = False,
) -> None:
    """List the campaigns of a store, and with any filter its measurements."""
    if context.invoked_subcommand is not None:
        return
    if as_json and as_csv:
        raise UsageError("--json and --csv at once", cure="choose one")
    if limit < 0:
        raise UsageError(f"{limit} rows", where="--limit", cure="a number of rows, or 0 for all")
    which = Filter(model, target_kind, status, None if since is None else parse_since(since), key)
    opened = open_store(store)
    if as_csv:
        _write_csv(opened.listing(which))
        return
    campaigns = [row for row in opened.campaigns() if model in (None, row["config"].get("model"))]
    if as_json:
        answer = {"campaigns": campaigns, "measurements": opened.listing(which), "by_status": opened.tally(which)}
        print(json.dumps(answer))
        return
    console = Console()
    if which == Filter():
        console.print(_campaign_table(campaigns))
    else:
        console.print(_measurement_table(opened.listing(which, limit=limit or None)))
    by_status = opened.tally(which)
    total, failed = sum(by_status.values()), sum(by_status.values()) - by_status.get("ok", 0)
    console.print(f"{total - failed} measurements, {failed} failed", highlight=False)
    if which != Filter() and 0 < limit < total:
        console.print(f"the newest {limit} are shown: --limit 0 shows all", highlight=False)


@app.command()
def show(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="First characters of its key.")],
    store: StoreAt = None,
) -> None:
    """One measurement with everything in it, its attempts and their raw laps included, as JSON."""
    opened = open_store(store, context)
    found = opened.measurements(Filter(key=key)) if key else []
    if len(found) != 1:
        what = "no measurement" if not found else f"{len(found)} measurements"
        raise UsageError(f"{what} with this key", where=key, cure="`mico results --csv` lists the keys")
    (row,) = found
    attempts = opened.attempts(row["key"])
    print(json.dumps({**row, "counts": opened.counts(row["key"]), "attempts": attempts}, indent=1))


@app.command("export")
def export_store(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help=".jsonl: the whole store; .parquet or .csv: its measurements.")],
    store: StoreAt = None,
) -> None:
    """Write the store to a file; one that is there is replaced when all of it is written."""
    from hil.store_files import export

    rows = export(open_store(store, context), file)
    typer.echo(f"{file}: {_amounts(rows)}", err=True)


@app.command("import")
def import_store(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `mico results export FILE.jsonl` wrote.")],
    store: StoreAt = None,
) -> None:
    """Add what another store exported. All of it or nothing; what is there already stays as it is."""
    from hil.store_import import import_file

    rows = import_file(open_store(store, context, make=True), file)
    typer.echo(f"{file}: new are {_amounts(rows)}", err=True)


def open_store(store: str | None, context: typer.Context | None = None, *, make: bool = False) -> Store:
    """The store at *store*; else at the ``--store`` before the command's name; else the usual one."""
    if store is None and context is not None and context.parent is not None:
        store = context.parent.params.get("store")
    where = str(_STORE) if store is None else store
    if not make and "://" not in where and not Path(where).exists():
        raise UsageError("no such store", where=where, cure="`mico demo` makes one")
    return Store(where)


def latency_us(row: Mapping[str, Any]) -> float | None:
    """Of a row with cycles and their clock; None where it failed."""
    return None if row["cycles"] is None else float(row["cycles"] / row["clock_hz"] * 1e6)


def _amounts(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in rows.items())


def _write_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*COLUMNS, "latency_us"])
    writer.writerows([*row.values(), latency_us(row)] for row in rows)


def _campaign_table(campaigns: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("campaign", "model", "dataset", "seed", "fraction", "state", "evaluations", "best", "cycles", "s")
    for row in campaigns:
        config, best = row["config"], (row["result"] or {}).get("best")
        table.add_row(
            str(row["id"]),
            *(escape(str(config.get(name, "-"))) for name in ("model", "dataset", "seed", "fraction")),
            row["state"],
            str(row["evaluated"]),
            "-" if best is None else f"{100 * best['accuracy_test']:.2f} %",
            "-" if best is None else f"{best['cycles']:,}",
            f"{row['wall_s']:.0f}",
        )
    return table


def _measurement_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("key", "when", "target", "model", "status")
    for heading in ("cycles", "us"):
        table.add_column(heading, justify="right")
    table.add_column("error", no_wrap=True, overflow="ellipsis", max_width=60)
    for row in rows:
        latency = latency_us(row)
        table.add_row(
            row["key"][:12],
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row["created"])),
            *(escape(row[name]) for name in ("kind", "model", "status")),
            "-" if row["cycles"] is None else f"{row['cycles']:,}",
            "-" if latency is None else f"{latency:,.1f}",
            escape((row["error"] or "").partition("\n")[0]),
        )
    return table
