"""Compensated rounding: errors of correlated inputs make up for each other. Seeds are named."""

from __future__ import annotations

import numpy as np
import pytest

from mico.quant import rounding
from mico.quant.integer import Format
from mico.quant.rounding import Array, Moments, compensated, fitting_scale, nearest


def case(seed: int, groups: int = 2, outputs: int = 5, width: int = 24, correlated: bool = True) -> tuple[Array, Array]:
    """Weights ``(G, O, K)`` and inputs ``(G, rows, K)``."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((groups, 2000, width))
    if correlated:
        rows = rows[:, :, :4] @ rng.standard_normal((groups, 4, width)) + 0.3 * rows
    return rng.standard_normal((groups, outputs, width)), rows


def output_error(weight: Array, rows: Array, levels: Array, scale: Array) -> float:
    difference = (levels * scale[:, :, None] - weight).transpose(0, 2, 1)
    return float(((rows @ difference) ** 2).mean())


@pytest.mark.parametrize("bits", [4, 2, 1])
def test_outputs_are_closer_than_after_rounding_to_the_nearest(bits: int) -> None:
    weight, rows = case(0)
    moments = Moments(rows)
    scale = fitting_scale(weight, moments, bits)
    plain = output_error(weight, rows, nearest(weight, scale[:, :, None], bits), scale)
    levels = compensated(weight, moments, scale, bits)
    form = Format(bits, True)
    assert levels.min() >= form.qmin
    assert levels.max() <= form.qmax
    assert bits > 1 or set(np.unique(levels)) == {-1, 1}
    assert output_error(weight, rows, levels, scale) < 0.5 * plain


def test_inputs_that_have_nothing_to_do_with_each_other_leave_the_nearest_integers() -> None:
    weight, _ = case(1)
    moments = Moments(np.broadcast_to(np.eye(24), (2, 24, 24)))
    scale = np.full((2, 5), 0.25)
    assert np.array_equal(compensated(weight, moments, scale, 4), nearest(weight, scale[:, :, None], 4))


@pytest.mark.parametrize("bits", [4, 2, 1])
def test_scale_has_no_more_output_error_than_that_of_least_squares(bits: int) -> None:
    weight, rows = case(2)
    moments = Moments(rows)
    errors = []
    for found in (
        fitting_scale(weight, moments, bits),
        fitting_scale(weight, Moments(np.eye(24)[None] + 0 * rows[:, :24]), bits),
    ):
        errors.append(output_error(weight, rows, nearest(weight, found[:, :, None], bits), found))
    assert errors[0] <= errors[1]


def test_groups_do_not_see_each_other() -> None:
    weight, rows = case(3)
    both, scale = Moments(rows), np.full((2, 5), 0.4)
    for group in range(2):
        alone = slice(group, group + 1)
        expected = compensated(weight[alone], Moments(rows[alone]), scale[alone], 2)
        assert np.array_equal(compensated(weight, both, scale, 2)[alone], expected)


def test_very_many_inputs_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, rows = case(4, width=30)
    scale = np.full((2, 5), 0.4)
    monkeypatch.setattr(rounding, "_BLOCK", 12)
    moments = Moments(rows)
    assert [block.second.shape for block in moments.blocks] == [(2, 12, 12), (2, 12, 12), (2, 6, 6)]
    levels = compensated(weight, moments, scale, 2)
    assert np.array_equal(levels[:, :, 12:24], compensated(weight[:, :, 12:24], Moments(rows[:, :, 12:24]), scale, 2))
    difference = rows.transpose(0, 2, 1) @ rows / rows.shape[1]
    whole = (weight[:, :, 24:] @ difference[:, 24:, 24:] * weight[:, :, 24:]).sum(2)
    only = np.concatenate([np.zeros((2, 5, 24)), weight[:, :, 24:]], axis=2)
    assert np.allclose(moments.product(only, only), whole)


def test_inputs_and_weights_of_zero_are_no_trouble() -> None:
    weight, rows = case(5)
    rows[:, :, 3] = 0.0
    rows[1] = 0.0
    weight[0, 2] = 0.0
    moments = Moments(rows)
    for bits in (4, 2, 1):
        scale = fitting_scale(weight, moments, bits)
        assert np.isfinite(scale).all()
        assert (scale > 0).all()
        levels = compensated(weight, moments, scale, bits)
        assert bits == 1 or (levels[0, 2] == 0).all()
