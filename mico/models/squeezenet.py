"""SqueezeNet for 32x32 images in any width, and its training recipe.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016, in the arrangement of version 1.1:
eight fire modules, each a 1x1 convolution that squeezes and a 1x1 and a 3x3 one that expand, concatenated. For small
images the first convolution keeps the resolution, and there are three 2x2 poolings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "SqueezeNet", "build"]

INPUT_SHAPE = (3, 32, 32)

RECIPE = Recipe(epochs=14, batch_size=64, lr=4e-3, weight_decay=2e-2, shift=2, flip=True)

_WIDTH = 32


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Fire(nn.Module):
    """``(N, C, H, W)`` to ``(N, 8 S, H, W)``: half of the channels from a 1x1, half from a 3x3 convolution of S."""

    def __init__(self, inputs: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = _convolution(inputs, squeezed, 1)
        self.expand1 = _convolution(squeezed, 4 * squeezed, 1)
        self.expand3 = _convolution(squeezed, 4 * squeezed, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.expand1(x), self.expand3(x)], 1)


class SqueezeNet(nn.Module):
    """Input ``(N, 3, 32, 32)`` in 0..1, output ``(N, 10)`` logits.

    185,834 parameters, 6,340,608 MACs an image with ``width=32``.

    Parameters
    ----------
    width
        Channels of the first convolution, a multiple of 8; fire modules squeeze to a quarter of it up to all of it and
        expand to eight times that.
    """

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        quarter = width // 4
        squeezed = [quarter, quarter, 2 * quarter, 2 * quarter, 3 * quarter, 3 * quarter, 4 * quarter, 4 * quarter]
        parts: list[nn.Module] = [_convolution(3, width, 3), nn.MaxPool2d(2)]
        inputs = width
        for index, channels in enumerate(squeezed):
            parts.append(Fire(inputs, channels))
            inputs = 8 * channels
            if index in (1, 3):
                parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Conv2d(inputs, 10, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.flatten(self.pool(self.classifier(self.features(x))))
        return logits


def build(seed: int, width: int = _WIDTH) -> nn.Module:
    """SqueezeNet with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SqueezeNet(width)
