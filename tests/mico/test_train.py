"""Training: deterministic, blind to the test split, cached whole or not at all. Seeds are named at every call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mico import models
from mico.checkpoint import Checkpoint
from mico.data import Dataset, Split, load, mnist
from mico.errors import MeasurementError, UsageError
from mico.models.recipe import Recipe
from mico.train import accuracy, batches, to_input, train, trained

BRIEF = Recipe(epochs=0, min_steps=20, batch_size=32, lr=2e-3)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def same(one: nn.Module, two: nn.Module) -> bool:
    weights, others = one.state_dict(), two.state_dict()
    return all(torch.equal(weights[key], others[key]) for key in weights)


def test_same_seed_gives_the_same_weights_and_another_seed_others(digits: Dataset) -> None:
    runs = [train(models.get("lenet5").build(1), digits, BRIEF, seed).model for seed in (1, 1, 2)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_training_neither_reads_the_test_split_nor_fits_the_validation_split(digits: Dataset) -> None:
    blind = dataclasses.replace(
        digits,
        val=Split(digits.val.images, 9 - digits.val.labels),
        test=Split(np.zeros_like(digits.test.images), 9 - digits.test.labels),
    )
    with_all, without = (train(models.get("lenet5").build(1), data, BRIEF, 3).model for data in (digits, blind))
    assert same(with_all, without)


def test_lenet5_learns_the_digits(digits: Dataset) -> None:
    """300 of its recipe's 2,000 steps, seed 0."""
    recipe = dataclasses.replace(models.get("lenet5").RECIPE, epochs=0, min_steps=300)
    seen: list[tuple[int, int]] = []
    result = train(models.get("lenet5").build(0), digits, recipe, 0, lambda *at: seen.append(at[:2]))
    assert result.steps == 300
    assert seen == [(step, 300) for step in range(50, 301, 50)]
    assert result.accuracy_val > 0.93
    assert accuracy(result.model, digits.test) > 0.93


def test_accuracy_counts_every_image_once(digits: Dataset) -> None:
    class Always3(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[3].expand(len(x), 10)

    expected = float(np.mean(digits.test.labels == 3))
    assert accuracy(Always3(), digits.test, batch_size=7) == pytest.approx(expected)


def test_batches_hold_every_image_once_an_epoch_shifted_by_at_most_the_given_pixels(digits: Dataset) -> None:
    split = Split(digits.train.images[:60], digits.train.labels[:60])
    stream = batches(split, 20, 2, np.random.default_rng(4))
    padded = np.pad(split.images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    found, offsets = [], set()
    for _ in range(3):
        x, y = next(stream)
        pixels = torch.round(x * 255).to(torch.uint8).numpy()
        for image, label in zip(pixels, y.tolist(), strict=True):
            matches = [
                (index, dy, dx)
                for index in range(60)
                for dy in range(5)
                for dx in range(5)
                if np.array_equal(padded[index, :, dy : dy + 28, dx : dx + 28], image)
            ]
            assert len(matches) == 1
            assert split.labels[matches[0][0]] == label
            found.append(matches[0][0])
            offsets.add(matches[0][1:])
    assert sorted(found) == list(range(60))
    assert len(offsets) > 10


def test_flipped_batches_hold_about_half_of_the_images_mirrored_and_no_others() -> None:
    images = np.random.default_rng(6).integers(0, 256, (400, 3, 8, 8), dtype=np.uint8)
    x, _ = next(batches(Split(images, np.arange(400)), 400, 0, np.random.default_rng(7), flip=True))
    order = np.random.default_rng(7).permutation(400)
    pixels = torch.round(x * 255).to(torch.uint8).numpy()
    plain = (pixels == images[order]).all((1, 2, 3))
    mirrored = (pixels == images[order][:, :, :, ::-1]).all((1, 2, 3))
    assert (plain ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_input_is_pixels_over_255() -> None:
    x = to_input(np.array([0, 51, 255], np.uint8))
    assert torch.allclose(x, torch.tensor([0.0, 0.2, 1.0]))


def test_second_call_takes_weights_from_the_cache(digits: Dataset, tmp_path: Path) -> None:
    first = trained("lenet5", digits, 1, tmp_path, recipe=BRIEF)
    again = trained("lenet5", digits, 1, tmp_path, recipe=BRIEF, progress=_must_not_train)
    assert (first.cached, again.cached) == (False, True)
    assert same(first.model, again.model)
    assert (again.accuracy_val, again.steps, again.key) == (first.accuracy_val, 20, first.key)
    assert again.accuracy_val == accuracy(again.model, digits.val)


@pytest.mark.parametrize(
    "change",
    [
        lambda d, r: (d, r, 2),
        lambda d, r: (d, dataclasses.replace(r, lr=3e-3), 1),
        lambda d, r: (dataclasses.replace(d, val=Split(d.val.images, 9 - d.val.labels)), r, 1),
    ],
    ids=["seed", "recipe", "data"],
)
def test_another_seed_recipe_or_dataset_is_another_entry(
    digits: Dataset, tmp_path: Path, change: Callable[[Dataset, Recipe], tuple[Dataset, Recipe, int]]
) -> None:
    trained("lenet5", digits, 1, tmp_path, recipe=BRIEF)
    data, recipe, seed = change(digits, BRIEF)
    assert not trained("lenet5", data, seed, tmp_path, recipe=recipe).cached


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda _: b"", lambda b: b"\xff" * len(b)])
def test_damaged_entry_is_trained_again_and_replaced(
    digits: Dataset, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    first = trained("lenet5", digits, 1, tmp_path, recipe=BRIEF)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    again = trained("lenet5", digits, 1, tmp_path, recipe=BRIEF)
    assert not again.cached
    assert same(first.model, again.model)
    assert trained("lenet5", digits, 1, tmp_path, recipe=BRIEF).cached


def test_interrupted_training_leaves_nothing_in_the_cache(digits: Dataset, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained("lenet5", digits, 1, tmp_path, recipe=BRIEF, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


class Noisy(nn.Module):
    """Batch-norm with its statistics and dropout with its random numbers: state that a checkpoint must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(20, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


def noisy() -> Noisy:
    torch.manual_seed(8)
    return Noisy()


@pytest.mark.parametrize("stop", [50, 100])
def test_interrupted_training_goes_on_from_its_checkpoint_to_the_same_weights(
    digits: Dataset, tmp_path: Path, stop: int
) -> None:
    recipe = dataclasses.replace(BRIEF, min_steps=120, shift=1)
    whole: list[tuple[int, int, float]] = []
    expected = train(noisy(), digits, recipe, 5, lambda *at: whole.append(at)).model

    def interrupt(step: int, *_: object) -> None:
        if step == stop:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "state", "a key", every_s=0)
    with pytest.raises(KeyboardInterrupt):
        train(noisy(), digits, recipe, 5, interrupt, checkpoint)
    seen: list[tuple[int, int, float]] = []
    resumed = train(noisy(), digits, recipe, 5, lambda *at: seen.append(at), checkpoint).model
    assert same(resumed, expected)
    assert seen[-1] == whole[-1]
    assert seen[0][0] >= stop


def test_checkpoint_that_is_damaged_or_of_another_training_is_not_used(digits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "state"
    expected = train(noisy(), digits, BRIEF, 5, checkpoint=Checkpoint(path, "one", every_s=0)).model
    content = path.read_bytes()
    for data, key in ((content, "another"), (content[:-10], "one"), (b"junk", "one")):
        path.write_bytes(data)
        assert same(train(noisy(), digits, BRIEF, 5, checkpoint=Checkpoint(path, key)).model, expected)


def test_ended_training_leaves_no_checkpoint_in_the_cache(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    monkeypatch.setattr(Checkpoint, "due", lambda self: not written.append(self.path))
    trained("lenet5", digits, 1, tmp_path, recipe=BRIEF)
    assert len(written) == 20
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


def test_diverging_training_and_wrong_number_of_logits_are_errors(digits: Dataset) -> None:
    class Diverging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(10, 784))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ self.weight.T * float("inf")

    with pytest.raises(MeasurementError, match="loss is nan"):
        train(Diverging(), digits, BRIEF, 0)
    with pytest.raises(UsageError, match="one of 10 logits"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(784, 5)), digits, BRIEF, 0)


@pytest.mark.slow
@pytest.mark.skipif(mnist.find() is None, reason="no MNIST on disk: set MICO_DATA or `mico data get mnist`")
def test_lenet5_reaches_98_8_percent_on_mnist_within_three_minutes(tmp_path: Path) -> None:
    """Seed 0. The time limit holds for an otherwise idle machine of two cores."""
    data = load("mnist")
    result = trained("lenet5", data, 0, tmp_path)
    assert accuracy(result.model, data.test) >= 0.988
    assert result.seconds < 180


def _must_not_train(*_: object) -> None:
    raise AssertionError("it was trained again")
