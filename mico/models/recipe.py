"""Recipe: how a network is trained, as data that a cache key can hold."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Training by Adam with decoupled weight decay and a one-cycle learning rate.

    Attributes
    ----------
    epochs
        Passes over the training split.
    min_steps
        Fewest steps: a small dataset gets more epochs.
    batch_size
        Images in a step; the odd rest of an epoch is left out.
    lr
        Peak learning rate, reached after *warmup* of all steps, then a cosine down to zero.
    warmup
        Share of the steps.
    weight_decay
        Decoupled; not applied to biases.
    shift
        Augmentation: every image is shifted by up to so many pixels in each direction, zeros moving in.
    flip
        Augmentation: every other image, on average, is mirrored left to right.
    label_smoothing
        Share of the target that is spread over all classes.
    """

    epochs: int
    min_steps: int = 0
    batch_size: int = 128
    lr: float = 2e-3
    warmup: float = 0.2
    weight_decay: float = 1e-2
    shift: int = 0
    label_smoothing: float = 0.0
    flip: bool = False

    def steps(self, train_images: int) -> int:
        """Steps of the whole training on so many images."""
        per_epoch = max(1, train_images // self.batch_size)
        return max(self.epochs * per_epoch, self.min_steps)

    def lr_at(self, step: int, steps: int) -> float:
        """Learning rate of *step* of *steps*: linear warm-up, then a cosine to zero."""
        rise = max(1, round(self.warmup * steps))
        if step < rise:
            return self.lr * (step + 1) / rise
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    def to_json(self) -> dict[str, int | float]:
        return asdict(self)
