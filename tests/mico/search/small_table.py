"""The truth of a small network: three layers on shrunken digits, 729 schemes, made in seconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from hil.truth import TruthJob, build_table
from mico.models import Recipe
from mico.quant.prepare import prepare
from mico.search.truth import TruthTable
from mico.trace import trace
from mico.train import train
from tests.hil.small_campaign import Small, data

RECIPE = Recipe(epochs=1, min_steps=300, batch_size=64, lr=1e-2)


class Tiny(nn.Module):
    """One linear layer after another."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(49, 12)
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc2(self.relu1(self.fc1(self.flatten(x))))
        return logits


@cache
def small_job(network: type[nn.Module] = Small, bits: tuple[int, ...] = (8, 4, 2)) -> TruthJob:
    """*network* with weights of seed 5, trained for 300 steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = network()
    graph = trace(train(module, data(), RECIPE, seed=5).model, data().input_shape, name=network.__name__.lower())
    prepared = prepare(graph, data().calibration)
    return TruthJob(prepared.graph, prepared.calibration, data(), bits)


@cache
def small_table() -> TruthTable:
    """All schemes of ``Small``, without cycles."""
    with TemporaryDirectory() as folder:
        return build_table(small_job(), Path(folder) / "small.npz")
