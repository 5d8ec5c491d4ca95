"""DS-CNN, the depthwise separable network of keyword spotting, and its training recipe.

Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017, in the size that MLPerf Tiny takes: one 10x4
convolution with stride 2 and four depthwise separable blocks of 64 channels. Its input is a spectrogram of 49 frames of
10 coefficients; no dataset of speech comes with the project, so bring your own (`mico.data.Dataset`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "DsCnn", "build"]

INPUT_SHAPE = (1, 49, 10)

RECIPE = Recipe(epochs=20, batch_size=100, lr=2e-3, weight_decay=1e-2)

_CHANNELS = 64
_BLOCKS = 4


def _convolution(inputs: int, groups: int = 1, kernel: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, _CHANNELS, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(_CHANNELS), nn.ReLU()]


class DsCnn(nn.Module):
    """23,180 parameters, 2,656,768 MACs. Input ``(N, 1, 49, 10)`` in 0..1, output ``(N, 12)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(1, _CHANNELS, (10, 4), stride=2, padding=(5, 1), bias=False)
        parts: list[nn.Module] = [first, nn.BatchNorm2d(_CHANNELS), nn.ReLU()]
        for _ in range(_BLOCKS):
            parts += [*_convolution(_CHANNELS, groups=_CHANNELS, kernel=3), *_convolution(_CHANNELS)]
        self.features = nn.Sequential(*parts)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(_CHANNELS, 12)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.flatten(self.pool(self.features(x))))
        return logits


def build(seed: int) -> nn.Module:
    """DS-CNN with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DsCnn()
