"""The zoo: one network a file, each with ``INPUT_SHAPE``, ``RECIPE`` and ``build(seed) -> nn.Module``."""

from __future__ import annotations

from typing import Protocol, cast

from torch import nn

from mico.errors import UsageError
from mico.models import cmsiscnn, dscnn, lenet5, mobilenet5, mobilenetv2, resnet5, resnet8, squeezenet, vgg7, vgg7_full
from mico.models.recipe import Recipe

__all__ = ["NAMES", "ModelFile", "Recipe", "get"]


class ModelFile(Protocol):
    """What a file of the zoo offers."""

    __file__: str
    INPUT_SHAPE: tuple[int, ...]
    RECIPE: Recipe

    def build(self, seed: int) -> nn.Module:
        """The untrained network, its weights drawn from *seed*."""


_ZOO = {
    "lenet5": cast(ModelFile, lenet5),
    "cmsiscnn": cast(ModelFile, cmsiscnn),
    "resnet5": cast(ModelFile, resnet5),
    "mobilenet5": cast(ModelFile, mobilenet5),
    "resnet8": cast(ModelFile, resnet8),
    "vgg7": cast(ModelFile, vgg7),
    "squeezenet": cast(ModelFile, squeezenet),
    "mobilenetv2": cast(ModelFile, mobilenetv2),
    "dscnn": cast(ModelFile, dscnn),
    "vgg7-full": cast(ModelFile, vgg7_full),
}

NAMES = tuple(_ZOO)
"""Networks by name."""


def get(name: str) -> ModelFile:
    """The zoo's file for *name*; UsageError for an unknown name."""
    if name not in _ZOO:
        raise UsageError(f"no model {name!r}", cure=f"one of {', '.join(NAMES)}")
    return _ZOO[name]
