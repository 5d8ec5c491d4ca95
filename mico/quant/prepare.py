"""From a trained network to what schemes are lowered from: the one pipeline that searches and measurements share."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from mico.graph import Graph
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.equalise import equalise
from mico.quant.refine import refine

__all__ = ["Prepared", "prepare"]


class Prepared(NamedTuple):
    """What :func:`mico.quant.lower.lower` takes, beside a scheme."""

    graph: Graph
    calibration: Calibration


def prepare(
    graph: Graph,
    images: NDArray[Any],
    *,
    input_scale: float = 1 / 255,
    input_signed: bool = False,
    seed: int = 0,
) -> Prepared:
    """Equalise, find the scales of all tensors, and refine the weights, all on *images*.

    Parameters, errors: as :func:`mico.quant.calibrate.calibrate`.
    """
    graph = equalise(graph, images, input_scale=input_scale, input_signed=input_signed, seed=seed)
    calibration = calibrate(graph, images, input_scale=input_scale, input_signed=input_signed, seed=seed)
    return Prepared(graph, refine(graph, calibration, images, seed))
