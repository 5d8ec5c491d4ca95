"""``mico worker``: this machine evaluates for the campaigns of a scheduler; ``--scheduler`` of a campaign."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.cli_targets import STORE, LabAt
from mico.errors import ClusterError, DeviceError, UsageError

if TYPE_CHECKING:
    from hil.scheduler import Cluster
    from hil.store import Store
    from hil.targets.base import Target

__all__ = ["OFFERS", "Bench", "SchedulerAt", "bench", "offers", "worker"]

OFFERS = ("soc", "bitfusion", "board", "gpu")
"""What a worker may have, as Dask resources."""

SchedulerAt = Annotated[
    str | None,
    typer.Option("--scheduler", help="Dask scheduler whose workers evaluate, tcp://host:port; local: processes here."),
]


@dataclass(frozen=True)
class Bench:
    """What a campaign is measured on, the store, and who does the work where that is not this process."""

    target: Target
    store: Store
    cluster: Cluster | None


@contextmanager
def bench(
    scheduler: str | None, lab: Path | None, names: str, open_store: Callable[[], Store], purpose: str
) -> Iterator[Bench]:
    """The targets *names* of the lab, here or on the workers of *scheduler*."""
    from hil.bench import open_bench
    from hil.lab import load_lab
    from hil.scheduler import Cluster
    from hil.scheduler_target import RemoteTarget
    from hil.scheduler_tasks import LabTarget, needs_of

    loaded = load_lab(lab)
    chosen = loaded.select(names)
    store = open_store()
    inner = open_bench(loaded, names, store, purpose)
    if scheduler is None:
        yield Bench(inner, store, None)
        return
    with Cluster(scheduler) as cluster:
        target = RemoteTarget(cluster, LabTarget(names), inner, needs_of(loaded.entries[chosen[0]]))
        yield Bench(target, store, cluster)


def offers(lab: Path | None = None) -> dict[str, str]:
    """What this machine has of :data:`OFFERS`: empty for what works, else what it lacks."""
    import torch

    from hil.doctor import checks
    from hil.lab import load_lab
    from hil.scheduler_tasks import needs_of

    kinds = {needs_of(entry) for entry in load_lab(lab).entries.values()}
    missing = [check for check in checks() if check.required and check.version is None]
    tools = f"{missing[0].name} is missing ({missing[0].cure})" if missing else ""
    found = {name: tools if name in kinds else f"the lab has no target of kind {name}" for name in OFFERS[:3]}
    found["gpu"] = "" if torch.cuda.is_available() else "torch finds no GPU"
    return found


def worker(
    scheduler: Annotated[str, typer.Argument(help="Address of the Dask scheduler, tcp://host:port.")],
    wanted: Annotated[
        str | None, typer.Option("--offers", help="Of soc, bitfusion, board, gpu, by commas; else what is here.")
    ] = None,
    lab: LabAt = None,
    store: Annotated[str, typer.Option("--store", help="Where leases of this machine's boards are kept.")] = STORE,
    name: Annotated[str | None, typer.Option(help="Of this worker, for messages.")] = None,
) -> None:
    """Train, compute and measure for campaigns that are started with --scheduler, until the scheduler ends."""
    import asyncio

    from hil import scheduler_tasks

    if "://" not in scheduler or not scheduler.rpartition(":")[2].isdigit():
        raise UsageError(f"{scheduler!r} is no address of a scheduler", cure="tcp://host:port")
    if lab is not None:
        os.environ["MICO_LAB"] = str(lab.resolve())
    os.environ["MICO_WORKER_STORE"] = store
    found = offers(lab)
    chosen = _chosen(wanted, found)
    try:
        asyncio.run(_serve(scheduler, dict.fromkeys(chosen, 1.0), name))
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"the scheduler cannot be reached: {error}", where=scheduler, cure="start one: dask scheduler --port 8786"
        ) from error
    finally:
        scheduler_tasks.close_targets()


def _chosen(wanted: str | None, found: dict[str, str]) -> list[str]:
    if wanted is None:
        return [name for name, lack in found.items() if not lack]
    chosen = [part.strip() for part in wanted.split(",") if part.strip()]
    for name in chosen:
        if name not in found:
            raise UsageError(f"{name!r} cannot be offered", cure=f"one of {', '.join(OFFERS)}")
        if found[name]:
            raise DeviceError(f"{name} cannot be offered: {found[name]}", cure="offer what is here, or repair it")
    return chosen


async def _serve(address: str, resources: dict[str, float], name: str | None) -> None:
    import asyncio
    import signal

    from distributed import Worker

    serving = Worker(
        address, name=name, nthreads=1, resources=resources, death_timeout=10.0, dashboard=False, silence_logs=30
    )
    loop = asyncio.get_running_loop()
    async with serving:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: asyncio.ensure_future(serving.close(reason="asked to end")))
        told = ", ".join(resources) or "nothing special"
        typer.echo(f"{serving.address} works for {address} and offers {told}", err=True)
        await serving.finished()  # type: ignore[no-untyped-call]
