"""Lowering: the integers follow the rules of mico/quant/README.md and stay close to the float network."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import ZOO, build
from random_models import random_integer_model
from reference import run_all

from mico.errors import QuantError
from mico.evaluate import evaluate
from mico.graph import Graph, OpKind
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.execute import run
from mico.quant.integer import Format, IntegerModel
from mico.quant.lower import lower, multiplier_shift, quantise_weight, weight_scale
from mico.quant.scheme import BITS, LayerBits, Scheme
from mico.trace import trace


def images(shape: tuple[int, ...], seed: int = 0, n: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


def prepared(module: nn.Module, shape: tuple[int, ...]) -> tuple[Graph, Calibration]:
    graph = trace(module, shape)
    return graph, calibrate(graph, images(shape))


def noise_db(graph: Graph, model: IntegerModel) -> float:
    """Signal to quantisation noise of the logits."""
    x = images(graph.input_shape, seed=9)
    y = evaluate(graph, torch.from_numpy(x) * model.tensors["input"].scale)[graph.output].reshape(len(x), -1).numpy()
    z = model.run(x) * model.tensors[model.output].scale
    return float(10 * np.log10((y**2).mean() / ((y - z) ** 2).mean()))


@pytest.mark.parametrize("name", ZOO)
def test_eight_bits_follow_the_float_network_and_fewer_follow_less(name: str) -> None:
    graph, calibration = prepared(*build(name))
    noise = [noise_db(graph, lower(graph, Scheme.uniform(graph.layer_names, bits), calibration)) for bits in (8, 4, 2)]
    assert noise[0] > 35
    assert noise[0] > noise[1] + 10
    assert noise[1] > noise[2] + 5


@pytest.mark.parametrize("weight", BITS)
@pytest.mark.parametrize("activation", BITS)
def test_every_bit_pair_lowers_to_the_formats_asked_for(weight: int, activation: int) -> None:
    graph, calibration = prepared(*build("fire"))
    model = lower(graph, Scheme.uniform(graph.layer_names, weight, activation), calibration)
    for op in model.ops:
        if op.kind in (OpKind.CONV2D, OpKind.LINEAR):
            assert op.weight_format == Format(weight, True)
            assert model.tensors[op.inputs[0]].format.bits == activation
    assert model.tensors["input"].format == Format(8, False)
    assert model.tensors[model.output].format == Format(32, True)
    assert model.run(images(graph.input_shape, n=3)).shape == (3, 4)


@given(st.integers(0, 10**6))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_random_networks_at_random_bits_equal_plain_integers(seed: int) -> None:
    model, x = random_integer_model(seed, depth=3)
    _, kept = run(model, x[:1], keep=True)
    expected = run_all(model, x[0])
    for name, values in kept.items():
        np.testing.assert_array_equal(values[0], expected[name], err_msg=name)


class Shared(nn.Module):
    """One tensor through a pool to ``narrow`` and straight to ``wide``, both summed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1)
        self.narrow = nn.Conv2d(2, 2, 1)
        self.wide = nn.Conv2d(2, 2, 2, stride=2)
        self.head = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.first(x))
        y = functional.relu(self.narrow(functional.max_pool2d(x, 2))) + functional.relu(self.wide(x))
        return self.head(y.mean((2, 3)))


def scheme(graph: Graph, activations: dict[str, int], weight: int = 8) -> Scheme:
    return Scheme({name: LayerBits(weight, activations.get(name, 8)) for name in graph.layer_names})


def test_a_tensor_is_written_at_the_widest_bits_asked_for_and_narrowed_for_the_rest() -> None:
    torch.manual_seed(0)
    graph, calibration = prepared(Shared().eval(), (1, 6, 6))
    model = lower(graph, scheme(graph, {"first": 4, "narrow": 2, "wide": 4, "head": 1}), calibration)
    formats = {name: str(tensor.format) for name, tensor in model.tensors.items()}
    assert formats == {
        "input": "u8",
        "first__in": "u4",
        "first": "u4",  # wide asks for 4, the pool hands up narrow's 2
        "max_pool": "u4",
        "narrow__in": "u2",
        "narrow": "u8",  # an add reads 8 bits
        "wide": "u8",
        "add": "u8",  # so does a pool
        "global_avg_pool": "u1",
        "flatten": "u1",
        "head": "s32",
    }
    assert model.tensors["max_pool"].scale == model.tensors["first"].scale == calibration.scale("first", 4)
    assert model.tensors["narrow__in"].scale == calibration.scale("narrow__in", 2) == calibration.scale("first", 2)
    assert [op.name for op in model.ops] == [
        "first__in", "first", "max_pool", "narrow__in", "narrow", "wide", "add", "global_avg_pool", "flatten", "head",
    ]  # fmt: skip


def test_a_narrow_pool_needs_no_copy() -> None:
    torch.manual_seed(0)
    graph, calibration = prepared(Shared().eval(), (1, 6, 6))
    model = lower(graph, scheme(graph, {"narrow": 2, "wide": 2}), calibration)
    assert model.tensors["first"].format == model.tensors["max_pool"].format == Format(2, False)
    assert "narrow__in" not in model.tensors


def test_trained_scales_are_used() -> None:
    torch.manual_seed(0)
    graph, calibration = prepared(Shared().eval(), (1, 6, 6))
    bits = scheme(graph, {"narrow": 2})
    trained = calibration.with_scale("narrow__in", 2, 0.5).with_scale("first", 8, 0.25)
    model = lower(graph, bits, trained, {"wide": np.full(2, 0.125)})
    assert model.tensors["narrow__in"].scale == 0.5
    assert model.tensors["max_pool"].scale == 0.25
    wide = next(op for op in model.ops if op.name == "wide")
    np.testing.assert_array_equal(wide.weight, quantise_weight(graph["wide"].weight, np.full(2, 0.125), 8))
    assert model.digest() != lower(graph, bits, calibration).digest()


def test_lowering_is_deterministic() -> None:
    graph, calibration = prepared(*build("residual"))
    bits = Scheme.uniform(graph.layer_names, 4)
    assert lower(graph, bits, calibration).digest() == lower(graph, bits, calibration).digest()


def test_a_scheme_that_misses_or_invents_a_layer_is_refused() -> None:
    graph, calibration = prepared(*build("mlp"))
    for names in (("layer_0",), ("layer_0", "layer_2", "other")):
        with pytest.raises(QuantError, match=r"misses \[.*\] and names \[.*\].*quantisable layers: layer_0, layer_2"):
            lower(graph, Scheme.uniform(names, 8), calibration)
    with pytest.raises(QuantError, match="weight scales name"):
        lower(graph, Scheme.uniform(graph.layer_names, 8), calibration, {"other": np.ones(1)})
    with pytest.raises(QuantError, match="layer_0: weight scales must be positive"):
        lower(graph, Scheme.uniform(graph.layer_names, 8), calibration, {"layer_0": np.zeros(7)})


def test_an_accumulator_that_could_overflow_is_refused_with_the_layers_name() -> None:
    module = nn.Sequential(nn.Linear(70_000, 2, bias=False))
    nn.init.constant_(module[0].weight, 0.01)
    graph = trace(module, (70_000,))
    calibration = calibrate(graph, images((70_000,), n=2))
    with pytest.raises(QuantError, match=r"layer_0: its accumulator can reach 2\d{9}, above int32"):
        lower(graph, Scheme.uniform(graph.layer_names, 8), calibration)
    lower(graph, Scheme.uniform(graph.layer_names, 4, 8), calibration)


def test_another_graphs_calibration_is_refused() -> None:
    graph, _ = prepared(*build("residual"))
    _, calibration = prepared(*build("mlp"))
    with pytest.raises(QuantError, match="was not calibrated"):
        lower(graph, Scheme.uniform(graph.layer_names, 8), calibration)


ENDS: dict[str, nn.Module] = {
    "max pool": nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2)),
    "flatten of a map": nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten()),
    "relu": nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU()),
    "average pool": nn.Sequential(nn.Conv2d(1, 3, 3), nn.AvgPool2d(2)),
    "global pool": nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1)),
    "flat global pool": nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "pool of the input": nn.Sequential(nn.AvgPool2d(2), nn.Flatten()),
    "relu of the input": nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)),
}


@pytest.mark.parametrize("name", ENDS)
def test_networks_may_end_in_any_operation(name: str) -> None:
    graph, calibration = prepared(ENDS[name].eval(), (1, 6, 6))
    model = lower(graph, Scheme.uniform(graph.layer_names, 8), calibration)
    assert noise_db(graph, model) > 30


@pytest.mark.parametrize("join", ["add", "concat"])
def test_networks_may_end_in_a_join(join: str) -> None:
    class Join(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x) if join == "add" else torch.cat([self.a(x), self.b(x)], 1)

    torch.manual_seed(1)
    graph, calibration = prepared(Join().eval(), (1, 5, 5))
    assert noise_db(graph, lower(graph, Scheme.uniform(graph.layer_names, 8), calibration)) > 30


def test_channels_without_weights_keep_their_bias() -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    nn.init.constant_(module[0].bias, 0.7)
    with torch.no_grad():
        module[0].weight[1] = 0
        module[0].weight[2] = 1e-30
        module[2].weight[0] = 0
    graph, calibration = prepared(module, (6,))
    for bits in BITS:
        model = lower(graph, Scheme.uniform(graph.layer_names, bits, 8), calibration)
        logits, kept = run(model, images((6,), seed=4), keep=True)
        hidden = kept["layer_0"] * model.tensors["layer_0"].scale
        assert np.abs(hidden[:, 1:3] - 0.7).max() < model.tensors["layer_0"].scale
        assert np.abs(logits[:, 0] * model.tensors["layer_2"].scale - module[2].bias[0].item()).max() < 1e-3


@pytest.mark.parametrize("bits", BITS)
def test_weight_scales_are_better_than_max_abs_and_weights_stay_in_format(bits: int) -> None:
    weight = np.random.default_rng(bits).standard_t(4, (5, 3, 7, 7)).astype(np.float32)
    scale = weight_scale(weight, bits)
    integers = quantise_weight(weight, scale, bits)
    form = Format(bits, True)
    assert integers.min() >= form.qmin
    assert integers.max() <= form.qmax
    assert 0 not in integers or bits > 1
    column = scale[:, None, None, None]
    error = ((integers * column - weight) ** 2).sum(axis=(1, 2, 3))
    widest = np.abs(weight).max(axis=(1, 2, 3)) / form.qmax
    plain = ((quantise_weight(weight, widest, bits) * widest[:, None, None, None] - weight) ** 2).sum(axis=(1, 2, 3))
    assert (error <= plain * 1.01).all()
    if bits < 8:
        assert error.sum() < 0.9 * plain.sum()


@given(st.floats(-32, 29.9))
@settings(max_examples=200, deadline=None)
def test_multipliers_are_exact_to_31_bits(exponent: float) -> None:
    factor = 2.0**exponent
    requant = multiplier_shift(np.array([factor]), "layer")
    m, s = int(requant.multiplier[0]), int(requant.shift[0])
    assert 2**30 <= m < 2**31
    assert 1 <= s <= 62
    assert abs(m / 2**s - factor) <= factor * 2**-31


def test_multipliers_at_the_ends() -> None:
    requant = multiplier_shift(np.array([1.0, 1 - 2.0**-40, 2.0**-40, 2.0**-80]), "layer")
    np.testing.assert_array_equal(requant.multiplier, [2**30, 2**30, 2**22, 1])
    np.testing.assert_array_equal(requant.shift, [30, 30, 62, 62])
    for bad in (0.0, -1.0, 2.0**30, np.inf, np.nan):
        with pytest.raises(QuantError, match="layer: scales are too far apart"):
            multiplier_shift(np.array([bad]), "layer")


def test_weights_that_are_not_finite_are_refused() -> None:
    graph, calibration = prepared(*build("mlp"))
    weight = graph.layers[0].weight.copy()
    weight[0, 0] = np.inf
    broken = replace(graph, layers=(replace(graph.layers[0], weight=weight), *graph.layers[1:]))
    with pytest.raises(QuantError, match="layer_0: weights or biases are not finite"):
        lower(broken, Scheme.uniform(graph.layer_names, 8), calibration)
