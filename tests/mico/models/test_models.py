"""The zoo: names, shapes, sizes, recipes."""

from __future__ import annotations

import pytest
import torch

from mico import models
from mico.errors import UsageError
from mico.models.recipe import Recipe
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
