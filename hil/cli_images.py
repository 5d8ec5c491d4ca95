"""``mico images``: container images, built and listed."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mico.errors import UsageError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Container images: built from the sources as they are, and listed.")


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help="soc, bitfusion, bench, database; default: all.")] = None,
    again: Annotated[bool, typer.Option(help="Also those that are there.")] = False,
    parameter: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of what is simulated, for instance ram_latency=4.")
    ] = None,
) -> None:
    """Build images, unless they are there; prints their names."""
    from hil.engine import connect
    from hil.images import NAMES, build_image

    client = connect()
    console = Console(stderr=True, highlight=False)
    parameters = dict(_setting(text) for text in parameter or [])
    for name in names or NAMES:
        started = time.monotonic()

        def say(line: str, name: str = name, started: float = started) -> None:
            console.print(f"{name} {time.monotonic() - started:5.0f} s  {line}", markup=False, soft_wrap=True)

        print(build_image(client, name, parameters, say=say, again=again).name)


@app.command("list")
def list_() -> None:
    """List the images that are there, and what they simulate."""
    from hil.engine import connect
    from hil.images import NAMES, full_name, list_images

    current = {full_name(name) for name in NAMES}
    table = Table("image", "MB", "of these sources", "hardware", "what it simulates")
    for image in list_images(connect()):
        facts = dict(image.description)
        hardware = str(facts.pop("hardware_hash", "-"))[:12]
        table.add_row(
            image.name,
            f"{image.size / 1e6:.1f}",
            "yes" if image.name in current else "",
            hardware,
            ", ".join(f"{key} {value}" for key, value in facts.items()),
        )
    Console().print(table)


def _setting(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"not a setting: {text!r}", where="--set", cure="KEY=VALUE, for instance ram_latency=4")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
