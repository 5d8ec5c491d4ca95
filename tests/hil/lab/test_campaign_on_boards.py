"""A campaign on two boards of which one dies: everything is real but the boards, which are simulators behind TCP."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hil.bench import open_bench
from hil.lab import load_lab
from hil.leases import Leases
from hil.settings import Observer
from hil.store import Evaluation, Store
from hil.targets.soc_sim import SocSim
from tests.hil.lab.sharing_campaign import small
from tests.hil.lab.sim_boards import on_tcp

EASY: Any = {"weight_bits": (8, 4), "activation_bits": (8, 4), "fraction": 1.2, "finalists": 1, "searcher": "random"}


class Killer(Observer):
    """Kills process *pid* after the second evaluation."""

    def __init__(self, pid: int) -> None:
        self.pid, self.seen = pid, 0

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:  # noqa: ARG002
        self.seen += 1
        if self.seen == 2:
            os.kill(self.pid, signal.SIGKILL)


@pytest.mark.slow  # two campaigns on simulators
def test_a_campaign_survives_the_death_of_a_board_and_agrees_with_the_local_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 3, which the campaigns of these tests have by default."""
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    for name in ("local", "boards"):
        (tmp_path / name).mkdir()
    local = SocSim(timeout_s=60)
    wanted = small.campaign(tmp_path / "local", local, local.build, 4, **EASY)
    with on_tcp() as first, on_tcp() as second:
        text = "".join(
            f'[targets.{name}]\nkind = "tcp"\naddress = "{served.place}"\nreset = "{served.reset}"\n'
            for name, served in (("a", first), ("b", second))
        )
        (tmp_path / "lab.toml").write_text(text)
        store = Store(tmp_path / "boards" / "store.sqlite")
        bench = open_bench(load_lab(tmp_path / "lab.toml"), "a,b", store, "test")
        found = small.campaign(tmp_path / "boards", bench, bench.build, 4, Killer(first.pid), **EASY)
    numbers = [[(e["scheme"], e["accuracy"], e["cycles"], e["status"]) for e in r.evaluations] for r in (wanted, found)]
    assert numbers[0] == numbers[1]
    assert found.verified
    attempts = [(row["target"], row["status"]) for row in store.attempts()]
    assert {("a", "ok"), ("a", "device"), ("b", "ok")} == set(attempts)
    assert attempts.count(("a", "device")) == 1
    assert len(attempts) == 1 + found.counts["measured"]
    assert Leases(store).holders() == {}
