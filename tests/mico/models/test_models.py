"""The zoo: names, shapes, sizes, recipes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mico import models
from mico.errors import UsageError
from mico.models.recipe import Recipe
from mico.quant.calibrate import calibrate
from mico.quant.fake import FakeQuantNet
from mico.quant.integer import IntegerModel
from mico.quant.lower import lower, weight_scale
from mico.quant.scheme import LayerBits, Scheme
from mico.trace import trace


@pytest.mark.parametrize("name", models.NAMES)
def test_every_network_builds_from_a_seed_and_can_be_traced(name: str) -> None:
    source = models.get(name)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (source.build(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected), "build() changed torch's global generator"
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)
    assert trace(source.build(1), source.INPUT_SHAPE).quantisable


def test_lenet5_is_the_network_of_its_description() -> None:
    graph = trace(models.get("lenet5").build(0), (1, 28, 28))
    shapes = {layer.name: layer.weight.shape for layer in graph.quantisable if layer.weight is not None}
    assert shapes == {
        "conv1": (6, 1, 5, 5),
        "conv2": (16, 6, 5, 5),
        "fc1": (120, 400),
        "fc2": (84, 120),
        "fc3": (10, 84),
    }
    assert graph.macs == 416_520
    assert [layer.relu for layer in graph.quantisable] == [True, True, True, True, False]


@pytest.mark.parametrize("name", models.NAMES)
def test_sizes_in_the_description_are_those_of_the_network(name: str) -> None:
    source = models.get(name)
    module = source.build(0)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    macs = trace(module, source.INPUT_SHAPE).macs
    assert f"{parameters:,} parameters, {macs:,} MACs" in (type(module).__doc__ or "").replace("\n    ", " ")


SHALLOW_NAMES = ("cmsiscnn", "resnet5", "mobilenet5", "resnet8", "vgg7", "dscnn")
DEEP_NAMES = ("squeezenet", "mobilenetv2")


@pytest.mark.parametrize("name", SHALLOW_NAMES)
def test_imitation_of_random_weights_answers_as_their_integers_at_mixed_bits(name: str) -> None:
    """Weights and images of seed 3, the scheme drawn from the widths 8, 4, 2 by seed 3. A value on the edge of two
    integers may fall to either side in float: 2 of 24 inputs may differ by more than rounding."""
    source = models.get(name)
    rng = np.random.default_rng(3)
    graph = trace(settled(source.build(3), source.INPUT_SHAPE), source.INPUT_SHAPE, name=name)
    images = rng.integers(0, 256, (24, *source.INPUT_SHAPE), dtype=np.uint8)
    calibration = calibrate(graph, images)
    bits = {layer: LayerBits(*map(int, rng.choice([8, 4, 2], 2))) for layer in graph.layer_names}
    model = lower(graph, Scheme(bits), calibration)
    scales = {
        layer.name: weight_scale(layer.weight, bits[layer.name].weight)
        for layer in graph.quantisable
        if layer.weight is not None
    }
    with torch.inference_mode():
        imitation = FakeQuantNet(graph, model, scales)(torch.tensor(images).float() / 255).numpy()
    step = model.tensors[model.output].scale
    exact = model.run(images) * step
    close = np.abs(imitation - exact).max(axis=1) <= 0.51 * step + 1e-4 * np.abs(exact).max()
    assert close.sum() >= 22
    assert np.unique(exact, axis=0).shape[0] > 12, "the answers do not depend on the image"


@pytest.mark.parametrize("name", SHALLOW_NAMES)
def test_eight_bits_keep_the_answers_of_random_weights(name: str) -> None:
    """Seed 4: integers and float network agree to 10 % of the logits' spread."""
    model, expected, images = at_eight_bits(name, 32)
    error = model.run(images) * model.tensors[model.output].scale - expected
    assert np.sqrt(np.mean(error**2)) < 0.1 * expected.std()


@pytest.mark.parametrize("name", DEEP_NAMES)
def test_eight_bits_keep_the_order_of_the_answers_over_many_layers(name: str) -> None:
    """Seed 4: 26 and 53 layers add up their rounding; logits of integers and float network still correlate by 0.95."""
    model, expected, images = at_eight_bits(name, 8)
    assert np.corrcoef(model.run(images).ravel(), expected.ravel())[0, 1] > 0.95


def at_eight_bits(name: str, count: int) -> tuple[IntegerModel, NDArray[np.float32], NDArray[np.uint8]]:
    """Integers of random weights, the float network's logits, and *count* random images, all of seed 4."""
    source = models.get(name)
    module = settled(source.build(4), source.INPUT_SHAPE)
    graph = trace(module, source.INPUT_SHAPE, name=name)
    images = np.random.default_rng(4).integers(0, 256, (count, *source.INPUT_SHAPE), dtype=np.uint8)
    model = lower(graph, Scheme.uniform(graph.layer_names, 8), calibrate(graph, images))
    with torch.inference_mode():
        expected = module(torch.tensor(images).float() / 255).numpy()
    return model, expected, images


def settled(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Batch-norm statistics of random images, so that folding has something to fold."""
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.momentum = None  # the mean of all batches, not a running one
    with torch.no_grad():
        module.train()(torch.rand((64, *shape), generator=torch.Generator().manual_seed(5)))
    return module.eval()


def test_full_vgg7_has_the_published_channels() -> None:
    graph = trace(models.get("vgg7-full").build(0), (3, 32, 32))
    channels = [layer.weight.shape[0] for layer in graph.quantisable if layer.weight is not None]
    assert channels == [128, 128, 256, 256, 512, 512, 1024, 10]


def test_unknown_network_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(UsageError, match="lenet5"):
        models.get("lenet6")


def test_recipe_gives_small_datasets_more_epochs() -> None:
    recipe = Recipe(epochs=3, min_steps=100, batch_size=10)
    assert recipe.steps(1000) == 300
    assert recipe.steps(100) == 100
    assert recipe.steps(5) == 100


def test_learning_rate_rises_to_its_peak_and_falls_to_nearly_zero() -> None:
    recipe = Recipe(epochs=1, lr=0.5, warmup=0.25)
    rates = [recipe.lr_at(step, 100) for step in range(100)]
    assert max(rates) == rates[24] == 0.5
    assert rates[:25] == sorted(rates[:25])
    assert rates[24:] == sorted(rates[24:], reverse=True)
    assert 0 < rates[0] <= 0.02
    assert rates[-1] < 0.001
