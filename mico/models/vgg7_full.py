"""VGG-7 in its published width: a network to measure. Its recipe is 150 steps, no training worth the name."""

from __future__ import annotations

from torch import nn

from mico.models import vgg7
from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "build"]

INPUT_SHAPE = vgg7.INPUT_SHAPE

RECIPE = Recipe(epochs=0, min_steps=150, batch_size=32, lr=1e-3, shift=2, flip=True)

_WIDTH = 128


def build(seed: int) -> nn.Module:
    """VGG-7 with 128 to 512 channels; weights drawn from *seed*."""
    return vgg7.build(seed, _WIDTH)
