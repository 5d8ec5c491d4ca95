"""A network of corner cases for the corpus: what an engine does now and then, and hardly a network of the zoo shows.

Lines that are no multiple of the engine's lanes, groups of several channels, poolings that overlap and pad, averages,
and a linear layer whose 8-bit inputs exceed a lane buffer, so that the core computes it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["INPUT_SHAPE", "Corners", "build"]

INPUT_SHAPE = (3, 29, 27)


class Corners(nn.Module):
    """Input ``(N, 3, 29, 27)`` in 0..1, output ``(N, 6)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(
            *(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.ReLU()),  # 27 pixels a line
            *(nn.Conv2d(12, 24, 3, padding=1, groups=3), nn.ReLU()),
            nn.MaxPool2d(3, stride=2, padding=1),  # 15 x 14
        )
        self.left = nn.Sequential(nn.Conv2d(24, 48, 1), nn.ReLU())
        self.right = nn.Sequential(nn.Conv2d(24, 24, 5, padding=2, groups=24), nn.ReLU())
        self.wide = nn.Linear(48 * 15 * 14, 6)
        self.average = nn.AvgPool2d(3, stride=2)
        self.narrow = nn.Conv2d(24, 18, 3, stride=2, groups=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(18, 6)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        x = self.front(x)
        y = self.average(self.right(x))
        logits: Tensor = self.wide(self.flatten(self.left(x)))
        other: Tensor = self.last(self.flatten(self.pool(torch.relu(self.narrow(y)))))
        return logits + other


def build(seed: int) -> nn.Module:
    """Corners with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Corners()
