"""``mico data``: what datasets there are, and the download of those that can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from mico.errors import UsageError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Datasets: list and download them.")


@app.command("list")
def list_datasets() -> None:
    """List the datasets with their sizes and where they are."""
    from mico.data import NAMES, cifar10, load, mnist

    table = Table("name", "train", "val", "test", "image", "source")
    for name in NAMES:
        if name == "mnist" and mnist.find() is None:
            table.add_row(name, "-", "-", "-", "-", "not on disk: mico data get mnist")
            continue
        if name == "cifar10" and cifar10.find() is None:
            table.add_row(name, "-", "-", "-", "-", "not on disk: see mico/data/README.md")
            continue
        data = load(name)
        sizes = (str(len(split)) for split in (data.train, data.val, data.test))
        table.add_row(name, *sizes, "x".join(map(str, data.input_shape)), data.source)
    Console().print(table)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Dataset to download; only mnist has to be.")],
    url: Annotated[
        str | None, typer.Option(help="Folder on the server that holds the four .gz files; default: a public mirror.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Where to put them; default MICO_DATA/mnist or ~/.cache/mico/mnist.")
    ] = None,
) -> None:
    """Download a dataset, going on where an earlier attempt stopped, and check it."""
    from mico.data import mnist
    from mico.data.download import MNIST_URL, fetch_mnist

    if name != "mnist":
        raise UsageError(f"cannot download {name!r}", cure="only mnist is downloaded: see mico/data/README.md")
    target = mnist.default_dir() if folder is None else folder
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(file: str, have: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=have, total=total)

        fetch_mnist(target, url=url or MNIST_URL, progress=show)
    console.print(f"MNIST is in {target}")
