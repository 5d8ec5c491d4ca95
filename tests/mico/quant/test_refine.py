"""Refined weights: closer outputs, no bias, the same whatever the other layers' bits are. Seeds are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import build
from random_models import random_model, random_scheme

from mico import data, models, shipped
from mico.errors import MicoError, UsageError
from mico.evaluate import evaluate
from mico.graph import Graph
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.integer import IntegerModel
from mico.quant.lower import lower
from mico.quant.prepare import prepare
from mico.quant.scheme import BITS, LayerBits, Scheme
from mico.trace import trace


def images(shape: tuple[int, ...], n: int = 200, seed: int = 0) -> np.ndarray:
    """Smooth, so that neighbours have to do with each other."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, *shape)).astype(np.float64)
    for axis in range(1, x.ndim):
        x = (x + np.roll(x, 1, axis) + np.roll(x, 2, axis)) / 3
    return x.astype(np.uint8)


def logits(model: IntegerModel, x: np.ndarray) -> np.ndarray:
    return model.run(x) * model.tensors[model.output].scale


def float_logits(graph: Graph, x: np.ndarray) -> np.ndarray:
    return evaluate(graph, torch.from_numpy(x / 255))[graph.output].numpy().reshape(len(x), -1)


@pytest.mark.parametrize("name", ["plain", "residual", "separable", "fire"])
def test_outputs_of_random_networks_are_closer_at_low_bits(name: str) -> None:
    """Other images than those of the calibration; seed 0."""
    graph = trace(*build(name))
    x, other = images(graph.input_shape), images(graph.input_shape, seed=1)
    plain, prepared = calibrate(graph, x), prepare(graph, x)
    expected = float_logits(graph, other)
    errors = {True: 0.0, False: 0.0}
    for bits in ((4, 8), (4, 4), (2, 8)):
        scheme = Scheme.uniform(graph.layer_names, *bits)
        for refined, model in (
            (False, lower(graph, scheme, plain)), (True, lower(prepared.graph, scheme, prepared.calibration)),
        ):  # fmt: skip
            errors[refined] += float(((logits(model, other) - expected) ** 2).mean() / expected.var())
    assert errors[True] < 0.7 * errors[False]


def test_mean_and_spread_of_an_output_are_those_of_the_float_layer() -> None:
    """One convolution, so that nothing before it moves them; calibration images, seed 2. Padding counts as nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        graph = trace(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1)).eval(), (3, 8, 8))
    x = images((3, 8, 8), 128, seed=2)
    calibration = prepare(graph, x).calibration
    expected = float_logits(graph, x).reshape(len(x), 8, -1)
    for weight, activation in ((2, 8), (4, 2), (1, 8)):
        scheme = Scheme.uniform(graph.layer_names, weight, activation)
        after = logits(lower(graph, scheme, calibration), x).reshape(expected.shape)
        accumulator = calibration.refined["layer_0"].scales[weight, activation] * calibration.scale("input", activation)
        shift = np.abs(after.mean((0, 2)) - expected.mean((0, 2)))
        assert (shift <= accumulator).all()  # biases are whole numbers of that
        assert np.allclose(after.std((0, 2)), expected.std((0, 2)), rtol=0.05)


def test_integers_of_a_layer_do_not_depend_on_the_bits_of_others() -> None:
    """Two schemes that agree in one layer, and in the formats around it; seed 3."""
    graph = trace(*build("plain"))
    calibration = prepare(graph, images(graph.input_shape)).calibration
    one = {name: LayerBits(4, 8) for name in graph.layer_names}
    other = {**one, "conv1": LayerBits(2, 4), "fc2": LayerBits(1, 8)}
    first, second = (lower(graph, Scheme(bits), calibration) for bits in (one, other))
    for name in ("conv2", "fc1"):
        a, b = ({op.name: op for op in model.ops}[name] for model in (first, second))
        assert a.weight is not None
        assert b.weight is not None
        assert a.bias is not None
        assert b.bias is not None
        assert a.requant is not None
        assert b.requant is not None
        assert np.array_equal(a.weight, b.weight)
        assert np.array_equal(a.bias, b.bias)
        assert np.array_equal(a.requant.multiplier, b.requant.multiplier)


@pytest.mark.parametrize("seed", range(8))
def test_any_network_is_lowered_with_refined_weights_at_any_bits(seed: int) -> None:
    """``lower`` checks every contract, overflow included; a bias of its own for layers that had none."""
    module, shape = random_model(seed)
    graph = trace(module, shape, name=f"random{seed}")
    signed = seed % 2 == 1
    low, high, dtype = (-128, 128, np.int8) if signed else (0, 256, np.uint8)
    x = np.random.default_rng(seed).integers(low, high, (20, *shape)).astype(dtype)
    prepared = prepare(graph, x, input_scale=1 / 128 if signed else 1 / 255, input_signed=signed)
    model = lower(prepared.graph, random_scheme(graph, seed), prepared.calibration)
    assert all(op.bias is not None for op in model.ops if op.weight is not None)
    assert np.isfinite(model.run(x)).all()


def test_eight_bit_weights_are_rounded_to_the_nearest() -> None:
    for name in ("plain", "fire"):
        graph = trace(*build(name))
        x = images(graph.input_shape, 50)
        scheme = Scheme.uniform(graph.layer_names, 8)
        plain, refined = (lower(graph, scheme, c) for c in (calibrate(graph, x), prepare(graph, x).calibration))
        for a, b in zip(plain.ops, refined.ops, strict=True):
            assert (a.weight is None and b.weight is None) or np.array_equal(a.weight, b.weight)


def test_given_scales_take_the_place_of_refined_weights() -> None:
    graph = trace(*build("mlp"))
    calibration = prepare(graph, images(graph.input_shape)).calibration
    plain = calibrate(graph, images(graph.input_shape))
    scheme, scales = (
        Scheme.uniform(graph.layer_names, 2),
        {layer.name: np.full(len(layer.weight), 0.3) for layer in graph.quantisable},
    )
    assert lower(graph, scheme, calibration, scales).digest() == lower(graph, scheme, plain, scales).digest()
    assert lower(graph, scheme, calibration).digest() != lower(graph, scheme, plain).digest()


def test_preparation_is_deterministic_and_its_digest_sees_refined_weights() -> None:
    graph = trace(*build("residual"))
    x = images(graph.input_shape)
    calibration = prepare(graph, x, seed=5).calibration
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert prepare(graph, x, seed=5).calibration.digest() == calibration.digest()
    finally:
        torch.set_num_threads(threads)
    assert calibrate(graph, x, seed=5).digest() != calibration.digest()
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again.digest() == calibration.digest()
    scheme = Scheme.uniform(graph.layer_names, 2)
    assert lower(graph, scheme, again).digest() == lower(graph, scheme, calibration).digest()
    broken = calibration.to_json()
    broken["refined"]["head"]["integers 2"] = [[3, 3], "AAAA"]
    with pytest.raises(UsageError, match="no refined weights"):
        Calibration.from_json(broken)


def test_every_pair_has_its_integers() -> None:
    graph = trace(*build("separable"))
    refined = prepare(graph, images(graph.input_shape)).calibration.refined
    assert set(refined) == set(graph.layer_names)
    for layer in graph.quantisable:
        item = refined[layer.name]
        assert set(item.integers) == set(BITS)
        assert set(item.scales) == set(item.shifts) == {(w, a) for w in BITS for a in BITS}
        assert all(array.shape == layer.weight.shape for array in item.integers.values())


@pytest.mark.slow
@pytest.mark.parametrize(("network", "dataset", "weight", "activation", "points"), [
    ("lenet5", "mnist", 2, 8, 0.6), ("lenet5", "mnist", 2, 2, 2.0), ("resnet8", "cifar10", 4, 4, 1.5),
])  # fmt: skip
def test_trained_networks_keep_their_accuracy_without_training(
    network: str, dataset: str, weight: int, activation: int, points: float
) -> None:
    """Weights of the repository, every second validation image."""
    try:
        content = data.load(dataset)
    except MicoError as error:
        pytest.skip(f"needs {dataset}: {error}")
    found = shipped.find(network, content)
    assert found is not None
    graph, calibration = prepare(trace(found.model, models.get(network).INPUT_SHAPE), content.calibration)
    model = lower(graph, Scheme.uniform(graph.layer_names, weight, activation), calibration)
    right = model.run(content.val.images[::2]).argmax(axis=1) == content.val.labels[::2]
    assert 100 * right.mean() >= 100 * found.accuracy_val - points
