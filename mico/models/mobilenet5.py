"""MobileNet-5: one inverted residual between a stem and a classifier, so small that every scheme can be evaluated.

The stem quarters the image; the block widens it sixfold, filters every channel on its own, narrows it without an
activation and adds its input: five layers that can be quantised. Sandler et al., 2018, for the block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.mobilenetv2 import InvertedResidual
from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "MobileNet5", "build"]

INPUT_SHAPE = (3, 32, 32)

RECIPE = Recipe(epochs=16, batch_size=64, lr=1e-2, weight_decay=1e-2, shift=2, flip=True)


class MobileNet5(nn.Module):
    """13,378 parameters, 695,040 MACs an image. Input ``(N, 3, 32, 32)`` in 0..1, output ``(N, 10)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.block = InvertedResidual(24, 24, 1, 6)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(384, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        logits: Tensor = self.fc(self.flatten(self.pool2(self.block(x))))
        return logits


def build(seed: int) -> nn.Module:
    """MobileNet-5 with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MobileNet5()
