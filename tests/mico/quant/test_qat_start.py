"""Where training starts: at the refined integers. Seeds are named."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import build

from mico import models
from mico.data import Dataset, load
from mico.graph import Graph
from mico.models.recipe import Recipe
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.evaluate import Evaluator, Quantised
from mico.quant.lower import lower
from mico.quant.prepare import prepare
from mico.quant.qat import finetune, start_at
from mico.quant.scheme import BITS, LayerBits, Scheme
from mico.trace import trace
from mico.train import train


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="module")
def trained(digits: Dataset) -> tuple[Graph, Calibration]:
    """LeNet-5 after 250 steps on the digits, seed 0, refined."""
    source = models.get("lenet5")
    recipe = dataclasses.replace(source.RECIPE, epochs=0, min_steps=250)
    graph = trace(train(source.build(0), digits, recipe, 0).model, source.INPUT_SHAPE, name="lenet5")
    return prepare(graph, digits.calibration)


@pytest.mark.parametrize("name", ["residual", "separable"])
def test_weights_start_where_they_round_to_the_refined_integers(name: str) -> None:
    """Every pair of bits in every layer; images of seed 0."""
    graph = trace(*build(name))
    calibration = prepare(graph, np.random.default_rng(0).integers(0, 256, (60, *graph.input_shape)).astype(np.uint8))[
        1
    ]
    plain = dataclasses.replace(calibration, refined={})
    for weight in BITS:
        for activation in BITS:
            scheme = Scheme.uniform(graph.layer_names, weight, activation)
            started, scales = start_at(graph, scheme, calibration, {})
            expected, model = lower(graph, scheme, calibration), lower(started, scheme, plain, scales)
            for a, b in zip(model.ops, expected.ops, strict=True):
                if a.weight is not None and a.bias is not None and b.weight is not None and b.bias is not None:
                    assert np.array_equal(a.weight, b.weight)
                    assert np.allclose(a.bias, b.bias, rtol=1e-6, atol=1)  # a Graph's biases are float32


def test_weights_move_no_further_than_needed_and_given_scales_leave_them() -> None:
    graph = trace(*build("mlp"))
    calibration = prepare(graph, np.random.default_rng(1).integers(0, 256, (60, 9)).astype(np.uint8))[1]
    scheme = Scheme({"layer_0": LayerBits(4, 4), "layer_2": LayerBits(2, 4)})
    started, scales = start_at(graph, scheme, calibration, {"layer_2": np.full(3, 0.5)})
    assert started["layer_2"] is graph["layer_2"]
    assert scales["layer_2"].tolist() == [0.5] * 3
    before, after = graph["layer_0"].weight, started["layer_0"].weight
    assert before is not None
    assert after is not None
    refined = calibration.refined["layer_0"]
    steps = np.abs(after - before) / refined.scales[4, 4][:, None]
    inside = np.abs(before / refined.scales[4, 4][:, None] - refined.integers[4]) < 0.45
    assert (steps[inside] == 0).all()
    assert inside.mean() > 0.3


@pytest.mark.parametrize("bits", [2, 1])
def test_training_starts_better_and_ends_well(digits: Dataset, trained: tuple[Graph, Calibration], bits: int) -> None:
    """100 steps, seed 1, validation and test images together; the trained scales bring no refined weights along."""
    graph, calibration = trained
    scheme = Scheme.uniform(graph.layer_names, bits)
    images = np.concatenate([digits.val.images, digits.test.images])
    labels = np.concatenate([digits.val.labels, digits.test.labels])

    def accuracy(model: object) -> float:
        return float(np.mean(model.run(images).argmax(1) == labels))  # type: ignore[attr-defined]

    plain = accuracy(lower(graph, scheme, calibrate(graph, digits.calibration)))
    before = accuracy(lower(graph, scheme, calibration))
    result = finetune(graph, scheme, calibration, digits, steps=100, seed=1)
    assert before > plain + 0.05
    assert accuracy(result.model) > {2: 0.93, 1: 0.85}[bits]
    assert result.calibration.refined == {}
    again = lower(result.graph, scheme, result.calibration, result.weight_scales)
    assert again.digest() == result.model.digest()


def briefly_trained(digits: Dataset, trained: tuple[Graph, Calibration], folder: Path, **change: Any) -> Quantised:
    """2 bits everywhere after 20 steps, seed 0, of a recipe with *change*."""
    graph, calibration = trained
    recipe = dataclasses.replace(Recipe(epochs=0, min_steps=400, batch_size=32), **change)
    return Evaluator(graph, calibration, digits, recipe, 0, folder).quantise(Scheme.uniform(graph.layer_names, 2))


def test_evaluator_mirrors_images_where_the_recipe_does(
    digits: Dataset, trained: tuple[Graph, Calibration], tmp_path: Path
) -> None:
    digests = set()
    for flip in (False, True):
        quantised = briefly_trained(digits, trained, tmp_path, flip=flip)
        assert not quantised.cached
        digests.add(quantised.model.digest())
    assert len(digests) == 2


def test_evaluator_shifts_images_by_a_pixel_where_the_recipe_shifts_them(
    digits: Dataset, trained: tuple[Graph, Calibration], tmp_path: Path
) -> None:
    """A recipe's two pixels are one here, and the same training."""
    graph, calibration = trained
    none, one, two = (briefly_trained(digits, trained, tmp_path, shift=shift) for shift in (0, 1, 2))
    assert [none.cached, one.cached, two.cached] == [False, False, True]
    assert none.model.digest() != one.model.digest()
    for made, shift in ((none, 0), (one, 1)):
        scheme = Scheme.uniform(graph.layer_names, 2)
        expected = finetune(graph, scheme, calibration, digits, steps=20, batch_size=32, shift=shift)
        assert made.model.digest() == expected.model.digest()


def test_full_training_at_1_bit_everywhere_starts_at_the_nearest_integers(
    digits: Dataset, trained: tuple[Graph, Calibration], tmp_path: Path
) -> None:
    """2 steps short, 20 full, seed 0; an entry of the cache is of the start that its training had."""
    graph, calibration = trained
    plain = dataclasses.replace(calibration, refined={})
    recipe = Recipe(epochs=0, min_steps=40, batch_size=32)
    evaluator, other = (Evaluator(graph, start, digits, recipe, 0, tmp_path) for start in (calibration, plain))
    binary = Scheme.uniform(graph.layer_names, 1)
    mixed = Scheme({**binary, "conv2": LayerBits(1, 2)})
    for scheme, full, start in ((binary, True, plain), (binary, False, calibration), (mixed, True, calibration)):
        steps = evaluator.steps(full)
        expected = finetune(graph, scheme, start, digits, steps=steps, seed=0, batch_size=recipe.batch_size, shift=0)
        assert evaluator.quantise(scheme, full).model.digest() == expected.model.digest()
        assert other.quantise(scheme, full).cached == (start is plain)
