"""Rows of the store as they are used: a measurement, an evaluation, and what makes a run one that may be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.targets.base import LayerCycles, Run
from mico.errors import (
    DeviceError,
    FlashError,
    MeasurementError,
    MicoError,
    ProtocolError,
    ProtocolTimeout,
    ToolError,
)

__all__ = ["Evaluation", "Measurement", "check_run", "clean", "status_of"]


@dataclass(frozen=True)
class Measurement:
    """A Run with everything needed to trust it; ``cached`` if it was looked up rather than run."""

    key: str
    provenance: Mapping[str, Any]
    cycles: int
    samples: tuple[int, ...]
    layers: tuple[LayerCycles, ...]
    outputs: tuple[int, ...]
    flash_bytes: int
    ram_bytes: int
    toolchain: str
    tools: Mapping[str, str]
    created: float
    cached: bool


@dataclass(frozen=True)
class Evaluation:
    """One scheme of a campaign. ``accuracy`` and ``cycles`` are numbers if ``status == "ok"``; else cycles is None."""

    position: int
    stage: str
    scheme: Mapping[str, Mapping[str, int]]
    method: str | None
    accuracy: float | None
    cycles: int | None
    predicted_cycles: float | None
    program: str | None
    measurement: str | None
    status: str
    error: str | None
    seconds: float | None = None
    layers: tuple[LayerCycles, ...] = ()
    flash_bytes: int | None = None
    ram_bytes: int | None = None


def status_of(error: MicoError) -> str:
    """Status column of a failure, from the most to the least specific type."""
    table: tuple[tuple[type[MicoError], str], ...] = (
        (ProtocolTimeout, "timeout"),
        (ProtocolError, "protocol"),
        (FlashError, "flash"),
        (DeviceError, "device"),
        (MeasurementError, "wrong"),
        (ToolError, "build"),
    )
    return next((name for kind, name in table if isinstance(error, kind)), "failed")


def clean(text: str | None) -> str | None:
    """*text* as every database takes it: NUL and halves of surrogates, which come off broken lines, are spelled out."""
    return None if text is None else text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def check_run(run: Run, expected: NDArray[np.int32] | None) -> None:
    """Refuse a run that cannot be trusted: MeasurementError if outputs, laps or layers are not right."""
    if run.cycles <= 0 or not run.samples:
        raise MeasurementError(f"{run.cycles} cycles from {len(run.samples)} laps is not a measurement")
    total = sum(layer.cycles for layer in run.layers)
    if abs(total - run.cycles) > 0.01 * run.cycles:
        raise MeasurementError(
            f"layers add up to {total} cycles, the whole inference takes {run.cycles}",
            cure="they must agree within 1 %: is a layer missing from the firmware's table?",
        )
    if expected is not None and not np.array_equal(run.outputs.ravel(), expected.ravel()):
        raise MeasurementError(
            f"the target computed {run.outputs.ravel().tolist()}, expected {expected.ravel().tolist()}",
            cure="kernel, generated code or flashing is wrong; the latency of a wrong answer is not kept",
        )
