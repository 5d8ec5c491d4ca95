"""Searchers against an exhaustive truth: ``python -m tests.bench.search``.

Writes ``build/bench/search.json``; README.md in this folder has its keys. Exits with 1 where a bar fails. Options:
``--seeds N``, ``--searchers A,B``, ``--tables A,B``, ``--processes N``; ``--no-tables`` takes tables as they are. Runs
are kept under ``build/bench/search`` and read again for as long as code, table and settings are the same. ``--qat`` is
another comparison: search_qat.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mico.search.registry import NAMES, searcher_class
from mico.search.space import Space
from tests.bench import search_limit, search_qat, search_report, search_tables
from tests.bench.result import FOLDER, bar_table, save
from tests.bench.search_run import BUDGET, runs

DEFAULT_TABLES = {"lenet5": "mnist", "resnet5": "cifar10", "cmsiscnn": "cifar10", "mobilenet5": "cifar10"}


def suggestion(layers: int) -> float:
    """Seconds of processor time for the dearest of five suggestions of ours, probes that answer at once."""
    rng = np.random.default_rng(layers)
    macs = tuple(int(m) for m in rng.integers(1_000, 1_000_000, size=layers))
    space = Space(tuple(f"l{i}" for i in range(layers)), macs)
    weights = np.array(macs, dtype=np.float64)

    class Probe:
        images, faithful = 5000, True
        scale = np.exp(rng.normal(size=2 * layers))
        base = rng.normal(5.0, 2.5, size=5000)

        def divergence(self, rows: Any, images: int = 128) -> Any:  # noqa: ARG002
            return (self.scale * 4.0 ** -(rows - 1.0)).sum(axis=1) / layers

        def answers(self, rows: Any, images: Any) -> Any:
            noise = self.divergence(rows)[:, None] * np.sin(rows.sum(axis=1)[:, None] + np.arange(len(images)))
            return self.base[images] + noise > 0

        def margins(self) -> Any:
            return self.base

    def cost(rows: Any) -> Any:
        return (rows[:, :layers] * rows[:, layers:]) @ weights

    wide = space.corner(0)[None]
    searcher = searcher_class("sieve")(space, cost, 0.4 * float(cost(wide)[0]), probe=Probe(), seed=1, exact=True)
    searcher.tell(space.scheme(wide[0]), 0.9, int(cost(wide)[0]))
    longest = 0.0
    for turn in range(5):
        start = time.process_time()
        scheme = searcher.ask()
        longest = max(longest, time.process_time() - start)
        row = np.array([scheme.vector()])
        searcher.tell(scheme, 0.85 + 0.01 * turn, int(cost(row)[0]))
    return round(longest, 3)


def make_table(name: str) -> None:
    """The table with cycles, made or brought up to date: minutes where it is not."""
    command = ["-m", "hil.cli", "table", name, "--dataset", DEFAULT_TABLES.get(name, "auto"), "--target", "soc"]
    subprocess.run([sys.executable, *command], cwd=search_tables.ROOT, check=True)


def show(results: dict[str, Any], searchers: tuple[str, ...], console: Console) -> None:
    """Median evaluations to 0.1 point, and median regret after 16, of every searcher on every case."""
    table = Table(
        "case", "optimum", "place", *searchers, title=f"evaluations to 0.1 point / points lost after 16 (of {BUDGET})"
    )
    for name, case in results["cases"].items():
        cells = [
            f"{row['to_0p1']['median']:.1f} / {row['regret']['16']['median']:.2f}"
            for row in (case["searchers"][s] for s in searchers)
        ]
        table.add_row(name, f"{case['optimum']:.2f}", str(case["limit"]["place"]), *cells)
    console.print(table)
    bar_table(results, console)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.search")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--searchers", default=",".join(NAMES))
    parser.add_argument("--tables", default=",".join(DEFAULT_TABLES))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-suggestion", action="store_true")
    parser.add_argument("--no-tables", action="store_true", help="take tables as they are")
    parser.add_argument("--qat", action="store_true")
    parser.add_argument("--steps", type=int, default=100, help="of training with --qat")
    parser.add_argument("--images", type=int, default=1000, help="of validation with --qat")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 200)
    searchers = tuple(options.searchers.split(","))
    if options.qat:
        path = FOLDER / "search-qat.json"
        search_qat.compare(searchers, options.seeds, options.steps, options.images, console.print, path)
        return 0
    names = tuple(options.tables.split(","))
    if not options.no_tables:
        for name in names:
            make_table(name)
    cases = search_tables.cases(names)
    start = time.monotonic()
    found = runs(searchers, cases, options.seeds, options.processes, say=lambda text: console.print(text))
    results = search_report.report(found, searchers, cases)
    for name, row in search_limit.limits(cases).items():
        results["cases"][name]["limit"] = row
    results |= {"seeds": options.seeds, "budget": BUDGET, "wall_seconds": round(time.monotonic() - start, 1)}
    if not options.no_suggestion:
        results["suggestion"] = {str(n): suggestion(n) for n in (50, 500)}
    results["bars"] = search_report.bars(results)
    code = save("search", results)
    show(results, searchers, console)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
