"""Programs that every target runs, with their inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.targets.base import Run
from hil.targets.console_target import ConsoleTarget
from mico.quant.integer import IntegerModel
from tests.hil.targets.programs import inputs, lenet5, picture


@dataclass(frozen=True)
class Case:
    name: str
    model: IntegerModel
    inputs: int
    seed: int

    @property
    def x(self) -> NDArray[np.integer]:
        return inputs(self.model, self.inputs, self.seed)


CASES = (Case("picture 4 bits", picture(), 3, 11), Case("lenet5 2x1 bits", lenet5(2, 1), 2, 12))


def measure(target: ConsoleTarget, case: Case) -> Run:
    target.flash(target.build(case.model))
    return target.measure(case.x)
