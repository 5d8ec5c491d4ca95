"""Kernels of every build on the simulated SoC, with the real unit and the real core: logits are Python's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from tests.firmware.kernels import test_kernels as on_host

models = on_host.models


@pytest.fixture(scope="module")
def target() -> Iterator[SocSim]:
    with SocSim(timeout_s=60.0) as soc:
        yield soc


@pytest.mark.parametrize("simd", [1, 2])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_all_sixteen_pairs(target: SocSim, signed: bool, simd: int) -> None:
    builder = on_host.all_pairs(signed)
    model, x = builder.build(), builder.inputs(3)
    target.flash(build_program(model, simd=simd))
    assert target.info()["simd-kernels"] == str(simd)
    np.testing.assert_array_equal(target.infer(x), model.run(x))


@pytest.mark.parametrize("number", [31, 32, 33, 34])
def test_random_networks(target: SocSim, number: int) -> None:
    builder = models.random_model(number)
    model, x = builder.build(), builder.inputs(3)
    target.flash(build_program(model))
    np.testing.assert_array_equal(target.infer(x), model.run(x))


def test_lenet_takes_fewer_cycles_the_fewer_the_bits(target: SocSim) -> None:
    """Bars of the kernels: 80,000 cycles at 8 bits, at most half at 2."""
    cycles = {}
    for bits in (8, 4, 2, 1):
        builder = models.lenet5(bits, bits)
        model, x = builder.build(), builder.inputs(3)[2:]
        target.flash(build_program(model))
        run = target.measure(x, laps=1, warmup=1)
        np.testing.assert_array_equal(run.outputs, model.run(x))
        cycles[bits] = run.cycles
    assert cycles[8] <= 80_000
    assert cycles[4] <= 0.7 * cycles[8]
    assert cycles[2] <= 0.5 * cycles[8]
    assert cycles[1] < cycles[2]
