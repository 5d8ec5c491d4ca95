"""One suite for every target with a console: simulated ones agree in every output and cycle, boards in every output."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hil.targets.base import Run
from hil.targets.board import MIN_LAPS, Board
from hil.targets.console_target import ConsoleTarget
from mico.errors import DeviceError, FlashError
from tests.hil.parity.cases import Case, measure


def test_outputs_are_those_of_the_integer_model(target: ConsoleTarget, case: Case):
    target.flash(target.build(case.model))
    expected = case.model.run(case.x).reshape(case.inputs, -1)
    assert np.array_equal(target.infer(case.x), expected)


def test_layers_and_cycles_agree(target: ConsoleTarget, case: Case, reference: dict[str, Run]):
    run, wanted = measure(target, case), reference[case.name]
    assert np.array_equal(run.outputs, wanted.outputs)
    assert [layer.name for layer in run.layers] == [layer.name for layer in wanted.layers]
    if isinstance(target, Board):
        assert len(run.samples) >= MIN_LAPS
        assert abs(sum(layer.cycles for layer in run.layers) - run.cycles) <= 0.01 * run.cycles
    else:
        assert (run.cycles, run.samples, run.layers) == (wanted.cycles, wanted.samples, wanted.layers)


def test_a_second_flash_and_measurement_say_the_same(target: ConsoleTarget, case: Case):
    first, second = measure(target, case), measure(target, case)
    assert np.array_equal(first.outputs, second.outputs)
    if not isinstance(target, Board):
        assert first.cycles == second.cycles


def test_the_key_of_a_measurement_is_that_of_the_simulated_soc(target: ConsoleTarget, case: Case):
    """The same hardware, firmware and program, wherever it runs; a board has a key of its own."""
    from hil.targets.soc_sim import SocSim

    program = target.build(case.model)
    wanted = SocSim().provenance(program)
    found = target.provenance(program)
    assert (found.program, found.firmware) == (wanted.program, wanted.firmware)
    if isinstance(target, Board):
        assert found.key() != wanted.key()
    else:
        assert found == wanted


def test_what_runs_is_what_was_flashed(target: ConsoleTarget, case: Case):
    program = target.build(case.model)
    target.flash(program)
    info = target.info()
    assert info["image-bytes"] == str(len(program.image))
    assert info["model"] == case.model.name
    assert info["fault"] == "none"


def test_an_image_that_does_not_fit_is_refused_and_the_target_goes_on(target: ConsoleTarget, case: Case):
    program = target.build(case.model)
    target.flash(program)
    ram = int(target.info()["ram-bytes"])
    with pytest.raises(FlashError, match="does not fit"):
        target.flash(dataclasses.replace(program, image=bytes(ram)))
    with pytest.raises(DeviceError, match="no program"):
        target.info()
    target.flash(program)
    assert target.info()["model"] == case.model.name
