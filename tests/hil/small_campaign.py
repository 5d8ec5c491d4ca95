"""A small campaign as a process of its own, to be killed: ``small_campaign.py FOLDER [double|soc] [BUDGET]``.

Prints a JSON line for every evaluation that it reports and, at the end, the result: what was printed was acknowledged.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hil.campaign import Observer, Result, Settings, explore
from hil.store import Evaluation, Store
from hil.targets.base import Target
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from mico.data import Dataset, digits
from mico.models import Recipe
from mico.train import train

RECIPE = Recipe(epochs=1, min_steps=300, batch_size=64, lr=1e-2)


def double_module() -> Any:
    """The module of the Target without hardware, which lies beside this file."""
    if "double_target" not in sys.modules:
        spec = importlib.util.spec_from_file_location("double_target", Path(__file__).with_name("double_target.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["double_target"] = module
        spec.loader.exec_module(module)
    return sys.modules["double_target"]


class Small(nn.Module):
    """Three layers on 7x7 images: few enough cycles for a simulator."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(36, 16)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(x)))
        logits: Tensor = self.fc2(self.relu1(self.fc1(self.flatten(x))))
        return logits


@cache
def data() -> Dataset:
    """Digits, every fourth pixel."""
    return digits.small()


@cache
def trained() -> nn.Module:
    torch.manual_seed(5)
    return train(Small(), data(), RECIPE, seed=5).model


class Printing(Observer):
    """One JSON line an evaluation, after it was committed."""

    def evaluated(self, evaluation: Evaluation, replayed: bool) -> None:
        line = {"stage": evaluation.stage, "key": evaluation.measurement, "cycles": evaluation.cycles}
        print(json.dumps({**line, "accuracy": evaluation.accuracy, "replayed": replayed}), flush=True)


def campaign(
    folder: Path,
    target: Target,
    build: Any,
    budget: int,
    observer: Observer | None = None,
    cluster: Any = None,
    **settings: Any,
) -> Result:
    """The campaign of these tests: seed 3."""
    torch.set_num_threads(1)
    return explore(
        trained(),
        data(),
        target,
        recipe=RECIPE,
        store=Store(folder / "store.sqlite"),
        settings=Settings(**{"budget": budget, "seed": 3, "fraction": 0.7, "verify_inputs": 10, **settings}),
        observer=observer or Observer(),
        build=build,
        cluster=cluster,
    )


def main() -> None:
    folder, kind, budget = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    double = double_module()
    if kind == "double":
        target, build = double.DoubleTarget(folder / "log", delay_s=0.05), double.build
    else:
        target, build = SocSim(), build_program
    # On the SoC such a small network is mostly overhead, and narrow bits save nothing: a constraint that lets all pass.
    result = campaign(folder, target, build, budget, Printing(), fraction=0.7 if kind == "double" else 1.2)
    print(json.dumps({"result": result.to_json()}), flush=True)


if __name__ == "__main__":
    main()
