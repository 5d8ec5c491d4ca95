"""A Target without hardware for tests of the store and the campaign: it computes the IntegerModel in Python and charges
cycles by a formula. Every real measurement is appended to a log with fsync, so that tests can count them.

Not a stand-in for measuring: the tests of the whole loop use the verilated SoC.
"""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.targets.base import LayerCycles, Program, Provenance, Run, Target
from mico.errors import DeviceError
from mico.quant.execute import run as execute
from mico.quant.integer import IntegerModel


def build(model: IntegerModel) -> Program:
    """A Program whose image is the pickled model."""
    image = pickle.dumps(model)
    weights = sum(op.weight.size * op.weight_format.bits // 8 for op in model.ops if op.weight is not None)
    tensor = model.tensors[model.input]
    return Program(
        name=model.name,
        image=image,
        load_address=0,
        entry=0,
        digest=model.digest(),
        toolchain="pickle",
        flash_bytes=weights,
        ram_bytes=1,
        input_shape=tensor.shape,
        input_signed=tensor.format.signed,
        output_count=int(np.prod(model.tensors[model.output].shape)),
    )


class DoubleTarget(Target):
    """Charges ``100 + MAC * max(w, a) / 4 + 10 * output elements`` cycles an operation.

    Parameters
    ----------
    log
        File that gets one line ``digest`` a measurement.
    fail_next
        Errors raised by the next measurements, in order.
    """

    name = "double"

    def __init__(self, log: Path, delay_s: float = 0.0) -> None:
        self.log, self.delay_s = log, delay_s
        self.fail_next: list[Exception] = []
        self.opened = 0
        self.model: IntegerModel | None = None
        self.program: Program | None = None

    def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        self.model = None

    def provenance(self, program: Program) -> Provenance:
        return Provenance("double", {"version": 1}, "formula", "pickle", program.digest, 1_000_000)

    def flash(self, program: Program) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)
        self.model, self.program = pickle.loads(program.image), program

    def info(self) -> dict[str, str]:
        return {"name": "double"}

    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        if self.model is None:
            raise DeviceError("nothing is flashed")
        return np.asarray(execute(self.model, x), dtype=np.int32).reshape(len(x), -1)

    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        for _ in range(warmup):
            outputs = self.infer(x[:1])
        assert self.model is not None
        assert self.program is not None
        layers = []
        for op in self.model.ops:
            out = self.model.tensors[op.output]
            cycles = 100 + 10 * int(np.prod(out.shape))
            if op.weight is not None and op.weight_format is not None:
                positions = int(np.prod(out.shape[1:])) if op.weight.ndim == 4 else 1
                widest = max(op.weight_format.bits, self.model.tensors[op.inputs[0]].format.bits)
                cycles += op.weight.size * positions * widest // 4
            layers.append(LayerCycles(op.name, cycles))
        layers.append(LayerCycles("glue", 50))
        time.sleep(self.delay_s)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{self.program.digest}\n".encode())
        os.fsync(descriptor)
        os.close(descriptor)
        total = sum(layer.cycles for layer in layers)
        return Run(outputs, total, (total,) * laps, tuple(layers))
