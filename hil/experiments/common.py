"""What the experiments share: their settings, the report in Markdown and JSON, plots, accuracies that are kept."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from hil.bench import open_bench
from hil.experiments.tiny import tiny_workload
from hil.lab import load_lab
from hil.result import versions
from hil.store import Store
from hil.truth import TruthJob, build_table, job_of
from hil.truth_cycles import complete_table
from hil.workload import Workload, load_workload
from mico.cache import write_whole
from mico.data import Dataset, Split
from mico.quant.prefix import PrefixEvaluator
from mico.search.base import Cost, Searcher, Space, SpaceExhaustedError
from mico.search.truth import TruthTable

__all__ = [
    "COLOURS",
    "TABLES",
    "Accuracies",
    "Report",
    "Setup",
    "axes",
    "bops",
    "fairness",
    "fewer",
    "legend",
    "median",
    "percent",
    "plain_ticks",
    "sampling_error",
    "searched",
    "span",
    "tables",
    "truth_table",
    "workload",
]

ROOT = Path(__file__).resolve().parents[2]
COLOURS = ("#1f6f9f", "#c05a1a", "#2a7f4f", "#8a4fa3", "#b8a000", "#666666", "#a33a4a", "#4aa3a0", "#333333")

TABLES = (("lenet5", "mnist"), ("resnet5", "cifar10"), ("cmsiscnn", "cifar10"))
"""Networks whose every scheme is known, and their data sets."""
_DEVELOPED = ("lenet5", "resnet5")

Vectors = NDArray[np.int64]


@dataclass(frozen=True)
class Setup:
    """How an experiment is to run.

    Attributes
    ----------
    out
        Its folder.
    quick
        A tiny network on digits and few repetitions: shows that it runs, and nothing else.
    seeds
        Seeds 0 .. seeds - 1.
    store
        Where measurements are kept: an experiment that is started again measures nothing twice.
    """

    name: str
    out: Path
    quick: bool
    seeds: int
    store: str
    say: Callable[[str], None] = print


@dataclass
class Report:
    """What an experiment says: Markdown, the numbers as JSON, and plots beside them."""

    setup: Setup
    title: str
    question: str
    lines: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    cpu: float = field(default_factory=lambda: sum(os.times()[:4]))

    def text(self, paragraph: str) -> None:
        self.lines += [paragraph, ""]

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.lines += [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
        self.lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
        self.lines.append("")

    def figure(self, figure: Figure, name: str, caption: str) -> None:
        self.setup.out.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.setup.out / f"{name}.png")
        self.lines += [f"![{caption}]({name}.png)", "", f"*{caption}*", ""]

    def write(self) -> Path:
        """``report.md`` and ``result.json``, each whole or not at all."""
        setup = self.setup
        facts = {
            "command": f"mico experiment {setup.name} --seeds {setup.seeds}" + (" --quick" if setup.quick else ""),
            "seeds": list(range(setup.seeds)),
            "quick": setup.quick,
            "versions": {**versions(), "commit": _commit()},
            "wall_s": round(time.time() - self.started, 1),
            "cpu_s": round(sum(os.times()[:4]) - self.cpu, 1),
        }
        head = [f"# {self.title}", "", self.question, ""]
        if setup.quick:
            head += [
                "**Quick run: a tiny network on digits. It shows that the experiment runs; its figures say nothing.**",
                "",
            ]
        told = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())  # type: ignore[attr-defined]
        foot = [
            "## How it was made",
            "",
            f"`{facts['command']}`: seeds {', '.join(map(str, facts['seeds']))}; "  # type: ignore[call-overload]
            f"{facts['wall_s']} s, {facts['cpu_s']} s of processor time; {told}.",
            "",
        ]
        path = setup.out / "report.md"
        write_whole(path, lambda scratch: scratch.write_text("\n".join([*head, *self.lines, *foot])))
        data = json.dumps({"experiment": setup.name, **facts, **self.data}, indent=1, default=_plain) + "\n"
        write_whole(setup.out / "result.json", lambda scratch: scratch.write_text(data))
        for file in (path, setup.out / "result.json"):
            file.chmod(0o644)
        return path


def workload(setup: Setup, model: str, dataset: str) -> Workload:
    """The network with its committed weights, or the tiny one of a quick run."""
    if setup.quick:
        return tiny_workload()
    setup.say(f"{model} on {dataset}")
    return load_workload(model, dataset)


def truth_table(setup: Setup, model: str, dataset: str) -> TruthTable:
    """Every scheme of *model* at 8, 4 and 2 bits, with cycles on the SoC: from ``build/tables``, or made there."""
    if setup.quick:
        work = tiny_workload()
        job = TruthJob(work.graph, work.evaluator.calibration, work.dataset)
        return build_table(job, setup.out / "tiny.npz")
    path = ROOT / "build" / "tables" / f"{model}.npz"
    setup.say(f"table of {model}: {path}, made where it is missing or of another network (minutes)")
    store = Store(setup.store)
    bench = open_bench(load_lab(), "soc", store, f"experiment {setup.name}")
    job = job_of(model, dataset)
    return complete_table(job, path, {"soc": bench}, store, processes=os.cpu_count() or 1)


def tables(setup: Setup) -> tuple[tuple[str, str], ...]:
    """:data:`TABLES`; one, of the tiny network, for a quick run."""
    return TABLES[:1] if setup.quick else TABLES


def fairness(model: str) -> str:
    """Whether the table of *model* flatters us: a sentence, empty for the tiny network."""
    if model in _DEVELOPED:
        return " Our settings were chosen on this table, so that it flatters us."
    return " Our settings were chosen on the other two tables." if model in dict(TABLES) else ""


def fewer(data: Dataset, images: int) -> Dataset:
    """*data* with so many validation images, drawn by seed 0, and its calibration images in random order.

    Splits may be sorted by class: the first n images would be of some classes only.
    """
    rng = np.random.default_rng(0)
    val = data.val
    chosen = np.sort(rng.permutation(len(val))[:images])
    calibration = data.calibration[rng.permutation(len(data.calibration))]
    return replace(data, val=Split(val.images[chosen], val.labels[chosen].copy()), calibration=calibration)


class Accuracies:
    """Accuracies of schemes that are only lowered; kept in a file in *setup*'s folder.

    Parameters
    ----------
    data
        Whose validation split a search sees, for instance from :func:`fewer`.
    """

    def __init__(self, setup: Setup, work: Workload, data: Dataset) -> None:
        self.data = data
        self.evaluator = PrefixEvaluator(work.evaluator.graph, work.evaluator.calibration)
        parts = (work.evaluator.graph.digest(), work.evaluator.calibration.digest(), data.digest)
        self.path = setup.out / f"accuracies-{'-'.join(part[:10] for part in parts)}.json"
        self.known: dict[str, float] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def __call__(self, vector: Sequence[int], split: str = "val") -> float:
        """Share of the split that the scheme ``(2 L,)`` answers right."""
        name = f"{split}:" + ",".join(str(int(v)) for v in vector)
        if name not in self.known:
            part = self.data.split(split)
            right = self.evaluator.answers(np.array([vector], dtype=np.int64), part.images, part.labels)
            self.known[name] = float(right.mean())
            write_whole(self.path, lambda scratch: scratch.write_text(json.dumps(self.known)))
        return self.known[name]


def searched(searcher: Searcher, accuracy: Callable[[Sequence[int]], float], cost: Cost, budget: int) -> list[float]:
    """Evaluate and tell, all 8 bits first, until another evaluation would cost more than *budget* or nothing is left.

    Returns
    -------
    list of float
        What the ledger read after every evaluation, probes included.
    """
    scheme, paid = searcher.space.scheme(searcher.space.corner(0)), []
    while True:
        vector = scheme.vector()
        searcher.tell(scheme, accuracy(vector), int(cost(np.array([vector]))[0]))
        paid.append(float(searcher.ledger.cost))
        if paid[-1] + 1 > budget:
            return paid
        try:
            scheme = searcher.ask()
        except SpaceExhaustedError:
            return paid
        if searcher.ledger.cost + 1 > budget:
            return paid  # its probes have used the budget up


def bops(space: Space) -> Cost:
    """Bit operations of a scheme: MACs * weight bits * activation bits, summed over the layers."""
    macs, half = np.array(space.macs, dtype=np.float64), len(space.names)

    def cost(vectors: Vectors) -> NDArray[np.float64]:
        return np.asarray((vectors[:, :half] * vectors[:, half:]) @ macs, dtype=np.float64)

    return cost


def axes(title: str, x: str, y: str, *, size: tuple[float, float] = (7.5, 4.6), columns: int = 1) -> tuple[Figure, Any]:
    """A figure with one pair of axes, or an array of *columns*; labels are those of each."""
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    made = figure.subplots(1, columns, squeeze=False)[0]
    for one in made:
        _plain_axes(one, x, y)
    figure.suptitle(title, fontsize=11)
    return figure, made[0] if columns == 1 else made


def legend(figure: Figure, one: Axes, columns: int) -> None:
    """What *one* shows, under the figure: there it hides nothing."""
    handles, labels = one.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


def plain_ticks(axis: Axis) -> None:
    """1, 2, 5, 10, 20 on a logarithmic *axis*, and no powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _plain_axes(one: Axes, x: str, y: str) -> None:
    one.set_xlabel(x)
    one.set_ylabel(y)
    one.grid(alpha=0.25)
    one.spines[["top", "right"]].set_visible(False)


def percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f} %"


def median(values: Sequence[float] | NDArray[Any]) -> float:
    return float(np.median(np.asarray(values, dtype=np.float64)))


def span(values: Sequence[float], digits: int = 2, scale: float = 1.0) -> str:
    """Median and, of several that differ, least and greatest: ``0.50 (0.40 to 0.61)``."""
    told = [f"{scale * value:.{digits}f}" for value in (median(values), min(values), max(values))]
    return told[0] if told[1] == told[2] else f"{told[0]} ({told[1]} to {told[2]})"


def sampling_error(accuracy: float, images: int) -> float:
    """Standard error of an accuracy on so many images, as a share."""
    return float(np.sqrt(accuracy * (1 - accuracy) / images))


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value)} in a result")
