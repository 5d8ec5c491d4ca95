"""Weights that come with the project: used for what they were trained for, refused where changed. Seed 0."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from hil.networks import load_network
from mico import models, shipped
from mico.data import Dataset, Split, load
from mico.data.dataset import spread
from mico.errors import MicoError, UsageError
from mico.models import lenet5
from mico.models.recipe import Recipe
from mico.train import accuracy

ENTRIES = sorted(shipped.FOLDER.glob("*.json"))
NAMES_OF_DATA = {"mnist": "mnist", "CIFAR-10 (JPEG)": "cifar10", "CIFAR-10": "cifar10", "digits": "digits"}


def _is_small(path: Path) -> bool:
    """Whether it runs on the whole test split within seconds."""
    return path.stem in ("lenet5-mnist", "resnet5-cifar-10-jpeg")


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dataset:
    """The digits, and 20 steps for LeNet-5 and a cache of the test's own."""
    monkeypatch.setattr(lenet5, "RECIPE", Recipe(epochs=0, min_steps=20, batch_size=32))
    monkeypatch.setenv("MICO_CACHE", str(tmp_path / "cache"))
    return load("digits")


def test_kept_weights_are_found_again_with_what_made_them(brief: Dataset, tmp_path: Path) -> None:
    note = shipped.keep("lenet5", brief, 3, "the command", tmp_path)
    found = shipped.find("lenet5", brief, 3, folder=tmp_path)
    assert found is not None
    assert (note["command"], note["seed"], note["dataset"], note["steps"]) == ("the command", 3, "digits", 20)
    assert accuracy(found.model, brief.val) == found.accuracy_val == note["accuracy_val"]
    assert accuracy(found.model, brief.test) == note["accuracy_test"]


def test_another_seed_recipe_or_dataset_is_not_served(brief: Dataset, tmp_path: Path) -> None:
    shipped.keep("lenet5", brief, 3, "the command", tmp_path)
    assert shipped.find("lenet5", brief, 4, folder=tmp_path) is None
    assert shipped.find("lenet5", brief, 3, Recipe(epochs=1), folder=tmp_path) is None
    fields = {k: getattr(brief, k) for k in ("name", "source", "train", "val", "calibration", "classes")}
    labels = np.roll(brief.test.labels, 1)
    other = Dataset(**fields, test=Split(brief.test.images, labels))
    assert shipped.find("lenet5", other, 3, folder=tmp_path) is None


@pytest.mark.parametrize("damage", [lambda b: b[:-8] + bytes(8), lambda b: b[:-100], lambda _: b""])
def test_changed_weights_are_an_error_and_not_silently_trained_again(
    brief: Dataset, tmp_path: Path, damage: object
) -> None:
    shipped.keep("lenet5", brief, 3, "the command", tmp_path)
    path = tmp_path / "lenet5-digits.safetensors"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(UsageError, match="checksum") as caught:
        shipped.find("lenet5", brief, 3, folder=tmp_path)
    assert path.name in caught.value.where


def test_weights_too_large_for_the_repository_are_not_kept(
    brief: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "LARGEST_BYTES", 200_000)
    with pytest.raises(UsageError, match="too many"):
        shipped.keep("lenet5", brief, 3, "the command", tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_every_entry_of_the_repository_is_small_and_of_a_network_of_the_zoo(path: Path) -> None:
    note = json.loads(path.read_text())
    weights = path.with_suffix(".safetensors")
    assert weights.stat().st_size <= shipped.LARGEST_BYTES
    assert note["recipe"] == models.get(note["network"]).RECIPE.to_json(), "the recipe changed: train it again"
    assert note["command"].startswith(f"python -m mico.shipped {note['network']} ")


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_every_entry_of_the_repository_is_as_good_as_it_states_on_some_images(path: Path) -> None:
    """On 1,000 of the test images within four standard deviations of a draw of so many."""
    note, module, test = _used(path)
    chosen = spread(len(test), 1000)
    stated = note["accuracy_test"]
    left_over = (len(test) - len(chosen)) / (len(test) - 1)
    deviation = math.sqrt(stated * (1 - stated) / len(chosen) * left_over)
    found = accuracy(module, Split(test.images[chosen], test.labels[chosen]))
    assert found == pytest.approx(stated, abs=4 * deviation)


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[] if _is_small(path) else [pytest.mark.slow]) for path in ENTRIES]
)
def test_every_entry_of_the_repository_has_the_accuracy_that_it_states(path: Path) -> None:
    note, module, test = _used(path)
    assert accuracy(module, test) == pytest.approx(note["accuracy_test"], abs=5e-4)


def _used(path: Path) -> tuple[dict[str, Any], nn.Module, Split]:
    """The entry, its network as the command would take it, and the test images."""
    note = json.loads(path.read_text())
    try:
        dataset = load(NAMES_OF_DATA[note["dataset"]])
    except MicoError as error:
        pytest.skip(f"needs {note['dataset']}: {error}")
    if dataset.name != note["dataset"]:
        pytest.skip(f"needs {note['dataset']}, there is {dataset.name}")
    network = load_network(note["network"], dataset, seed=note["seed"], progress=_must_not_train)
    return note, network.module, dataset.test


def _must_not_train(*_: object) -> None:
    raise AssertionError("it was trained")
