"""MobileNetV2 for 32x32 images in any width, and its training recipe.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, table 2, with the strides that small
images ask for: the first convolution and the second stage keep the resolution, so that it falls from 32 to 4 in three
steps. ReLU stands for ReLU6: the integers clamp at a calibrated limit of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "MobileNetV2", "build"]

INPUT_SHAPE = (3, 32, 32)

RECIPE = Recipe(epochs=10, batch_size=64, lr=4e-3, weight_decay=2e-2, shift=2, flip=True)

_WIDTH = 0.35
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks, stride of the first of them."""


def _convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """``(N, C, H, W)`` to ``(N, C', H / stride, W / stride)``: widen, depthwise, narrow; x added if it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * inputs
        parts = [*_convolution(inputs, wide), nn.ReLU()] if expansion > 1 else []
        parts += [*_convolution(wide, wide, 3, stride, groups=wide), nn.ReLU(), *_convolution(wide, outputs)]
        self.body = nn.Sequential(*parts)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """Input ``(N, 3, 32, 32)`` in 0..1, output ``(N, 10)`` logits.

    296,170 parameters, 11,856,000 MACs an image with ``width=0.35``.

    Parameters
    ----------
    width
        Multiplier of all channels, which are rounded to multiples of 8.
    """

    def __init__(self, width: float = _WIDTH) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return max(8, round(channels * width / 8) * 8)

        inputs = scaled(32)
        parts: list[nn.Module] = [*_convolution(3, inputs, 3), nn.ReLU()]
        for expansion, channels, blocks, stride in _STAGES:
            for block in range(blocks):
                parts.append(InvertedResidual(inputs, scaled(channels), stride if block == 0 else 1, expansion))
                inputs = scaled(channels)
        last = scaled(1280)
        self.features = nn.Sequential(*parts, *_convolution(inputs, last), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(last, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.flatten(self.pool(self.features(x))))
        return logits


def build(seed: int, width: float = _WIDTH) -> nn.Module:
    """MobileNetV2 with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MobileNetV2(width)
