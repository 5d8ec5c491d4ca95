"""VGG-7 for 32x32 images in any width, and its training recipe.

2 x 128C3 - MP2 - 2 x 256C3 - MP2 - 2 x 512C3 - MP2 - 1024FC - 10FC, as in Li et al., "Ternary Weight Networks", 2016,
and Sharma et al., "Bit Fusion", 2018. ``vgg7`` of the
zoo has an eighth of that width, 16 to 64 channels, and trains in minutes on one core; ``vgg7-full`` is the whole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "Vgg7", "build"]

INPUT_SHAPE = (3, 32, 32)

RECIPE = Recipe(epochs=4, batch_size=64, lr=4e-3, weight_decay=2e-2, shift=2, flip=True)

_WIDTH = 16


class Vgg7(nn.Module):
    """Input ``(N, 3, 32, 32)`` in 0..1, output ``(N, 10)`` logits.

    204,922 parameters, 10,011,904 MACs an image with ``width=16``;
    12,979,082 parameters, 615,917,568 MACs an image with ``width=128``.

    Parameters
    ----------
    width
        Channels of the first two convolutions; the next have twice and four times as many, the linear layer
        eight times.
    """

    def __init__(self, width: int = _WIDTH) -> None:
        super().__init__()
        channels = [(3, width), (width, width), (width, 2 * width), (2 * width, 2 * width)]
        channels += [(2 * width, 4 * width), (4 * width, 4 * width)]
        parts: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(channels):
            parts += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            if index % 2:
                parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(4 * width * 4 * 4, 8 * width, bias=False)
        self.norm = nn.BatchNorm1d(8 * width)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(8 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.fc1(self.flatten(self.features(x)))))
        logits: Tensor = self.fc2(x)
        return logits


def build(seed: int, width: int = _WIDTH) -> nn.Module:
    """VGG-7 with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Vgg7(width)
