"""The command: exit codes, messages without a traceback, and what each subcommand prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hil.networks import load_network
from hil.store import Store
from mico.data import load
from mico.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
OWN = """
from torch import nn
from mico.models import Recipe
RECIPE = Recipe(epochs=0, min_steps=2)
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))
class Wrong:
    pass
class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no")
"""


def mico(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hil.cli", *arguments]
    env = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=env)


def test_help_lists_the_commands() -> None:
    done = mico("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("demo", "search", "results", "doctor", "data"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "nonet", "--dataset", "digits"), "no model 'nonet'"),
        (("search", "nofile.py:Net", "--dataset", "digits"), "no such file"),
        (("search", "lenet5", "--fraction", "0"), "fraction must be positive"),
        (("search", "lenet5", "--weight-bits", "8,x"), "not a list of widths"),
        (("demo", "--dataset", "nodata"), "no dataset 'nodata'"),
        (("results", "--store", "nostore.sqlite"), "no such store"),
        (("unknown",), "No such command"),
        (("search",), "Missing argument"),
    ],
)
def test_usage_errors_exit_with_2_and_no_traceback(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    options = () if "--store" in arguments or len(arguments) == 1 else ("--store", str(tmp_path / "s.sqlite"))
    done = mico(*arguments, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_damaged_store_exits_with_1_and_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_text("not a database" * 100)
    done = mico("results", "--store", str(path))
    assert done.returncode == 1
    assert "another --store" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    done = mico("results", "--store", "nostore.sqlite", MICO_DEBUG="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_results_lists_campaigns(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    number = store.campaign({"model": "lenet5", "dataset": "mnist", "seed": 4, "fraction": 0.6})
    store.set_campaign(number, "done", add_wall_s=7.0, result={"best": {"accuracy_test": 0.987, "cycles": 12345}})
    done = mico("results", "--store", store.where)
    assert done.returncode == 0
    assert all(text in done.stdout for text in ("lenet5", "98.70 %", "12,345", "0 measurements, 0 failed"))


def test_data_list_is_mounted() -> None:
    done = mico("data", "list")
    assert done.returncode == 0
    assert "digits" in done.stdout


def test_own_network_is_loaded_trained_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "own.py"
    path.write_text(OWN)
    data = load("digits")
    first = load_network(f"{path}:Net", data, seed=1)
    again = load_network(f"{path}:Net", data, seed=1)
    assert (first.name, first.recipe.min_steps) == ("net", 2)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for name, tensor in first.module.state_dict().items():
        assert tensor.equal(again.module.state_dict()[name])
    cached = next((tmp_path / "cache").iterdir())
    assert not load_network(f"{path}:Net", data, weights=cached).module.training


@pytest.mark.parametrize(
    ("name", "message"), [("Wrong", "not a torch module"), ("Broken", "cannot make"), ("Absent", "cannot make")]
)
def test_own_network_that_is_none_is_named(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    with pytest.raises(UsageError, match=message):
        load_network(f"{path}:{name}", load("digits"))


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "own.py"
    path.write_text(OWN)
    load_network(f"{path}:Net", load("digits"))
    weights = next((tmp_path / "cache").iterdir())
    with pytest.raises(UsageError, match="cannot load the weights"):
        load_network("lenet5", load("digits"), weights=weights)
    (tmp_path / "junk").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="cannot load the weights"):
        load_network("lenet5", load("digits"), weights=tmp_path / "junk")
