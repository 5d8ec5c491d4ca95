"""The command: exit codes, messages without a traceback, and what each subcommand prints."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hil.cli import main
from hil.networks import load_network
from hil.store import Store
from mico.data import load
from mico.errors import UsageError
from tests.hil.command import Mico, mico

__all__ = ["mico"]

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


def test_command_is_there_and_help_lists_its_parts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hil.cli", "--help"], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
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
def test_usage_errors_exit_with_2_and_no_traceback(
    mico: Mico, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    options = () if "--store" in arguments or len(arguments) == 1 else ("--store", str(tmp_path / "s.sqlite"))
    assert mico(*arguments, *options) == 2
    assert message in mico.stderr
    assert "Traceback" not in mico.stderr
    assert mico.stdout == ""


def test_damaged_store_exits_with_1_and_a_cure(mico: Mico, tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_text("not a database" * 100)
    assert mico("results", "--store", str(path)) == 1
    assert "another --store" in mico.stderr
    assert "Traceback" not in mico.stderr


def test_debug_lets_the_traceback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["mico", "results", "--store", "nostore.sqlite"])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(UsageError):
            main()
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_interrupt_exits_with_130_and_no_traceback(tmp_path: Path, signal_name: str) -> None:
    """The signal arrives while the store is opened."""
    store = Store(tmp_path / "s.sqlite")
    script = f"""
import os, signal, sys
import hil.cli, hil.store
hil.store.Store.__init__ = lambda *_: os.kill(os.getpid(), signal.{signal_name})
sys.argv = ["mico", "results", "--store", {store.where!r}]
hil.cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_results_lists_campaigns(mico: Mico, tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    number = store.campaign({"model": "lenet5", "dataset": "mnist", "seed": 4, "fraction": 0.6})
    store.set_campaign(number, "done", add_wall_s=7.0, result={"best": {"accuracy_test": 0.987, "cycles": 12345}})
    assert mico("results", "--store", store.where) == 0
    assert all(text in mico.stdout for text in ("lenet5", "98.70 %", "12,345", "0 measurements, 0 failed"))


def test_data_list_is_mounted(mico: Mico) -> None:
    assert mico("data", "list") == 0
    assert "digits" in mico.stdout


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
