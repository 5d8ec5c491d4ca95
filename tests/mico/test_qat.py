"""Training at low bits: the float imitation answers what the integers answer, gradients are LSQ's, training pays."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from random_models import random_model, random_scheme

from mico import models
from mico.data import Dataset, load
from mico.errors import UsageError
from mico.graph import Graph
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.fake import FakeQuantNet, fake_quantise
from mico.quant.integer import Format, IntegerModel
from mico.quant.lower import lower, weight_scale
from mico.quant.qat import finetune
from mico.quant.scheme import BITS, Scheme
from mico.trace import trace
from mico.train import to_input, train


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="module")
def network(digits: Dataset) -> tuple[Graph, Calibration]:
    """LeNet-5 after 250 steps on the digits, seed 0."""
    source = models.get("lenet5")
    recipe = dataclasses.replace(source.RECIPE, epochs=0, min_steps=250)
    graph = trace(train(source.build(0), digits, recipe, 0).model, source.INPUT_SHAPE, name="lenet5")
    return graph, calibrate(graph, digits.calibration)


def imitate(graph: Graph, model: IntegerModel, scales: dict[str, NDArray[np.float64]], x: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return FakeQuantNet(graph, model, scales)(x).numpy()


def real_logits(model: IntegerModel, images: np.ndarray) -> np.ndarray:
    return model.run(images) * model.tensors[model.output].scale


@pytest.mark.parametrize("seed", range(40))
def test_imitation_of_a_random_network_answers_as_its_integers(seed: int) -> None:
    """Any structure, any bits. A value on the edge of two integers may fall to either side in float: 5 of 64 inputs may
    differ by more than rounding."""
    module, shape = random_model(seed)
    graph = trace(module, shape, name=f"random{seed}")
    signed = seed % 2 == 1
    low, high, dtype = (-128, 128, np.int8) if signed else (0, 256, np.uint8)
    images = np.random.default_rng(seed).integers(low, high, (64, *shape)).astype(dtype)
    scale = 1 / 128 if signed else 1 / 255
    calibration = calibrate(graph, images, input_scale=scale, input_signed=signed)
    scheme = random_scheme(graph, seed)
    model = lower(graph, scheme, calibration)
    scales = {
        layer.name: weight_scale(layer.weight, scheme[layer.name].weight)
        for layer in graph.quantisable
        if layer.weight is not None
    }
    imitation = imitate(graph, model, scales, torch.tensor(images).float() * scale)
    exact = real_logits(model, images)
    step = model.tensors[model.output].scale
    close = np.abs(imitation - exact).max(axis=1) <= 0.51 * step + 1e-4 * np.abs(exact).max()
    assert close.sum() >= 59


def test_levels_round_half_up_and_clamp_as_the_integers_do() -> None:
    x = torch.tensor([-5.0, -0.75, -0.25, 0.0, 0.25, 0.74, 0.75, 1.25, 9.0])
    assert (fake_quantise(x, torch.tensor(0.5), Format(2, True)) / 0.5).tolist() == [-2, -1, 0, 0, 1, 1, 1, 1, 1]
    assert (fake_quantise(x, torch.tensor(0.5), Format(2, False)) / 0.5).tolist() == [0, 0, 0, 0, 1, 1, 2, 3, 3]
    assert (fake_quantise(x, torch.tensor(0.5), Format(1, False)) / 0.5).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert (fake_quantise(x, torch.tensor(0.5), Format(1, True)) / 0.5).tolist() == [-1, -1, -1, 1, 1, 1, 1, 1, 1]


def test_gradients_are_those_of_lsq() -> None:
    """Esser et al., equations 3 and 5: straight through inside, none outside; round(v) - v inside, the end outside."""
    x = torch.tensor([-3.0, -0.6, 0.3, 2.2, 8.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    upstream = torch.tensor([1.0, 2.0, 3.0, 5.0, 7.0])
    (fake_quantise(x, scale, Format(4, True)) * upstream).sum().backward()
    assert x.grad is not None
    assert scale.grad is not None
    assert x.grad.tolist() == [1.0, 2.0, 3.0, 5.0, 0.0]
    by_hand = 1 * (-6 + 6) + 2 * (-1 + 1.2) + 3 * (1 - 0.6) + 5 * (4 - 4.4) + 7 * 7
    assert float(scale.grad) == pytest.approx(by_hand / math.sqrt(5 * 7), rel=1e-5)


def test_scale_gradient_of_every_channel_is_its_own() -> None:
    weight = torch.tensor([[9.0, 9.0], [0.1, 0.2]], requires_grad=True)
    scale = torch.ones(2, 1, requires_grad=True)
    fake_quantise(weight, scale, Format(2, True)).sum().backward()
    assert scale.grad is not None
    assert scale.grad[:, 0].tolist() == pytest.approx([2 / math.sqrt(2), -0.3 / math.sqrt(2)])


def test_sign_passes_gradients_near_zero_only_and_its_scale_follows_the_signs() -> None:
    x = torch.tensor([-9.0, -0.5, 0.5, 9.0], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    (fake_quantise(x, scale, Format(1, True)) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad is not None
    assert scale.grad is not None
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 0.0]
    assert float(scale.grad) == pytest.approx((-1 - 2 + 3 + 4) / math.sqrt(4))


@pytest.mark.parametrize("bits", [2, 1])
def test_training_pays_and_its_integers_keep_the_accuracy(
    digits: Dataset, network: tuple[Graph, Calibration], bits: int
) -> None:
    """100 steps, seed 1; validation and test images together: integers within 2 of 600 of their imitation."""
    graph, calibration = network
    scheme = Scheme.uniform(graph.layer_names, bits)
    images = np.concatenate([digits.val.images, digits.test.images])
    labels = np.concatenate([digits.val.labels, digits.test.labels])
    before = float(np.mean(lower(graph, scheme, calibration).run(images).argmax(1) == labels))
    result = finetune(graph, scheme, calibration, digits, steps=100, seed=1)
    answers = result.model.run(images).argmax(1)
    after = float(np.mean(answers == labels))
    assert after > before + 0.05
    assert after > {2: 0.9, 1: 0.8}[bits]
    imitation = imitate(result.graph, result.model, result.weight_scales, to_input(images)).argmax(1)
    assert abs(float(np.mean(imitation == labels)) - after) <= 2 / 600


def test_result_lowers_to_its_own_model_and_carries_trained_scales(
    digits: Dataset, network: tuple[Graph, Calibration]
) -> None:
    """Mixed bits, 5 steps, seed 2."""
    graph, calibration = network
    scheme = Scheme.from_vector(graph.layer_names, [1, 2, 4, 8, 2, 2, 1, 2, 4, 8])
    result = finetune(graph, scheme, calibration, digits, steps=5, seed=2)
    again = lower(result.graph, scheme, result.calibration, result.weight_scales)
    assert again.digest() == result.model.digest()
    assert (result.steps, result.model.ops[0].name) == (5, "conv1__in")
    for tensor, bits in (("conv1", 1), ("conv2", 2), ("fc1", 4), ("fc2", 8)):
        assert result.calibration.scale(tensor, bits) != calibration.scale(tensor, bits)
        assert result.calibration.scale(tensor, 8 if bits != 8 else 4) == calibration.scale(
            tensor, 8 if bits != 8 else 4
        )
    assert result.calibration.scale("input", 8) == calibration.scale("input", 8)
    for layer in result.graph.quantisable:
        start = graph[layer.name].weight
        assert layer.weight is not None
        assert start is not None
        assert not np.array_equal(layer.weight, start)
        assert result.weight_scales[layer.name].shape == (len(start),)
        assert np.isfinite(layer.weight).all()


def test_a_seed_decides_the_result_whatever_the_threads(digits: Dataset, network: tuple[Graph, Calibration]) -> None:
    graph, calibration = network
    scheme = Scheme.uniform(graph.layer_names, 2)
    threads = torch.get_num_threads()
    digests = []
    try:
        for seed, count in ((3, 1), (3, 2), (4, 1)):
            torch.set_num_threads(count)
            digests.append(finetune(graph, scheme, calibration, digits, steps=10, seed=seed).model.digest())
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert digests[0] == digests[1] != digests[2]


def test_impossible_trainings_are_refused(digits: Dataset, network: tuple[Graph, Calibration]) -> None:
    graph, calibration = network
    scheme = Scheme.uniform(graph.layer_names, 2)
    with pytest.raises(UsageError, match="at least one step"):
        finetune(graph, scheme, calibration, digits, steps=0)
    other = calibrate(graph, digits.calibration, input_scale=1 / 128)
    with pytest.raises(UsageError, match="pixels"):
        finetune(graph, scheme, other, digits, steps=1)


def test_every_width_can_be_trained(digits: Dataset, network: tuple[Graph, Calibration]) -> None:
    """Each of the 16 pairs in every layer, 2 steps, seed 5."""
    graph, calibration = network
    for weight in BITS:
        for activation in BITS:
            scheme = Scheme.uniform(graph.layer_names, weight, activation)
            result = finetune(graph, scheme, calibration, digits, steps=2, seed=5, batch_size=16)
            assert result.model.run(digits.val.images[:3]).shape == (3, 10)
