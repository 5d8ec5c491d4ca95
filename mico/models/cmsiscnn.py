"""CmsisCNN: the CIFAR-10 network that CMSIS-NN is demonstrated with, and its training recipe.

Lai et al., "CMSIS-NN: Efficient Neural Network Kernels for Arm Cortex-M CPUs", 2018, table 1 (after Caffe's
cifar10_quick): three 5x5 convolutions of 32, 16 and 32 channels, each with a 3x3 pooling of stride 2, and one linear
layer. Here all poolings are maxima and pad by one row and column, so that 32x32 halves to 16x16, 8x8, 4x4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico.models.recipe import Recipe

__all__ = ["INPUT_SHAPE", "RECIPE", "CmsisCNN", "build"]

INPUT_SHAPE = (3, 32, 32)

RECIPE = Recipe(epochs=12, batch_size=64, lr=4e-3, weight_decay=1e-2, shift=2, flip=True)


class CmsisCNN(nn.Module):
    """33,290 parameters, 6,558,720 MACs an image. Input ``(N, 3, 32, 32)`` in 0..1, output ``(N, 10)`` logits.

    Batch-norm after each convolution, which tracing folds, eases the training.
    """

    def __init__(self) -> None:
        super().__init__()
        stages = []
        for inputs, outputs in ((3, 32), (32, 16), (16, 32)):
            stages.append(
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 5, padding=2, bias=False),
                    nn.BatchNorm2d(outputs),
                    nn.ReLU(),
                    nn.MaxPool2d(3, stride=2, padding=1),
                )
            )
        self.stage1, self.stage2, self.stage3 = stages
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage3(self.stage2(self.stage1(x)))
        logits: Tensor = self.fc(self.flatten(x))
        return logits


def build(seed: int) -> nn.Module:
    """CmsisCNN with weights drawn from *seed*; leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CmsisCNN()
