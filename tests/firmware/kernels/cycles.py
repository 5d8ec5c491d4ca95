"""Cycles of LeNet-5 on the simulated SoC, random weights: ``python tests/firmware/kernels/cycles.py 8x8 2x2``.

An argument is weight bits x activation bits; ``--simd=1`` in front chooses the kernels. Checks that the logits are
Python's.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np

from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program


def main(pairs: list[str]) -> None:
    path = Path(__file__).resolve().parents[2] / "mico" / "codegen" / "random_models.py"
    spec = importlib.util.spec_from_file_location("random_models", path)
    assert spec is not None
    assert spec.loader is not None
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    simd = 2
    if pairs and pairs[0].startswith("--simd="):
        simd = int(pairs.pop(0).removeprefix("--simd="))
    with SocSim() as target:
        for pair in pairs or ["8x8", "4x4", "2x2", "1x1"]:
            weight_bits, activation_bits = map(int, pair.split("x"))
            builder = models.lenet5(weight_bits, activation_bits)
            model, x = builder.build(), builder.inputs(3)[2:]
            program = build_program(model, simd=simd)
            target.flash(program)
            run = target.measure(x, laps=1, warmup=1)
            assert np.array_equal(run.outputs, model.run(x))
            kinds = {op.name: str(op.kind) for op in model.ops}
            layers = ", ".join(f"{kinds.get(layer.name, layer.name)} {layer.cycles}" for layer in run.layers)
            print(f"w{weight_bits}a{activation_bits}: {run.cycles} cycles, flash {program.flash_bytes}, "
                  f"RAM {program.ram_bytes}: {layers}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
