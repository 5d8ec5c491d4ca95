"""``mico flash``, ``console``, ``run``, ``measure`` on a target of the lab, and ``mico check`` on what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hil.cli_targets import STORE, LabAt, StoreAt
from mico.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from hil.bench import Pool
    from hil.targets.base import Program
    from hil.workload import Workload

__all__ = ["add_to"]

_RESULT = Path(__file__).resolve().parents[1] / "build" / "measure" / "result.json"

Name = Annotated[str, typer.Argument(help="Target of the lab; several by commas, or a group of copies.")]
Model = Annotated[str, typer.Argument(help="Name in the zoo, or path.py:Class.")]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait while others hold the target.")]
Data = Annotated[str, typer.Option("--dataset", help="mnist, digits, or auto: mnist where it is on disk.")]
Weights = Annotated[Path | None, typer.Option(help="State dict as safetensors; else the network is trained.")]
SchemeAt = Annotated[Path | None, typer.Option("--scheme", help="scheme.json of a campaign, instead of --bits.")]
Seed = Annotated[int, typer.Option(help="Of training and quantisation.")]
Address = Annotated[str, typer.Option(help="Where raw bytes belong; an ELF file says it itself.")]


def add_to(app: typer.Typer) -> None:
    """Make these commands of *app*."""
    for command in (flash, console, run, measure, check):
        app.command()(command)


def _bench(name: str, lab: Path | None, store: str, purpose: str, wait_s: float) -> Pool:
    from hil.bench import open_bench
    from hil.lab import load_lab
    from hil.store import Store

    return open_bench(load_lab(lab), name, Store(store), purpose, wait_s=wait_s)


def _image(path: Path, address: str) -> Program:
    from hil.workload import image_program

    try:
        return image_program(path, int(address, 0))
    except ValueError:
        raise UsageError(f"{address!r} is no address", where="--address", cure="for instance 0x40000000") from None


def _workload(model: str, dataset: str, seed: int, weights: Path | None) -> Workload:
    from hil.workload import load_workload

    console = Console(stderr=True)
    with console.status(f"training {model}, unless it is cached"):
        return load_workload(model, dataset, seed=seed, weights=weights)


def flash(
    name: Name,
    image: Annotated[Path, typer.Argument(help="ELF file or raw bytes.")],
    lab: LabAt = None,
    store: StoreAt = STORE,
    wait: Wait = 60.0,
    address: Address = "0x40000000",
) -> None:
    """Load an image into a target, start it, and print what the board then says it runs."""
    program = _image(image, address)
    with _bench(name, lab, store, f"mico flash {image.name}", wait) as bench:
        bench.flash(program)
        for key, value in bench.info().items():
            print(f"{key} = {value}")


def console(
    name: Name,
    lab: LabAt = None,
    store: StoreAt = STORE,
    wait: Wait = 60.0,
    image: Annotated[Path | None, typer.Option(help="Load this first: ELF file or raw bytes.")] = None,
    address: Address = "0x40000000",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the end of an answer.")] = 20.0,
) -> None:
    """Talk to the console of a target: a line is a command, Ctrl-D ends it. `help` lists the commands."""
    from hil.interactive import converse
    from hil.targets.console_target import ConsoleTarget

    program = None if image is None else _image(image, address)
    with _bench(name, lab, store, "mico console", wait) as bench:
        target = bench.device
        if not isinstance(target, ConsoleTarget):
            raise UsageError("has no console", where=name, cure="`mico run` and `mico measure` work on it")
        if program is not None:
            bench.flash(program)
        if sys.stdin.isatty():
            print(f"{bench.lab_name}: {target.port.url}; Ctrl-D ends", file=sys.stderr)
        converse(target.port, sys.stdin, timeout_s=timeout)


def run(
    name: Name,
    model: Model,
    bits: Annotated[str, typer.Option(help="8, or AxW: activation x weight.")] = "8",
    scheme: SchemeAt = None,
    inputs: Annotated[int, typer.Option(help="Test images to run.")] = 20,
    lab: LabAt = None,
    store: StoreAt = STORE,
    wait: Wait = 60.0,
    dataset: Data = "auto",
    seed: Seed = 0,
    weights: Weights = None,
) -> None:
    """Run a network on test images on a target, and compare every logit with Python."""
    import numpy as np

    from hil.workload import parse_schemes
    from mico.data.dataset import spread

    if inputs < 1:
        raise UsageError(f"{inputs} inputs", where="--inputs", cure="at least 1")
    choice = parse_schemes(bits, scheme)
    workload = _workload(model, dataset, seed, weights)
    test = workload.dataset.test
    chosen = spread(len(test), inputs)
    x, labels = test.images[chosen], test.labels[chosen]
    wrong = 0
    with _bench(name, lab, store, f"mico run {model}", wait) as bench:
        for title, scheme_of in choice:
            integers = workload.evaluator.quantise(scheme_of(workload.graph)).model
            bench.flash(bench.build(integers))
            outputs = bench.infer(x)
            different = int(np.any(outputs != integers.run(x).reshape(outputs.shape), axis=1).sum())
            right = float(np.mean(outputs.argmax(axis=1) == labels))
            print(f"{workload.graph.name} {title} on {bench.lab_name}: {right:.2%} of {len(x)} images right, ", end="")
            print(f"{different} differ from Python in a logit")
            wrong += different
    if wrong:
        raise MeasurementError(
            f"{wrong} images give other logits on the target than in Python",
            where=name,
            cure="a kernel, the generated code or the hardware is wrong",
        )


def measure(
    name: Name,
    model: Model,
    bits: Annotated[str, typer.Option(help="8,4 (equal bits), 8x8,8x4 (activation x weight), equal, all.")] = "8",
    scheme: SchemeAt = None,
    laps: Annotated[int, typer.Option(help="Timed laps of each, at least 5 on a board.")] = 5,
    images: Annotated[int, typer.Option(help="Test images for the accuracy; 0: all.")] = 1000,
    out: Annotated[Path, typer.Option(help="Where the result goes, for `mico check`.")] = _RESULT,
    lab: LabAt = None,
    store: StoreAt = STORE,
    wait: Wait = 600.0,
    dataset: Data = "auto",
    seed: Seed = 0,
    weights: Weights = None,
) -> None:
    """Measure the latency of a network at some bits, on all free targets at once; what is in the store is looked up."""
    from hil.measured import measure_schemes
    from hil.store import Store
    from hil.workload import parse_schemes

    choice = parse_schemes(bits, scheme)
    first = _bench(name, lab, store, f"mico measure {model}", wait)
    workload = _workload(model, dataset, seed, weights)
    schemes = [(title, scheme_of(workload.graph)) for title, scheme_of in choice]
    more = range(1, min(first.copies, len(schemes)))
    benches = [first, *(_bench(name, lab, store, f"mico measure {model}", wait) for _ in more)]
    result, error = measure_schemes(
        benches, Store(store), workload, schemes, target=name, laps=laps, images=images or None
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    Console(width=None if sys.stdout.isatty() else 140).print(_table(result))
    print(out)
    if error is not None:
        raise error


def _table(result: dict[str, Any]) -> Table:
    table = Table("network", "accuracy", "cycles", "MAD", "laps", "us", "flash", "RAM", "", title=result["target"])
    for row in result["measurements"]:
        accuracy = "-" if row.get("accuracy") is None else f"{row['accuracy']:.2%}"
        if row["status"] == "ok":
            numbers = (f"{row['cycles']:,}", f"{row['mad']:,}", str(len(row["samples"])), f"{row['latency_us']:,.1f}")
            sizes = (f"{row['flash_bytes']:,}", f"{row['ram_bytes']:,}")
            table.add_row(row["name"], accuracy, *numbers, *sizes, "looked up" if row["looked_up"] else "")
        else:
            table.add_row(row["name"], accuracy, *["-"] * 6, f"{row['status']}: {row['error']}")
    return table


def check(
    result: Annotated[Path, typer.Argument(help="result.json of `mico measure`, `mico search` or `mico demo`.")],
    max_cycles: Annotated[int | None, typer.Option(help="Cycles that none may exceed.")] = None,
    min_accuracy: Annotated[float | None, typer.Option(help="Test accuracy that each must reach, 0..1.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="An earlier result: cycles are compared with it.")] = None,
    max_increase: Annotated[float, typer.Option(help="Of cycles over the baseline, as a fraction.")] = 0.0,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML; default check.xml beside the result.")] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Default check.json beside the result.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Default check.md beside the result.")] = None,
) -> None:
    """Hold a result against limits; 1: one exceeded, or an output wrong; 3, 4, 5: as the measurement failed."""
    from hil.gate import exit_code, judge, read_cases, write_reports

    if max_cycles is None and min_accuracy is None and baseline is None:
        raise UsageError("no limit", where="mico check", cure="--max-cycles, --min-accuracy or --baseline")
    verdicts = judge(
        read_cases(result),
        max_cycles=max_cycles,
        min_accuracy=min_accuracy,
        baseline=() if baseline is None else read_cases(baseline),
        max_increase=max_increase,
    )
    beside = result.parent
    write_reports(
        verdicts,
        title="MiCo check",
        junit=junit or beside / "check.xml",
        as_json=as_json or beside / "check.json",
        markdown=markdown or beside / "check.md",
    )
    for verdict in verdicts:
        print(f"{verdict.outcome:5}  {verdict.case}, {verdict.check}: {verdict.message}")
    raise typer.Exit(exit_code(verdicts))
