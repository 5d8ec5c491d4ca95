"""Evaluator: the method follows the bits, nothing is trained twice, accuracy is that of the integers. Seed 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from mico import models
from mico.data import Dataset, load, mnist
from mico.errors import QuantError, UsageError
from mico.models.recipe import Recipe
from mico.quant.calibrate import calibrate
from mico.quant.evaluate import Evaluator
from mico.quant.scheme import LayerBits, Scheme
from mico.trace import trace
from mico.train import train, trained

RECIPE = dataclasses.replace(models.get("lenet5").RECIPE, epochs=0, min_steps=200, batch_size=64)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="module")
def make(digits: Dataset) -> Callable[..., Evaluator]:
    """Evaluators of LeNet-5 after 200 steps on the digits: short training is 10 steps, full training 100."""
    source = models.get("lenet5")
    graph = trace(train(source.build(0), digits, RECIPE, 0).model, source.INPUT_SHAPE, name="lenet5")
    calibration = calibrate(graph, digits.calibration)

    def build(folder: Path, seed: int = 0, recipe: Recipe = RECIPE, **options: object) -> Evaluator:
        return Evaluator(graph, calibration, digits, recipe, seed, folder, **options)  # type: ignore[arg-type]

    return build


def scheme_of(evaluator: Evaluator, **lowered: LayerBits) -> Scheme:
    bits = {name: lowered.get(name, LayerBits(8, 8)) for name in evaluator.graph.layer_names}
    return Scheme(bits)


def test_method_and_length_follow_the_bits(make: Callable[..., Evaluator], tmp_path: Path) -> None:
    lengths: list[int] = []
    evaluator = make(tmp_path, progress=lambda *at: lengths.append(at[1]))
    wide = scheme_of(evaluator, conv2=LayerBits(4, 4))
    assert [evaluator.quantise(wide, full).method for full in (False, True)] == ["ptq", "ptq"]
    assert lengths == []
    narrow = scheme_of(evaluator, fc1=LayerBits(2, 8))
    assert evaluator.quantise(narrow).method == "short-qat"
    assert set(lengths) == {10}
    lengths.clear()
    assert evaluator.quantise(narrow, full=True).method == "full-qat"
    assert set(lengths) == {100}


def test_trained_scheme_comes_from_the_cache_in_a_new_process_or_evaluator(
    make: Callable[..., Evaluator], tmp_path: Path
) -> None:
    scheme = scheme_of(make(tmp_path), fc2=LayerBits(1, 2))
    first = make(tmp_path).quantise(scheme)

    def must_not_train(*_: object) -> None:
        raise AssertionError("it was trained again")

    again = make(tmp_path, progress=must_not_train).quantise(scheme)
    assert (first.cached, again.cached) == (False, True)
    assert again.model.digest() == first.model.digest()
    assert (again.method, again.seconds) == (first.method, first.seconds)


def test_another_seed_scheme_or_length_is_trained_anew(make: Callable[..., Evaluator], tmp_path: Path) -> None:
    scheme = scheme_of(make(tmp_path), fc2=LayerBits(2, 2))
    make(tmp_path).quantise(scheme)
    assert not make(tmp_path, seed=1).quantise(scheme).cached
    assert not make(tmp_path).quantise(scheme_of(make(tmp_path), fc2=LayerBits(2, 1))).cached
    assert not make(tmp_path, recipe=dataclasses.replace(RECIPE, min_steps=240)).quantise(scheme).cached
    assert not make(tmp_path).quantise(scheme, full=True).cached


@pytest.mark.parametrize("victim", [".npz", ".json"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda _: b"", None], ids=["cut", "empty", "gone"])
def test_half_written_or_damaged_entry_is_trained_again(
    make: Callable[..., Evaluator], tmp_path: Path, victim: str, damage: Callable[[bytes], bytes] | None
) -> None:
    scheme = scheme_of(make(tmp_path), fc3=LayerBits(2, 2))
    first = make(tmp_path).quantise(scheme)
    (path,) = tmp_path.glob(f"*{victim}")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    again = make(tmp_path).quantise(scheme)
    assert not again.cached
    assert again.model.digest() == first.model.digest()
    assert make(tmp_path).quantise(scheme).cached


def test_interrupted_training_leaves_no_entry(make: Callable[..., Evaluator], tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    evaluator = make(tmp_path, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluator.quantise(scheme_of(evaluator, fc3=LayerBits(2, 2)))
    assert list(tmp_path.iterdir()) == []


def test_accuracy_is_the_share_of_right_integer_answers(
    make: Callable[..., Evaluator], tmp_path: Path, digits: Dataset
) -> None:
    evaluator = make(tmp_path)
    model = evaluator.quantise(scheme_of(evaluator)).model
    for name in ("val", "test"):
        images, labels = digits.split(name)
        right = model.run(images).argmax(1) == labels
        assert evaluator.accuracy(model, name) == right.mean()
        assert evaluator.accuracy(model, name, limit=50) == right[:50].mean()
    assert evaluator.accuracy(model) == evaluator.accuracy(model, "val") > 0.8
    with pytest.raises(UsageError, match="no split"):
        evaluator.accuracy(model, "calibration")
    with pytest.raises(UsageError, match="limit"):
        evaluator.accuracy(model, limit=0)


def test_scheme_of_another_network_is_refused(make: Callable[..., Evaluator], tmp_path: Path) -> None:
    with pytest.raises(QuantError, match="conv9"):
        make(tmp_path).quantise(Scheme({"conv9": LayerBits(2, 2)}))


@pytest.mark.slow
@pytest.mark.skipif(mnist.find() is None, reason="no MNIST on disk: set MICO_DATA or `mico data get mnist`")
def test_lenet5_on_mnist_keeps_its_accuracy_at_low_bits(tmp_path: Path) -> None:
    """Full training of the whole network at 2 bits, PTQ at 8 and 4; validation split, seed 0."""
    data, source = load("mnist"), models.get("lenet5")
    float_ = trained("lenet5", data, 0, tmp_path)
    graph = trace(float_.model, source.INPUT_SHAPE, name="lenet5")
    evaluator = Evaluator(graph, calibrate(graph, data.calibration), data, source.RECIPE, 0, tmp_path)
    accuracy = {
        bits: evaluator.accuracy(evaluator.quantise(Scheme.uniform(graph.layer_names, bits), full=True).model)
        for bits in (8, 4, 2)
    }
    assert abs(accuracy[8] - float_.accuracy_val) <= 0.001
    assert abs(accuracy[4] - float_.accuracy_val) <= 0.005
    assert accuracy[2] >= 0.984
