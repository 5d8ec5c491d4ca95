"""The experiments of the paper, and of what it leaves open, on measured hardware: one file each, by name."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mico.errors import UsageError

__all__ = ["NAMES", "experiment"]

NAMES = (
    "tightness",
    "predictor",
    "curves",
    "shapes",
    "lenet5-soc",
    "qat-proxy",
    "vgg7-bitfusion",
    "squeezenet-ptq",
)
"""Cheapest first."""


def experiment(name: str) -> ModuleType:
    """The module of *name*: ``TITLE``, ``QUESTION`` and ``run(setup, report)``; UsageError where there is none."""
    if name not in NAMES:
        raise UsageError(f"no experiment {name!r}", cure=f"one of {', '.join(NAMES)}, or all")
    return import_module(f"hil.experiments.{name.replace('-', '_')}")
