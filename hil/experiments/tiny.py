"""A tiny network on digits, trained in seconds: what quick runs of the experiments work on."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from hil.workload import Workload
from mico.data import digits
from mico.models.recipe import Recipe
from mico.quant.evaluate import Evaluator
from mico.quant.prepare import prepare
from mico.trace import trace
from mico.train import train

__all__ = ["RECIPE", "Tiny", "tiny_workload"]

RECIPE = Recipe(epochs=1, min_steps=200, batch_size=64, lr=1e-2)


class Tiny(nn.Module):
    """Three layers on 7x7 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2)
        self.head = nn.Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv1(x))
        logits: Tensor = self.head(torch.relu(self.conv2(x)).flatten(1))
        return logits


@cache
def tiny_workload() -> Workload:
    """Digits, every fourth pixel; seed 0."""
    data = digits.small()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Tiny()
    train(module, data, RECIPE, 0)
    graph, calibration = prepare(trace(module, data.input_shape, "tiny"), data.calibration)
    return Workload(graph, data, Evaluator(graph, calibration, data, RECIPE))
