"""Several targets as one: whichever is free, another one when one dies, results that do not depend on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.bench import Leased, Pool, open_bench
from hil.evaluation import Workbench
from hil.lab import load_lab
from hil.leases import Leases
from hil.store import Store
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from mico.errors import DeviceError, FlashError, UsageError
from tests.hil.lab.sharing_campaign import ROOT, double, pool, small
from tests.hil.targets.programs import inputs, picture

EASY: Any = {"weight_bits": (8, 4), "activation_bits": (8, 4), "fraction": 0.9}
"""Widths that need no training."""
SCRIPT = Path(__file__).with_name("sharing_campaign.py")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))


def soc_pool(folder: Path, count: int, **options: Any) -> Pool:
    (folder / "lab.toml").write_text(f'[targets.soc]\nkind = "soc-sim"\ncount = {count}\n')
    return open_bench(load_lab(folder / "lab.toml"), "soc", Store(folder / "store.sqlite"), "test", **options)


def essence(result: Any) -> Any:
    return {name: result.to_json()[name] for name in ("int8", "evaluations", "latency_model", "best", "verify")}


def test_a_simulator_killed_in_mid_measurement_is_replaced_by_another(tmp_path: Path) -> None:
    """The failed attempt stays in the log; the measurement is that of the second target. Seed 1."""
    bench = soc_pool(tmp_path, 2, wait_s=20)
    store, model = Store(tmp_path / "store.sqlite"), picture()
    program, x = bench.build(model), inputs(model, 1, seed=1)
    data: Any = type("Data", (), {"val": type("Split", (), {"images": x})})
    work = Workbench(data, None, bench, store, build=bench.build, tools={})  # type: ignore[arg-type]
    flash, killed = bench.members[0].inner.flash, []

    def flash_and_kill(what: Any) -> None:
        flash(what)
        first = bench.members[0].inner
        assert isinstance(first, SocSim)
        killed.append(first.pid)
        os.kill(first.pid, signal.SIGKILL)

    bench.members[0].inner.flash = flash_and_kill  # type: ignore[method-assign]
    found = work.measure(program, model)
    assert len(killed) == 1
    assert bench.lab_name == "soc-1"
    assert [(row["status"], row["target"]) for row in store.attempts()] == [("device", "soc-0"), ("ok", "soc-1")]
    assert Leases(store).health()["soc-0"].failures == 1
    work.close()
    assert Leases(store).holders() == {}
    with SocSim(timeout_s=60) as alone:
        alone.flash(program)
        assert alone.measure(x).cycles == found.cycles
        assert alone.provenance(program).key() == found.key


def test_a_resting_target_goes_to_whoever_waits(tmp_path: Path) -> None:
    first, second = soc_pool(tmp_path, 1), soc_pool(tmp_path, 1, wait_s=0)
    program, x = build_program(picture()), inputs(picture(), 1, seed=2)
    first.open()
    first.flash(program)
    assert np.array_equal(first.infer(x), picture().run(x))
    with pytest.raises(DeviceError, match=f"held by process {os.getpid()} "):
        second.open()
    assert first.rest()
    assert first.info()["image-bytes"] == str(len(program.image))  # still there: nobody took it
    assert first.rest()
    second.wait_s = 20
    with second:
        assert second.lab_name == "soc-0"
        with pytest.raises(DeviceError, match="no target of the pool is open"):
            first.info()
    first.close()


def test_only_equal_hardware_makes_a_pool(tmp_path: Path) -> None:
    text = (
        '[targets.a]\nkind="soc-sim"\n[targets.b]\nkind="soc-sim"\nram_latency=2\n[targets.c]\nkind="bitfusion-sim"\n'
    )
    (tmp_path / "lab.toml").write_text(text)
    lab, store = load_lab(tmp_path / "lab.toml"), Store(tmp_path / "s.sqlite")
    with pytest.raises(UsageError, match="b differs from a in its parameters and hardware"):
        open_bench(lab, "a,b", store, "test").provenance(build_program(picture()))
    with pytest.raises(UsageError, match="different kinds"):
        open_bench(lab, "a,c", store, "test")


def test_a_campaign_gives_the_same_whatever_the_number_of_targets_and_deaths(tmp_path: Path) -> None:
    results = []
    for number, names in enumerate((("dut",), ("a", "b", "c"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        bench = pool(folder, "x", names)
        if number:
            for member, error in ((0, DeviceError("unplugged")), (1, FlashError("no"))):
                bench.members[member].inner.fail_next.append(error)
        results.append(small.campaign(folder, bench, double.build, 6, seed=5, searcher="random", finalists=1, **EASY))
        store = Store(folder / "store.sqlite")
        statuses = [row["status"] for row in store.attempts()]
        assert statuses.count("ok") == results[-1].counts["measured"]
        assert len(statuses) - statuses.count("ok") == (2 if number else 0)
        assert Leases(store).holders() == {}
    assert essence(results[0]) == essence(results[1])


def test_a_target_that_keeps_failing_is_left_alone_and_the_others_work_on(tmp_path: Path) -> None:
    bench = pool(tmp_path, "x", ("a", "b"))
    bench.members[0].inner.fail_next += [DeviceError("unplugged")] * 3  # type: ignore[attr-defined]
    program = double.build(picture())
    for _ in range(3):
        bench._first = 0
        with bench, pytest.raises(DeviceError, match="unplugged"):
            bench.flash(program)
    bench._first = 0
    with bench:
        bench.flash(program)
        assert bench.lab_name == "b"
    store = Store(tmp_path / "store.sqlite")
    assert "3 failures in a row, the last: unplugged" in str(Leases(store).health()["a"].reason)
    alone = Pool(bench.members[:1])
    with pytest.raises(DeviceError, match="a: the target is quarantined: 3 failures"):
        alone.open()


def test_what_was_measured_without_the_lease_is_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    leases, model = Leases(store), picture()
    inner = double.DoubleTarget(tmp_path / "log")
    target = Leased("dut", inner, leases, "the sleeper")
    program, x = double.build(model), inputs(model, 1, seed=3)
    measure, others = inner.measure, []

    def slept(*arguments: Any, **options: Any) -> Any:
        leases.release("dut", force=True)
        others.append(leases.hold("dut", "somebody else"))
        return measure(*arguments, **options)

    inner.measure = slept
    target.open()
    with pytest.raises(DeviceError, match=r"lease of .* is lost"):
        store.measure_once(target, program, x)
    assert [row["status"] for row in store.attempts()] == ["device"]
    assert store.lookup(target.provenance(program).key()) is None
    assert leases.health() == {"dut": replace(leases.health()["dut"], failures=0)}
    target.close()
    assert leases.holders()["dut"].purpose == "somebody else"
    others[0].close()


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, str(folder), str(seed), "6"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow  # three processes that train
def test_two_campaigns_share_one_target_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    """Never two at once; one is killed while it measures, the other ends; started again, the first ends too."""
    first, second = start(tmp_path, 7), start(tmp_path, 8)
    assert first.stdout is not None
    for _ in range(3):
        assert "stage" in first.stdout.readline()
    leases = Leases(Store(tmp_path / "store.sqlite"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        held = leases.holders().get("dut")
        if held is not None and held.pid == first.pid:
            break
        time.sleep(0.005)
    first.kill()
    first.wait()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert json.loads(output.splitlines()[-1])["result"]["verify"]["mismatches"] == 0
    again = start(tmp_path, 7)
    output, _ = again.communicate(timeout=120)
    assert again.returncode == 0, output
    inside = None
    for line in (tmp_path / "use").read_text().splitlines():
        tag, what = line.split()
        if what == "start":
            assert inside in (None, "7"), "two campaigns on one target"  # 7 was killed within
            inside = tag
        else:
            assert inside == tag
            inside = None
    log = (tmp_path / "log").read_text().splitlines()
    assert len(log) - len(set(log)) <= 1  # the one that was cut off was measured again
