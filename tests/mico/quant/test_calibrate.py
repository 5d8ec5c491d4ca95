"""Calibration: signs, scales and identity. Seeds are named."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import build

from mico.errors import QuantError, UsageError
from mico.graph import Graph
from mico.models import lenet5
from mico.quant.calibrate import Calibration, calibrate, mse_scale
from mico.quant.integer import Format
from mico.quant.scheme import BITS
from mico.trace import trace


def prepared(name: str) -> tuple[Graph, np.ndarray]:
    graph = trace(*build(name))
    return graph, np.random.default_rng(0).integers(0, 256, (50, *graph.input_shape)).astype(np.uint8)


def test_tensors_that_cannot_be_negative_are_unsigned() -> None:
    graph, x = prepared("dense")
    calibration = calibrate(graph, x)
    unsigned = {name for name in (*graph.layer_names, "relu", "concat", "input") if not calibration.signed(name)}
    assert unsigned == {"relu", "concat", "input"}
    assert not {name for name in ("add", "avg_pool", "flatten") if not calibration.signed(name)}
    residual, x = prepared("residual")
    assert [layer.name for layer in residual.layers if calibrate(residual, x).signed(layer.name)] == [
        "conv2", "shortcut_0", "head",
    ]  # fmt: skip


def test_a_signed_input_makes_pools_of_it_signed() -> None:
    graph = trace(nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)), (1, 4, 4))
    x = np.random.default_rng(1).integers(-128, 128, (9, 1, 4, 4)).astype(np.int8)
    calibration = calibrate(graph, x, input_scale=1 / 64, input_signed=True)
    assert all(calibration.signed(name) for name in ("input", "layer_0", "layer_1", "layer_2"))
    assert calibration.scale("input", 8) == 1 / 64


def test_the_input_keeps_its_scale_and_pools_share_that_of_their_source() -> None:
    graph, x = prepared("plain")
    calibration = calibrate(graph, x, input_scale=0.01)
    assert calibration.scale("input", 8) == 0.01
    for bits in BITS:
        assert calibration.scale("max_pool_1", bits) == calibration.scale("flatten", bits)
        assert (
            calibration.scale("flatten", bits) == calibration.scale("conv2", bits) == calibration.scale("fc1__in", bits)
        )
    changed = calibration.with_scale("flatten", 4, 0.5)
    assert changed.scale("conv2", 4) == 0.5
    assert changed.scale("conv2", 8) == calibration.scale("conv2", 8)
    assert changed.scale("fc1__in", 4) == calibration.scale("fc1__in", 4)
    assert calibration.scale("conv2", 4) != 0.5


@pytest.mark.parametrize("form", [Format(bits, signed) for bits in BITS for signed in (False, True)], ids=str)
def test_scales_are_within_one_percent_of_the_best_error(form: Format) -> None:
    values = np.random.default_rng(3).standard_normal(20_000)
    if not form.signed:
        values = np.maximum(values, 0)

    def error(scale: float) -> float:
        if form.binary:
            return float(((np.where(values >= 0, scale, -scale) - values) ** 2).mean())
        return float(((np.clip(np.rint(values / scale), form.qmin, form.qmax) * scale - values) ** 2).mean())

    top = np.abs(values).max() / form.qmax
    best = min(error(scale) for scale in top * np.geomspace(0.05, 1.2, 400))
    assert error(mse_scale(values, form)) <= 1.01 * best


def test_a_tensor_of_zeros_has_some_scale() -> None:
    for bits in BITS:
        assert mse_scale(np.zeros(10), Format(bits, True)) > 0


def test_calibration_is_deterministic_and_its_digest_sees_every_scale() -> None:
    graph, x = prepared("fire")
    calibration = calibrate(graph, x, seed=5)
    assert calibrate(graph, x, seed=5).digest() == calibration.digest()
    assert calibration.with_scale("concat", 2, 0.3).digest() != calibration.digest()
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again == calibration
    assert again.digest() == calibration.digest()


def test_scales_do_not_depend_on_the_number_of_threads() -> None:
    graph = trace(lenet5.build(0), lenet5.INPUT_SHAPE)
    x = np.random.default_rng(2).integers(0, 256, (100, *lenet5.INPUT_SHAPE)).astype(np.uint8)
    threads = torch.get_num_threads()
    digests = set()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        digests.add(calibrate(graph, x).digest())
    torch.set_num_threads(threads)
    assert len(digests) == 1


def test_values_that_are_not_finite_are_refused_by_tensor() -> None:
    graph, x = prepared("mlp")
    weight = np.full_like(graph.layers[0].weight, np.inf)
    huge = replace(graph, layers=(replace(graph.layers[0], weight=weight), *graph.layers[1:]))
    with pytest.raises(QuantError, match="tensor layer_0: is not finite"):
        calibrate(huge, x)


def test_wrong_images_and_scales_are_refused() -> None:
    graph, x = prepared("mlp")
    for bad in (x.astype(np.float32), x.astype(np.int8), x[:, :5], x[:0]):
        with pytest.raises(UsageError, match=r"calibration needs uint8 images of shape \(N, 9\)"):
            calibrate(graph, bad)
    with pytest.raises(UsageError, match="input_scale must be positive"):
        calibrate(graph, x, input_scale=0.0)
    calibration = calibrate(graph, x)
    with pytest.raises(QuantError, match="tensor other: was not calibrated"):
        calibration.scale("other", 8)
    with pytest.raises(QuantError, match="given, not chosen"):
        calibration.with_scale("input", 8, 0.5)
    for bits, scale in ((3, 0.5), (4, 0.0), (4, float("nan"))):
        with pytest.raises(QuantError, match="is not a scale"):
            calibration.with_scale("layer_0", bits, scale)
    with pytest.raises(UsageError, match="not a calibration"):
        Calibration.from_json({"scales": 3})


def test_lenet5_is_calibrated_in_less_than_two_seconds() -> None:
    graph = trace(lenet5.build(0), lenet5.INPUT_SHAPE)
    x = np.random.default_rng(0).integers(0, 256, (256, *lenet5.INPUT_SHAPE)).astype(np.uint8)
    seconds = []
    for _ in range(3):  # the best of three: other programs may hold the cores
        start = time.perf_counter()
        calibrate(graph, x)
        seconds.append(time.perf_counter() - start)
        if seconds[-1] < 2:
            break
    assert min(seconds) < 2, seconds
    assert torch.get_num_threads() >= 1
