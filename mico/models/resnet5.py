"""ResNet-5: the smallest residual network worth a search, so small that every scheme of it can be evaluated.

A stem that quarters the image, a block of two convolutions with an identity shortcut, a block of one, and a linear
layer: five layers that can be quantised and two residual adds. He et al., 2015, for the block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "ResNet5", "build"]

INPUT_SHAPE = (3, 32, 32)

RECIPE = Recipe(epochs=16, batch_size=64, lr=1e-2, weight_decay=1e-2, shift=2, flip=True)


class ResNet5(nn.Module):
    """16,642 parameters, 912,624 MACs an image. Input ``(N, 3, 32, 32)`` in 0..1, output ``(N, 10)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv1 = nn.Conv2d(24, 24, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(24)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(24, 24, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(24)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(24, 24, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(24)
        self.relu3 = nn.ReLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        x = self.pool2(self.relu2(x + self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))))
        x = self.relu3(x + self.norm3(self.conv3(x)))
        logits: Tensor = self.fc(self.flatten(self.mean(x)))
        return logits


def build(seed: int) -> nn.Module:
    """ResNet-5 with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResNet5()
