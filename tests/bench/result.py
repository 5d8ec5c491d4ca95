"""What every benchmark ends with: ``build/bench/NAME.json``, and an exit code from its bars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["FOLDER", "ROOT", "bar_table", "save"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "bench"


def save(name: str, results: dict[str, Any], *, show: bool = False) -> int:
    """Write ``build/bench/NAME.json``, and with *show* print it; 1 where a bar of ``results["bars"]`` fails, else 0."""
    text = json.dumps(results, indent=1) + "\n"
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(text)
    if show:
        print(text, end="")
    return int(not all(bar["pass"] for bar in results.get("bars", [])))


def bar_table(results: dict[str, Any], console: Console) -> None:
    """Print ``results["bars"]``: name, value, limit, and whether it holds."""
    table = Table("bar", "value", "limit", "")
    for row in results["bars"]:
        value = f"{row['value']:,}" if isinstance(row["value"], int | float) else "-"
        table.add_row(row["name"], value, str(row["bar"]), "holds" if row["pass"] else "[red]fails[/red]")
    console.print(table)
