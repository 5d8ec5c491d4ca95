"""Many schemes with shared prefixes give the integers of one scheme after the other."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import ZOO, build
from random_models import random_model

from mico.data import Dataset, load
from mico.data.dataset import spread
from mico.errors import UsageError
from mico.evaluate import evaluate
from mico.graph import Graph, OpKind
from mico.quant import fast, prefix
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.execute import Step, Values, requantiser
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant
from mico.quant.lower import lower
from mico.quant.prefix import NetworkProbe, PrefixEvaluator
from mico.quant.prepare import prepare
from mico.quant.scheme import BITS, Scheme
from mico.trace import trace


def vectors_of(graph: Graph, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random schemes, half of them neighbours of the one before: prefixes to share, at all depths."""
    rows = [rng.choice(BITS, 2 * len(graph.quantisable))]
    while len(rows) < count:
        row = rows[-1].copy()
        row[rng.integers(len(row))] = rng.choice(BITS)
        rows.append(row if rng.random() < 0.5 else rng.choice(BITS, len(row)))
    return np.array(rows, dtype=np.int64)


def assert_as_one_by_one(graph: Graph, calibration: Calibration, images: np.ndarray, vectors: np.ndarray) -> None:
    found = PrefixEvaluator(graph, calibration).logits(vectors, images)
    for vector, logits in zip(vectors, found, strict=True):
        model = lower(graph, Scheme.from_vector(graph.layer_names, vector.tolist()), calibration)
        np.testing.assert_array_equal(logits, model.run(images), err_msg=str(vector))


@pytest.mark.parametrize("name", ZOO)
def test_schemes_of_every_kind_of_network_are_those_of_the_executor(name: str) -> None:
    """Seed 2: 40 schemes of 8, 4, 2 and 1 bits, 12 images, weights refined on them."""
    module, shape = build(name, 2)
    graph = trace(module, shape, name=name)
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (12, *shape), dtype=np.uint8)
    prepared = prepare(graph, images)
    assert_as_one_by_one(prepared.graph, prepared.calibration, images, vectors_of(graph, 40, rng))


@pytest.mark.parametrize("seed", range(16))
def test_schemes_of_random_networks_are_those_of_the_executor(seed: int) -> None:
    """Networks of 6 random steps, signed and unsigned input, 24 schemes, 8 images."""
    module, shape = random_model(seed, depth=6)
    graph = trace(module, shape, name=f"random{seed}")
    rng = np.random.default_rng([seed, 1])
    signed = bool(seed % 2)
    images = rng.integers(-128 if signed else 0, 128 if signed else 256, (8, *shape))
    images = images.astype(np.int8 if signed else np.uint8)
    calibration = calibrate(graph, images, input_scale=1 / 128 if signed else 1 / 255, input_signed=signed)
    assert_as_one_by_one(graph, calibration, images, vectors_of(graph, 24, rng))


def small() -> tuple[Graph, Calibration, np.ndarray, np.random.Generator]:
    """The residual network of seed 3 with 40 random images."""
    module, shape = build("residual", 3)
    graph = trace(module, shape, name="residual")
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (40, *shape), dtype=np.uint8)
    return graph, calibrate(graph, images), images, rng


def test_answers_divergence_and_margins_are_those_of_the_logits() -> None:
    """Seed 3; the divergence from its definition, by numpy."""
    graph, calibration, images, rng = small()
    vectors, labels = vectors_of(graph, 12, rng), rng.integers(0, 4, len(images))
    evaluator = PrefixEvaluator(graph, calibration)
    logits = evaluator.logits(vectors, images)
    np.testing.assert_array_equal(evaluator.answers(vectors, images, labels), logits.argmax(axis=2) == labels)
    p = softmax(evaluate(graph, torch.from_numpy(images / 255))[graph.output].numpy())
    found = evaluator.divergence(vectors, images)
    for vector, own, divergence in zip(vectors, logits, found, strict=True):
        model = lower(graph, Scheme.from_vector(graph.layer_names, vector.tolist()), calibration)
        q = softmax(own * model.tensors[model.output].scale)
        np.testing.assert_allclose(divergence, (p * np.log(p / q)).sum(axis=1), rtol=1e-6, atol=1e-9)
    model = lower(graph, Scheme.from_vector(graph.layer_names, vectors[0].tolist()), calibration)
    top = np.sort(logits[0].astype(float), axis=1)
    expected = (top[:, -1] - top[:, -2]) * model.tensors[model.output].scale
    expected *= np.where(logits[0].argmax(axis=1) == labels, 1, -1)
    np.testing.assert_allclose(evaluator.margins(vectors[0], images, labels), expected)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_schemes_that_share_prefixes_share_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 3 x 3 bits of the last layer of three: the two before are computed once for each of its activation bits."""
    module, shape = build("separable", 1)
    graph = trace(module, shape, name="separable")
    images = np.random.default_rng(1).integers(0, 256, (4, *shape), dtype=np.uint8)
    evaluator = PrefixEvaluator(graph, calibrate(graph, images))
    layers = len(graph.quantisable)
    vectors = np.full((9, 2 * layers), 8)
    vectors[:, layers - 1] = np.repeat([8, 4, 2], 3)
    vectors[:, -1] = np.tile([8, 4, 2], 3)
    computed: list[str] = []

    def counted(model: IntegerModel, op: IntegerOp) -> Step:
        step = fast.fast_step(model, op)

        def count(values: Values) -> torch.Tensor:
            computed.append(op.name)
            return step(values)

        return count

    monkeypatch.setattr(prefix, "fast_step", counted)
    evaluator.logits(vectors, images)
    times = {name: computed.count(name) for name in graph.layer_names}
    assert times[graph.layer_names[-1]] == 9
    assert times[graph.layer_names[-2]] == 3
    assert all(times[name] == 1 for name in graph.layer_names[:-2])


def test_branch_is_not_computed_again_for_every_width_of_its_sibling(monkeypatch: pytest.MonkeyPatch) -> None:
    """SqueezeNet's module: nine widths of one expansion times nine of the other, all reading the same 8-bit tensor."""
    module, shape = build("fire", 1)
    graph = trace(module, shape, name="fire")
    images = np.random.default_rng(1).integers(0, 256, (4, *shape), dtype=np.uint8)
    calibration = calibrate(graph, images)
    one, other = (graph.layer_names.index(name) for name in ("expand1", "expand3"))
    vectors = np.array([[8] * 8] * 9)
    vectors[:, one], vectors[:, other] = np.repeat([8, 4, 2], 3), np.tile([8, 4, 2], 3)
    computed: list[str] = []

    def counted(model: IntegerModel, op: IntegerOp) -> Step:
        step = fast.fast_step(model, op)
        return lambda values: computed.append(op.name) or step(values)

    monkeypatch.setattr(prefix, "fast_step", counted)
    PrefixEvaluator(graph, calibration).logits(vectors, images)
    assert {name: computed.count(name) for name in graph.layer_names} == {
        "squeeze": 1,
        "expand1": 3,
        "expand3": 3,
        "classifier": 9,
    }


def linear_network() -> tuple[Dataset, Graph, Calibration]:
    """Digits, seed 5: a linear network of random weights."""
    data = load("digits")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        module = nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, 10))
    graph = trace(module, data.input_shape, name="mlp")
    return data, graph, calibrate(graph, data.calibration)


def test_probe_computes_no_more_images_than_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a searcher pays is images times schemes: a last batch that is not full is not filled up."""
    data, graph, calibration = linear_network()
    probe = NetworkProbe(graph, calibration, data)
    probe._evaluator._batch = 16
    computed, walk = [0], PrefixEvaluator._walk

    def counted(self: PrefixEvaluator, rows: list[list[int]], *rest: Any) -> None:
        computed[0] += len(rows) * len(rest[2])
        walk(self, rows, *rest)

    monkeypatch.setattr(PrefixEvaluator, "_walk", counted)
    vectors = np.array([[8, 8, 8, 8], [2, 4, 2, 8], [4, 4, 4, 4]])
    for images in (1, 7, 16, 100, 128, 10**6):
        computed[0] = 0
        probe.divergence(vectors, images)
        assert computed[0] == len(vectors) * min(images, len(data.calibration))
    for images in (1, 17, 100):
        computed[0] = 0
        probe.answers(vectors, np.arange(images))
        assert computed[0] == len(vectors) * images


def test_probe_is_the_evaluator_on_chosen_images() -> None:
    data, graph, calibration = linear_network()
    probe, evaluator = NetworkProbe(graph, calibration, data), PrefixEvaluator(graph, calibration)
    vectors = np.array([[8, 8, 8, 8], [2, 4, 2, 8], [4, 4, 4, 4]])
    chosen = np.array([7, 3, 100])
    assert (probe.images, probe.faithful) == (len(data.val), True)
    everything = evaluator.answers(vectors, *data.val)
    np.testing.assert_array_equal(probe.answers(vectors, chosen), everything[:, chosen])
    np.testing.assert_array_equal(probe.margins() > 0, everything[0])
    each, total = evaluator.divergence(vectors, data.calibration), len(data.calibration)
    np.testing.assert_allclose(probe.divergence(vectors), each[:, spread(total, 128)].mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(probe.divergence(vectors, 7), each[:, spread(total, 7)].mean(axis=1), rtol=1e-9)
    with pytest.raises(UsageError, match="at least 1 image"):
        probe.divergence(vectors, 0)


def test_evaluator_travels_to_another_process() -> None:
    """By pickle: the copy gives the same logits."""
    graph, calibration, images, rng = small()
    vectors = vectors_of(graph, 6, rng)
    evaluator = PrefixEvaluator(graph, calibration)
    expected = evaluator.logits(vectors, images)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(evaluator)).logits(vectors, images), expected)


def test_what_is_not_of_the_network_is_refused() -> None:
    graph, calibration, images, rng = small()
    evaluator = PrefixEvaluator(graph, calibration)
    with pytest.raises(UsageError, match="5 layers"):
        evaluator.logits(np.full((1, 8), 8), images)
    with pytest.raises(UsageError, match="uint8"):
        evaluator.logits(vectors_of(graph, 1, rng), images.astype(np.float32))
    with pytest.raises(UsageError, match="3, 8, 8"):
        evaluator.logits(vectors_of(graph, 1, rng), images[:, :2])


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_rounding_in_floating_point_steps_where_the_integers_do(bits: int) -> None:
    """Seeds 0 to 14 of multipliers, shifts and biases: small, large and random accumulators; few operations are left to
    the integers, for which no line agrees."""
    lines = 0
    for seed in range(15):
        rng = np.random.default_rng([seed, bits])
        form, channels, fan_in = Format(bits, bool(seed % 2)), 5, int(rng.integers(1, 400))
        weight = rng.integers(-128, 128, (channels, fan_in)).astype(np.int8)
        bound = int(np.abs(weight.astype(int)).sum(axis=1).max()) * 255
        wide = rng.integers(1 << 30, 1 << 31, channels, dtype=np.int64).astype(np.int32)
        shift = np.clip(31 + np.log2(bound / form.qmax) + rng.uniform(-4, 2, channels), 1, 62).astype(np.int32)
        bias = rng.integers(-bound, bound + 1, channels).astype(np.int32) if seed % 3 else None
        op = IntegerOp("fc", OpKind.LINEAR, ("x",), "y", weight=weight, bias=bias, requant=Requant(wide, shift))
        finish, exact = fast._finisher(op, form, bound), requantiser(op, form)
        acc = torch.from_numpy(np.concatenate([np.arange(-1000, 1001), rng.integers(-bound, bound + 1, 4000)]))
        acc = acc.clamp(-bound, bound)[:, None].repeat(1, channels)
        assert torch.equal(finish(acc.double() if bound > 1 << 24 else acc.float()), exact(acc.clone()))
        lines += fast._line(op, form, bound, None, np.float64) is not None
    assert lines >= 13
