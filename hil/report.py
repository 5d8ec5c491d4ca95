"""What a person sees of a campaign: progress while it runs, a table, a plot, ``result.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from hil.breakdown import Breakdown, flame
from hil.campaign import Observer
from hil.result import Result
from hil.store import Evaluation

__all__ = ["Progress", "front", "layers", "plot", "save", "summary", "table"]


class Progress(Observer):
    """A bar and one line an evaluation. A context manager; without a terminal only the lines are printed."""

    def __init__(self, console: Console, budget: int) -> None:
        self._limit: int | None = None
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Bar(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
        self._console = console
        self._task = self._bar.add_task("start", total=budget)

    def stage(self, text: str) -> None:
        self._bar.update(self._task, description=text)
        if not self._console.is_terminal:
            self._console.print(text)

    def limit(self, baseline_cycles: int, limit_cycles: int) -> None:
        self._limit = limit_cycles
        self._bar.console.print(f"8-bit network: {baseline_cycles:,} cycles; limit: {limit_cycles:,}", highlight=False)

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
        e = evaluation
        if e.stage != "final":
            self._bar.update(self._task, advance=e.status == "ok")
        cells = [
            f"{e.position:3d} {e.stage:8s}",
            f"{_bits(e.scheme):28s}",
            f"{e.method or '-':8s}",
            _percent(e.accuracy),
        ]
        if e.cycles is None:
            cells.append(f"[red]{e.status}: {_short(e.error)}[/red]")
        else:
            mark = "" if self._limit is None or e.cycles <= self._limit else " [yellow]over[/yellow]"
            cells.append(f"{e.cycles:>10,} cycles{_error(e.predicted_cycles, e.cycles)}{mark}")
        if replayed:
            cells.append("[dim]from the store[/dim]")
        self._bar.console.print("  ".join(cells), highlight=False, soft_wrap=True)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def table(result: Result) -> Table:
    """Every evaluation: bits as weights/activations a layer, accuracy on validation, measured and predicted cycles."""
    view = Table("#", "stage", "bits w/a", "method", "accuracy", "cycles", "predicted", "of int8", "status")
    limit = result.constraint["cycles"]
    for number, e in enumerate(result.evaluations):
        cycles = e["cycles"]
        chosen = e["measurement"] is not None and e["measurement"] == result.best["measurement"]
        style = "bold green" if chosen else "red" if cycles is None else "dim" if cycles > limit else ""
        view.add_row(
            str(number),
            e["stage"],
            _bits(e["scheme"]),
            e["method"] or "-",
            _percent(e["accuracy"]),
            "-" if cycles is None else f"{cycles:,}",
            "-" if e["predicted_cycles"] is None else f"{e['predicted_cycles']:,.0f}",
            "-" if cycles is None else f"{cycles / result.int8['cycles']:.2f}",
            e["status"] + (" over" if cycles is not None and cycles > limit else ""),
            style=style,
        )
    return view


def summary(result: Result) -> Table:
    """The outcome in a few lines."""
    best, int8 = result.best, result.int8
    view = Table.grid(padding=(0, 2))
    view.add_row("", "val", "test", "cycles", "of int8")
    view.add_row("float", "", _percent(result.fp32_accuracy), "", "")
    view.add_row("int8", _percent(int8["accuracy_val"]), _percent(int8["accuracy_test"]), f"{int8['cycles']:,}", "1.00")
    ratio = f"{best['cycles'] / int8['cycles']:.2f}"
    cells = (_percent(best["accuracy_val"]), _percent(best["accuracy_test"]), f"{best['cycles']:,}", ratio)
    view.add_row("[bold]chosen[/bold]", *cells, f"{_bits(best['scheme'])}")
    model = result.latency_model
    if model.get("search_mape") is not None:
        tried = f"{model['search_n']} schemes, before measuring"
        view.add_row("latency model", f"{100 * model['search_mape']:.1f} % off", "", "", "", tried)
    if model["cbops_r2"] is not None:
        proxies = f"CBOPs R2 {model['cbops_r2']:.2f}", f"BOPs R2 {model['bops_r2']:.2f}"
        view.add_row("proxies alone", *proxies, "", "", f"{model['n']} layers, shapes left out")
    view.add_row("flash, RAM", f"{best['flash_bytes']:,} B", f"{best['ram_bytes']:,} B")
    verified = f"{result.verify['inputs']} inputs, {result.verify['mismatches']} mismatches"
    view.add_row("on the target", verified if result.verified else f"[red]{verified}[/red]")
    return view


def layers(result: Result) -> Table:
    """The chosen scheme layer by layer: cycles, and what they are spent on where the target has counters."""
    counts = {name: Breakdown.of(values) for name, values in result.best.get("counts", [])}
    rows = [(name, cycles, counts.get(name)) for name, cycles in result.best["layers"]]
    return flame(rows, title=f"{result.model}, {_bits(result.best['scheme'])}")


def front(cycles: np.ndarray[Any, Any], accuracy: np.ndarray[Any, Any]) -> list[int]:
    """Indices of the Pareto front, by rising cycles: nothing as fast is more accurate, nothing faster as accurate."""
    best, keep = -np.inf, []
    for i in np.lexsort((-accuracy, cycles)):
        if accuracy[i] > best:
            best = accuracy[i]
            keep.append(int(i))
    return keep


def plot(result: Result, path: Path) -> None:
    """Accuracy over measured latency as PNG: every evaluation, the front, the limit, and the chosen scheme."""
    rows = [e for e in result.evaluations if e["cycles"] is not None and e["accuracy"] is not None]
    kilo = np.array([e["cycles"] for e in rows]) / 1e3
    accuracy = np.array([e["accuracy"] for e in rows])
    limit = result.constraint["cycles"] / 1e3
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    looks = {
        "baseline": ("D", "#444444", "8-bit network", 60),
        "start": ("o", "#7aa6c2", "orthogonal start", 34),
        "search": ("o", "#1f6f9f", "searched", 34),
        "final": ("^", "#c05a1a", "fully trained", 44),
    }
    axes.axvspan(0, limit, color="#2a7f4f", alpha=0.06, lw=0)
    axes.axvline(limit, color="#2a7f4f", lw=1.2, ls="--", label=f"limit: {result.constraint['fraction']:g} of 8 bit")
    order = front(kilo, accuracy)
    axes.step(kilo[order], accuracy[order], where="post", color="#888888", lw=1.1, zorder=1, label="Pareto front")
    for stage, (marker, colour, label, size) in looks.items():
        at = [i for i, e in enumerate(rows) if e["stage"] == stage]
        if at:
            axes.scatter(
                kilo[at], accuracy[at], s=size, marker=marker, c=colour, label=label, zorder=2, ec="white", lw=0.5
            )
    best = result.best
    axes.scatter(
        [best["cycles"] / 1e3], [best["accuracy_val"]], s=230, marker="*", c="#e3a008", ec="#7a5600", zorder=3,
        label="chosen",
    )  # fmt: skip
    left = best["cycles"] / 1e3 > 0.5 * (0.85 * kilo.min() + kilo.max())  # the side with room for the label
    axes.annotate(
        f"{best['cycles'] / result.int8['cycles']:.2f}x cycles, {100 * best['accuracy_test']:.2f} % on test",
        (best["cycles"] / 1e3, best["accuracy_val"]),
        xytext=(-10 if left else 10, 10),
        textcoords="offset points",
        ha="right" if left else "left",
        bbox={"fc": "white", "ec": "none", "alpha": 0.8, "pad": 1.0},
        fontsize=9,
    )
    # Accuracies differ in the error's digits: equal steps for equal factors of the error.
    least = 0.3 * min([1 - a for a in accuracy if a < 1] or [1e-3])
    axes.set_yscale(
        "function",
        functions=(lambda a: -np.log10(np.maximum(1 - a, 0) + least), lambda v: 1 - (10.0 ** (-v) - least)),
    )
    ticks = [
        t for t in (0.1, 0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999) if accuracy.min() - 0.05 <= t < 1
    ]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda a, _: f"{100 * a:g} %"))
    low, high = accuracy.min(), accuracy.max()
    axes.set_ylim(max(0.0, low - 0.15 * (1 - low) - 1e-3), high + 0.5 * (1 - high) + 1e-4)
    axes.set_xlim(0.85 * kilo.min(), kilo.max() + 0.04 * (kilo.max() - 0.85 * kilo.min()))
    axes.set_xlabel("measured latency (thousand cycles)")
    axes.set_ylabel("accuracy on validation")
    axes.set_title(f"{result.model} on {result.dataset}: accuracy over measured latency", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()  # under the axes, where it hides no evaluation
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def save(result: Result, folder: Path) -> None:
    """Write ``result.json`` (whole or not at all), ``scheme.json`` and ``plot.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("result.json", result.to_json()), ("scheme.json", result.best["scheme"])):
        scratch = folder / f".{name}.part"
        scratch.write_text(json.dumps(data, indent=2) + "\n")
        os.replace(scratch, folder / name)
    plot(result, folder / "plot.png")


def _bits(scheme: Mapping[str, Mapping[str, int]]) -> str:
    return " ".join(f"{bits['w']}/{bits['a']}" for bits in scheme.values())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _error(predicted: float | None, cycles: int) -> str:
    return "" if predicted is None else f" (predicted {100 * (predicted / cycles - 1):+.1f} %)"


def _short(error: str | None) -> str:
    return (error or "").splitlines()[0][:100] if error else ""
