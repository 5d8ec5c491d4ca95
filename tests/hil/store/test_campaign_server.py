"""A campaign whose store is on a server that goes away: it ends with a clear error, and the next run goes on."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from hil.campaign import Observer, explore
from hil.settings import Settings
from hil.store import Evaluation, Store
from mico.errors import StoreError
from tests.hil import double_target as double
from tests.hil import small_campaign as small
from tests.hil.store.postgres import PostgresServer


class Watching(Observer):
    """Ends the server when so many evaluations were reported."""

    def __init__(self, server: PostgresServer, after: int | None = None) -> None:
        self.server, self.after = server, after
        self.seen: list[tuple[str | None, int | None]] = []

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:  # noqa: ARG002
        self.seen.append((evaluation.measurement, evaluation.cycles))
        if len(self.seen) == self.after:
            self.server.stop(signal.SIGQUIT)


class Ending(double.DoubleTarget):
    """Ends the server while it measures for the third time."""

    server: PostgresServer
    measured = 0

    def measure(self, x: Any, *, laps: int = 2, warmup: int = 1) -> Any:
        run = super().measure(x, laps=laps, warmup=warmup)
        self.measured += 1
        if self.measured == 3:
            self.server.stop(signal.SIGQUIT)
        return run


def run(where: str, target: double.DoubleTarget, observer: Observer) -> Any:
    torch.set_num_threads(1)
    settings = Settings(budget=5, seed=3, fraction=0.7, verify_inputs=10)
    return explore(
        small.trained(),
        small.data(),
        target,
        recipe=small.RECIPE,
        store=Store(where),
        settings=settings,
        observer=observer,
        build=double.build,
    )


@pytest.mark.parametrize("during", [False, True])
def test_the_next_run_goes_on(fragile: PostgresServer, tmp_path: Path, during: bool) -> None:
    where, log = fragile.database(), tmp_path / "log"
    observer = Watching(fragile, None if during else 3)
    target = Ending(log) if during else double.DoubleTarget(log)
    if isinstance(target, Ending):
        target.server = fragile
    with pytest.raises(StoreError, match="hat was reported before is safe"):
        run(where, target, observer)
    fragile.start()
    store = Store(where)
    reported = {key: cycles for key, cycles in observer.seen if key is not None}
    assert len(reported) == (2 if during else 3)
    for key, cycles in reported.items():
        found = store.lookup(key)
        assert found is not None
        assert found.cycles == cycles
    again = Watching(fragile)
    result = run(where, double.DoubleTarget(log), again)
    assert result.verified
    assert [row["state"] for row in store.campaigns()] == ["done"]
    assert again.seen[: len(observer.seen)] == observer.seen
    assert {row["status"] for row in store.measurements()} == {"ok"}
    measured = log.read_text().splitlines()
    assert len(measured) - len(set(measured)) == during  # the one that could not be reported is measured again
