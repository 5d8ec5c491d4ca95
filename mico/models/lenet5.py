"""LeNet-5 with ReLU and max-pooling, and its training recipe.

LeCun et al., "Gradient-based learning applied to document recognition", 1998; ReLU for tanh and 2x2 maximum for the
trained subsampling, which need no multiplier on a device.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "LeNet5", "build"]

INPUT_SHAPE = (1, 28, 28)

RECIPE = Recipe(epochs=8, min_steps=2000, batch_size=128, lr=3e-3, weight_decay=1e-2, shift=2)


class LeNet5(nn.Module):
    """61,706 parameters, 416,520 MACs an image. Input ``(N, 1, 28, 28)`` in 0..1, output ``(N, 10)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(400, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.relu3(self.fc1(self.flatten(x)))
        x = self.relu4(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


def build(seed: int) -> nn.Module:
    """LeNet-5 with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LeNet5()
