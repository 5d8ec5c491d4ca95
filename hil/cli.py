"""The ``mico`` command. Exit codes are those of ``mico.errors``; messages go to stderr, results to stdout."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from hil import (
    cli_data,
    cli_experiment,
    cli_images,
    cli_latency,
    cli_measure,
    cli_profile,
    cli_results,
    cli_table,
    cli_targets,
    cli_torture,
    cli_worker,
)
from mico.errors import MicoError, UsageError
from mico.search.registry import DEFAULT
from mico.search.registry import NAMES as SEARCHERS

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Mixed-precision quantisation, with every latency measured.",
)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_images.app, name="images")
app.add_typer(cli_latency.app, name="latency")
app.add_typer(cli_results.app, name="results")
cli_targets.app.command("torture")(cli_torture.torture)
app.add_typer(cli_targets.app, name="targets")
app.command("profile")(cli_profile.profile)
app.command("table")(cli_table.table)
app.command("experiment")(cli_experiment.experiment)
app.command("worker")(cli_worker.worker)
cli_measure.add_to(app)

_ROOT = Path(__file__).resolve().parents[1]
_DEMO = _ROOT / "build" / "demo"
_STORE = _ROOT / "build" / "mico.sqlite"

Fraction = Annotated[float, typer.Option(help="Cycles allowed, as a fraction of the measured 8-bit network's.")]
Budget = Annotated[int, typer.Option(help="Evaluations, the 8-bit network's included.")]
Seed = Annotated[int, typer.Option(help="Of training, quantisation and search.")]
Data = Annotated[str, typer.Option("--dataset", help="mnist, cifar10, digits, or auto: mnist where it is on disk.")]
Out = Annotated[Path, typer.Option(help="Folder for result.json, scheme.json and plot.png.")]
On = Annotated[str, typer.Option("--target", help="Target of the lab, or several of a kind by commas.")]
StoreAt = Annotated[str, typer.Option("--store", help="SQLite file or database URL.")]


@app.command()
def demo(
    fraction: Fraction = 0.6,
    budget: Budget = 24,
    seed: Seed = 0,
    dataset: Data = "auto",
    out: Out = _DEMO,
    store: StoreAt = str(_STORE),
    target: On = "soc",
    lab: cli_targets.LabAt = None,
) -> None:
    """LeNet-5 through the whole loop on a simulated target; started again, it goes on where it was."""
    _campaign("lenet5", dataset, out, store, None, target, lab, None, fraction=fraction, budget=budget, seed=seed)


@app.command()
def search(
    model: Annotated[str, typer.Argument(help="Name in the zoo, or path.py:Class.")],
    fraction: Fraction = 0.6,
    budget: Budget = 24,
    seed: Seed = 0,
    dataset: Data = "auto",
    out: Out = _ROOT / "build" / "search",
    store: StoreAt = str(_STORE),
    weights: Annotated[
        Path | None, typer.Option(help="State dict as safetensors; else the network is trained.")
    ] = None,
    searcher: Annotated[str, typer.Option(help=f"One of {', '.join(SEARCHERS)}.")] = DEFAULT,
    max_flash: Annotated[int | None, typer.Option(help="Bytes of flash that the program may take.")] = None,
    max_ram: Annotated[int | None, typer.Option(help="Bytes of RAM that the program may take.")] = None,
    weight_bits: Annotated[str, typer.Option(help="Widths of weights to choose from.")] = "8,4,2,1",
    activation_bits: Annotated[str, typer.Option(help="Widths of activations to choose from.")] = "8,4,2,1",
    finalists: Annotated[int, typer.Option(help="Schemes that are trained fully in the end.")] = 2,
    verify: Annotated[int, typer.Option(help="Test images compared on the target in the end.")] = 100,
    batch: Annotated[int, typer.Option(help="Schemes asked for at once, to be evaluated side by side.")] = 1,
    target: On = "soc",
    lab: cli_targets.LabAt = None,
    scheduler: cli_worker.SchedulerAt = None,
) -> None:
    """Search the bits of a network under a latency that is measured."""
    options: dict[str, Any] = {
        "searcher": searcher,
        "max_flash": max_flash,
        "max_ram": max_ram,
        "weight_bits": _widths(weight_bits),
        "activation_bits": _widths(activation_bits),
        "finalists": finalists,
        "verify_inputs": verify,
        "batch": batch,
    }
    options |= {"fraction": fraction, "budget": budget, "seed": seed}
    _campaign(model, dataset, out, store, weights, target, lab, scheduler, **options)


@app.command()
def doctor() -> None:
    """List every tool with version and path, and what is missing with its cure."""
    from hil.doctor import doctor as check

    raise typer.Exit(check(Console()))


def _campaign(
    model: str,
    dataset: str,
    out: Path,
    store: str,
    weights: Path | None,
    target: str,
    lab: Path | None,
    scheduler: str | None,
    **options: Any,
) -> None:
    from hil import report
    from hil.campaign import Settings, explore
    from hil.networks import load_network
    from hil.store import Store
    from mico.data import load
    from mico.errors import MeasurementError

    settings = Settings(**options)
    console = Console(stderr=True)
    with cli_worker.bench(scheduler, lab, target, lambda: Store(store), f"campaign {model}") as bench:
        data = load(dataset)
        if not console.is_terminal:
            console.print(f"training {model} on {data.name}, unless it is cached")
        with console.status(f"training {model} on {data.name}") as status:

            def trained(step: int, steps: int, loss: float) -> None:
                status.update(f"training {model} on {data.name}: step {step} of {steps}, loss {loss:.3f}")

            network = load_network(model, data, seed=settings.seed, weights=weights, progress=trained)
        with report.Progress(console, settings.budget) as progress:
            result = explore(
                network.module,
                data,
                bench.target,
                recipe=network.recipe,
                name=network.name,
                store=bench.store,
                settings=settings,
                observer=progress,
                seeds={"training": settings.seed},
                cluster=bench.cluster,
            )
    report.save(result, out)
    show = Console(width=None if sys.stdout.isatty() else 140)  # a log has no width: let the table have its own
    show.print(report.table(result))
    show.print(report.layers(result))
    show.print(report.summary(result))
    show.print(f"{out / 'result.json'}, {out / 'plot.png'}", highlight=False, soft_wrap=True)
    if not result.verified:
        raise MeasurementError(
            f"{result.verify['mismatches']} of {result.verify['inputs']} test inputs give other logits on the target"
            " than in Python",
            cure="a kernel, the generated code or the hardware is wrong",
        )


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is not a list of widths", cure="for instance 8,4,2") from None


def _terminated(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command; an error of the product becomes a message and its exit code, with ``MICO_DEBUG`` a traceback."""
    signal.signal(signal.SIGTERM, _terminated)  # a polite end is an interrupt: state is kept, the simulator is stopped
    try:
        app()
    except MicoError as error:
        if os.environ.get("MICO_DEBUG"):
            raise
        print(f"mico: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
