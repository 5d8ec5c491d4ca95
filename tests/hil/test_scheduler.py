"""Evaluations on the workers of a Dask scheduler: results as without one, workers that die, and what is missing."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from hil.campaign import Observer
from hil.scheduler import Cluster
from hil.scheduler_target import RemoteTarget
from hil.store import Evaluation, Store
from hil.targets.soc_sim import SocSim
from mico.errors import ClusterError, UsageError
from tests.hil.command import mico

__all__ = ["mico"]

HERE = Path(__file__).parent


def _module(name: str) -> Any:
    """A module beside this file, under the name by which the workers import it."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


small = _module("small_campaign")
double = small.double_module()
scheduler_site = _module("scheduler_site")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A scheduler with two workers that have a SoC each, one of them with a broken double."""
    folder = tmp_path_factory.mktemp("site")
    made = scheduler_site.Site(folder)
    try:
        made.worker("--offers", "soc", MICO_CACHE=str(folder / "one"))
        made.broken = made.worker("--offers", "soc", MICO_CACHE=str(folder / "two"), **{scheduler_site.BROKEN: "yes"})
        yield made
    finally:
        made.close()


class At(Observer):
    """Does something when so many evaluations were committed."""

    def __init__(self, count: int, action: Any) -> None:
        self.left, self.action = count, action

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
        del evaluation, replayed
        self.left -= 1
        if self.left == 0:
            self.action()


def essence(result: Any) -> Any:
    data = result.to_json()
    return {name: data[name] for name in ("int8", "evaluations", "latency_model", "best", "verify", "constraint")}


def doubled(folder: Path, cluster: Cluster | None, kind: Any = double.DoubleTarget, **options: Any) -> Any:
    """The small campaign on a target without hardware: seed 3, random search, 6 evaluations."""
    folder.mkdir(exist_ok=True)
    make = partial(kind, folder / "log")
    target = make() if cluster is None else RemoteTarget(cluster, make, double.DoubleTarget(folder / "log"), "soc")
    return small.campaign(folder, target, double.build, 6, cluster=cluster, **{"searcher": "random", **options})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The campaign without workers."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("local")
        patch.setenv("MICO_CACHE", str(folder / "cache"))
        return doubled(folder, None)


def test_result_is_that_of_a_local_run_whichever_worker_did_what(tmp_path: Path, site: Any, local: Any) -> None:
    """Trainings, accuracies and measurements on two workers; a target that dies on one is replaced by the other's."""
    with Cluster(site.address) as cluster:
        spread = doubled(tmp_path / "spread", cluster, scheduler_site.Flaky)
    assert essence(spread) == essence(local)
    assert spread.counts["failed"] == 0
    assert spread.counts["measured"] == local.counts["measured"]
    store = Store(tmp_path / "spread" / "store.sqlite")
    attempts = [row for key in (m["key"] for m in store.measurements()) for row in store.attempts(key)]
    assert sum(row["status"] == "ok" for row in attempts) == len(store.measurements())
    assert {row["target"].rpartition(" ")[2] for row in attempts if row["status"] == "ok"} <= set(site.workers)
    assert any("the target died" in (row["error"] or "") for row in attempts)
    log = (tmp_path / "spread" / "log").read_text().splitlines()
    assert len(log) == len(set(log)) == spread.counts["measured"]


@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["random", "sieve"])
def test_batches_are_the_same_here_and_on_workers_and_after_an_interruption(
    tmp_path: Path, site: Any, searcher: str
) -> None:
    """Three schemes at once, seed 3: in one process, stopped in the middle of a batch, and on two workers."""
    whole, cut, spread = tmp_path / "whole", tmp_path / "cut", tmp_path / "spread"
    expected = doubled(whole, None, batch=3, searcher=searcher, fraction=1.2)
    with pytest.raises(KeyboardInterrupt):
        doubled(cut, None, batch=3, searcher=searcher, fraction=1.2, observer=At(3, _interrupt))
    assert essence(doubled(cut, None, batch=3, searcher=searcher, fraction=1.2)) == essence(expected)
    with Cluster(site.address) as cluster:
        assert essence(doubled(spread, cluster, batch=3, searcher=searcher, fraction=1.2)) == essence(expected)
    for folder in (whole, cut, spread):
        log = (folder / "log").read_text().splitlines()
        assert len(log) == len(set(log))


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_on_the_simulated_soc_the_result_is_that_of_a_local_run(tmp_path: Path, site: Any) -> None:
    with Cluster(site.address) as cluster:
        target = RemoteTarget(cluster, SocSim, SocSim(), "soc")
        spread = small.campaign(tmp_path, target, None, 2, cluster=cluster, searcher="random", fraction=1.2)
    (tmp_path / "local").mkdir()
    local = small.campaign(tmp_path / "local", SocSim(), None, 2, searcher="random", fraction=1.2)
    assert spread.verified
    assert essence(spread) == essence(local)
    assert spread.provenance == local.provenance


def test_worker_that_is_killed_is_replaced(tmp_path: Path, site: Any, local: Any) -> None:
    """kill -9 of the only worker with the target, while it measures; one that comes then does the rest: seed 3."""
    victim = site.worker("--offers", "soc,bitfusion", MICO_CACHE=str(tmp_path / "victim"))
    folder = tmp_path / "spread"
    folder.mkdir()
    came = []

    def kill() -> None:
        site.kill(victim)
        came.append(site.worker("--offers", "soc,bitfusion", MICO_CACHE=str(tmp_path / "new")))

    with Cluster(site.address) as cluster:
        make = partial(double.DoubleTarget, folder / "log", delay_s=1.0)
        target = RemoteTarget(cluster, make, double.DoubleTarget(folder / "log"), "bitfusion")
        killer = At(3, threading.Timer(0.7, kill).start)
        spread = small.campaign(folder, target, double.build, 6, killer, searcher="random", cluster=cluster)
    site.kill(came[0])
    assert essence(spread) == essence(local)
    store = Store(folder / "store.sqlite")
    attempts = [row for m in store.measurements() for row in store.attempts(m["key"])]
    assert all(row["status"] == "ok" for row in attempts)
    assert len(attempts) == len(store.measurements())
    measured_by = [row["target"].rpartition(" ")[2] for row in attempts]
    assert set(measured_by) == {victim, *came}


def test_nobody_with_what_is_needed_is_an_error_in_bounded_time(site: Any) -> None:
    with Cluster(site.address, patience_s=2.0) as cluster:
        started = time.monotonic()
        with pytest.raises(ClusterError, match=r"no worker offers 'board'.*offers soc.*mico worker .* --offers board"):
            cluster.require("board")
        assert time.monotonic() - started < 30
        assert ClusterError("").exit_code == 3


@pytest.mark.slow
def test_worker_with_other_software_is_left_alone(tmp_path: Path, site: Any) -> None:
    other = "import hil.scheduler_tasks as t\nt.software = lambda: {'code': 'other', 'torch': '0', 'numpy': '0'}"
    address = site.worker("--offers", "bitfusion", preface=other, MICO_CACHE=str(tmp_path / "other"))
    try:
        with (
            Cluster(site.address, patience_s=2.0) as cluster,
            pytest.raises(ClusterError, match="code and torch and numpy differ"),
        ):
            cluster.require("bitfusion")
    finally:
        site.kill(address)


def test_scheduler_that_is_not_there_ends_the_command_with_3(tmp_path: Path, mico: Any) -> None:
    started = time.monotonic()
    store = ("--store", tmp_path / "s.sqlite")
    assert mico("search", "lenet5", "--dataset", "digits", "--scheduler", "tcp://127.0.0.1:9", *store) == 3
    assert mico.stdout == ""
    assert "tcp://127.0.0.1:9: the scheduler cannot be reached" in mico.stderr
    assert "dask scheduler" in mico.stderr
    assert "Traceback" not in mico.stderr
    assert time.monotonic() - started < 100


def test_address_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no address of a scheduler"):
        Cluster("somewhere")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("tcp://127.0.0.1:9", "--offers", "soc,teapot"), 2, "'teapot' cannot be offered"),
        (("somewhere",), 2, "no address of a scheduler"),
        (("tcp://127.0.0.1:9", "--offers", ""), 3, "the scheduler cannot be reached"),
    ],
)
def test_worker_that_cannot_start_says_why(
    mico: Any, arguments: tuple[str, ...], code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICO_WORKER_STORE", "")  # the command sets it
    assert mico("worker", *arguments) == code
    assert message in mico.stderr
    assert "Traceback" not in mico.stderr


def test_worker_offers_no_gpu_where_there_is_none(mico: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setenv("MICO_WORKER_STORE", "")
    assert mico("worker", "tcp://127.0.0.1:9", "--offers", "gpu") == 3
    assert "gpu cannot be offered: torch finds no GPU" in mico.stderr


@pytest.mark.slow
def test_scheduler_that_dies_ends_the_campaign_which_then_goes_on_elsewhere(tmp_path: Path, local: Any) -> None:
    """kill -9 of the scheduler after the second evaluation; the rest is done in one process: seed 3."""
    own = scheduler_site.Site(tmp_path)
    folder = tmp_path / "spread"
    try:
        own.worker("--offers", "soc", MICO_CACHE=str(tmp_path / "one"))
        with Cluster(own.address) as cluster, pytest.raises(ClusterError, match="scheduler"):
            doubled(folder, cluster, observer=At(2, own.scheduler.kill))
    finally:
        own.close()
    log = (folder / "log").read_text().splitlines()
    assert len(log) >= 2
    assert essence(doubled(folder, None)) == essence(local)
    whole = (folder / "log").read_text().splitlines()
    assert whole[: len(log)] == log
    assert len(whole) == len(set(whole))
