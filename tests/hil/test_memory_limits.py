"""Limits of flash and RAM: met by what is proposed and by what wins; one that nothing meets says what is possible."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hil.store import Store
from hil.targets.base import Program
from mico.errors import UsageError
from mico.quant.integer import IntegerModel
from tests.hil import small_campaign as small
from tests.hil.command import Mico, mico  # noqa: F401

double = small.double_module()

CODE = 700  # bytes that every program of these tests has besides its weights, and as many besides its tensors


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))


def build(model: IntegerModel) -> Program:
    """A program for the double, with the RAM of the tensors that an operation reads and writes."""
    program: Program = double.build(model)
    size = {name: int(torch.Size(t.shape).numel()) * t.format.bits / 8 for name, t in model.tensors.items()}
    ram = max(size[op.output] + sum(size[name] for name in op.inputs) for op in model.ops)
    return replace(program, flash_bytes=program.flash_bytes + CODE, ram_bytes=CODE + int(ram))


def run(folder: Path, **limits: int) -> Any:
    folder.mkdir(exist_ok=True)
    target = double.DoubleTarget(folder / "log")
    widths = {"weight_bits": (8, 4), "activation_bits": (8, 4)}
    return small.campaign(folder, target, build, 6, searcher="sieve", fraction=1.2, **widths, **limits)


@pytest.mark.parametrize(("field", "limit"), [("ram_bytes", "max_ram"), ("flash_bytes", "max_flash")])
def test_a_limit_that_binds_is_met_by_every_proposal(tmp_path: Path, field: str, limit: str) -> None:
    """It lies below what the best without it takes; only the 8-bit network, which is always measured, takes more."""
    free = run(tmp_path / "free")
    most = free.best[field] - 50
    limited = run(tmp_path / "limited", **{limit: most})
    taken = [(e.stage, getattr(e, field)) for e in Store(tmp_path / "limited" / "store.sqlite").evaluations(1)]
    assert taken[0][0] == "baseline"
    assert taken[0][1] > most
    assert len(taken) > 4
    assert all(value <= most for _, value in taken[1:])
    assert limited.best[field] <= most == limited.constraint[field]


@pytest.mark.parametrize(
    ("field", "limit", "name"), [("ram_bytes", "max_ram", "RAM bytes"), ("flash_bytes", "max_flash", "flash bytes")]
)
def test_a_limit_that_nothing_meets_says_the_least_and_that_can_be_had(
    tmp_path: Path, field: str, limit: str, name: str
) -> None:
    """Nothing but the 8-bit network is measured for it; with the number that is told the search has a result."""
    with pytest.raises(UsageError, match=f"no scheme fits in {CODE + 1} {name}") as caught:
        run(tmp_path / "none", **{limit: CODE + 1})
    assert len(Store(tmp_path / "none" / "store.sqlite").evaluations(1)) == 1
    found = re.search(r"raise the limit to (\d+)", caught.value.cure)
    assert found is not None
    least = int(found.group(1))
    with pytest.raises(UsageError, match=f"takes {least}"):
        run(tmp_path / "below", **{limit: least - 1})
    assert run(tmp_path / "least", **{limit: least}).best[field] == least


def test_the_command_ends_with_2_where_nothing_fits_and_with_0_where_the_least_does(
    mico: Mico,  # noqa: F811
    tmp_path: Path,
) -> None:
    """One fully connected layer on the simulated SoC."""
    torch.manual_seed(1)
    source, weights = tmp_path / "one.py", tmp_path / "one.safetensors"
    source.write_text(
        "from torch import nn\n\n\nclass One(nn.Sequential):\n    def __init__(self) -> None:\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    save_file(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).state_dict(), weights)
    words = ["search", f"{source}:One", "--dataset", "digits", "--weights", weights, "--budget", 2, "--verify", 2]
    words += ["--weight-bits", "8,4", "--activation-bits", "8,4", "--finalists", 1, "--fraction", 1.2]
    words += ["--store", tmp_path / "s.sqlite", "--out", tmp_path / "out"]
    assert mico(*words, "--max-flash", 5000) == 2
    assert "no scheme fits in 5000 flash bytes" in mico.stderr
    assert "Traceback" not in mico.stderr
    found = re.search(r"raise the\s+limit\s+to\s+(\d+)", mico.stderr)
    assert found is not None
    least = int(found.group(1))
    assert least > 5000
    assert mico(*words, "--max-flash", least) == 0, mico.stderr
    (result,) = (tmp_path / "out").rglob("result.json")
    assert json.loads(result.read_text())["best"]["flash_bytes"] <= least
    assert mico(*words, "--max-ram", 0) == 2
    assert "leaves room for nothing" in mico.stderr
