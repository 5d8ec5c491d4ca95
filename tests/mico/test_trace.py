"""Tracing: the Graph computes what the module does; what is not supported is named with its line."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
from networks import ZOO, build
from random_models import random_model

from mico.errors import GraphError, UsageError
from mico.evaluate import evaluate
from mico.graph import Graph, OpKind
from mico.trace import trace


def worst_difference(graph: Graph, module: nn.Module, seed: int) -> float:
    x = torch.randn((5, *graph.input_shape), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = module(x)
    return float((evaluate(graph, x)[graph.output].reshape(expected.shape) - expected).abs().max())


def kinds(graph: Graph) -> list[str]:
    return [str(layer.kind) for layer in graph.layers]


class Net(nn.Module):
    """A forward given as a function, with convolution ``conv`` (2 to 2 channels, 3x3, padding 1) and linear ``fc``."""

    def __init__(self, function: Callable[[Net, torch.Tensor], torch.Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.fc = nn.Linear(72, 3)
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def traced(function: Callable[[Net, torch.Tensor], torch.Tensor], **parts: nn.Module) -> Graph:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Net(function, **parts).eval()
    graph = trace(net, (2, 6, 6))
    assert worst_difference(graph, net, 1) < 1e-4
    return graph


@pytest.mark.parametrize("name", ZOO)
def test_the_graph_computes_what_the_module_does(name: str) -> None:
    module, shape = build(name)
    graph = trace(module, shape)
    assert worst_difference(graph, module, 2) < 1e-4
    assert OpKind.RELU not in kinds(graph) or name == "dense"
    assert all(layer.in_shapes == tuple(graph.shape(t) for t in layer.inputs) for layer in graph.layers)


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_compute_the_same(seed: int) -> None:
    module, shape = random_model(seed, depth=6)
    assert worst_difference(trace(module, shape), module, seed) < 1e-4


def test_names_are_c_identifiers_from_module_paths() -> None:
    module, shape = build("residual")
    graph = trace(module, shape)
    assert graph.layer_names == ("stem_0", "conv1", "conv2", "shortcut_0", "head")
    assert graph["stem_0"].module == "stem.0"
    numbered = trace(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), (3,), name="two")
    assert (numbered.name, numbered.layer_names) == ("two", ("layer_0", "layer_1"))
    keyword = traced(lambda net, x: net.register(x), register=nn.Conv2d(2, 2, 1))
    assert keyword.layer_names == ("layer_register",)


def test_training_mode_and_parameters_are_left_alone() -> None:
    module, shape = build("separable")
    module.train()
    module.features[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace(module, shape)
    assert module.training
    assert module.head.training
    assert not module.features[1].training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_relu_is_folded_through_max_pool_but_not_past_a_second_reader() -> None:
    graph = traced(lambda net, x: functional.relu(functional.max_pool2d(net.conv(x), 2)))
    assert kinds(graph) == ["conv2d", "max_pool"]
    assert graph["conv"].relu

    def twice(net: Net, x: torch.Tensor) -> torch.Tensor:
        y = net.conv(x)
        return torch.cat([y, torch.relu(y)], 1)

    assert kinds(traced(twice)) == ["conv2d", "relu", "concat"]


def test_a_relu_of_what_is_not_negative_vanishes() -> None:
    graph = traced(lambda net, x: torch.relu(functional.max_pool2d(net.conv(x).relu(), 2)))
    assert kinds(graph) == ["conv2d", "max_pool"]


def test_in_place_relu_changes_what_later_readers_see() -> None:
    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        y = net.conv(x)
        functional.relu(y, inplace=True)
        return net.fc(torch.flatten(y + y, 1))

    graph = traced(forward)
    assert graph["conv"].relu


def test_a_module_called_twice_becomes_two_layers() -> None:
    graph = traced(lambda net, x: net.conv(functional.relu(net.conv(x))))
    assert graph.layer_names == ("conv", "conv_1")
    np.testing.assert_array_equal(graph["conv"].weight, graph["conv_1"].weight)


def test_a_branch_that_does_not_reach_the_output_vanishes() -> None:
    def forward(net: Net, x: torch.Tensor) -> torch.Tensor:
        torch.sigmoid(net.unused(x))
        return net.conv(x)

    assert traced(forward, unused=nn.Conv2d(2, 9, 3)).layer_names == ("conv",)


def test_shape_arithmetic_and_default_arguments_are_followed() -> None:
    class WithDefault(nn.Module):
        def forward(self, x: torch.Tensor, scale: float = 2.0, extra: torch.Tensor | None = None) -> torch.Tensor:
            if extra is not None or scale > 3:
                return x
            y = functional.avg_pool2d(x, x.size()[2:])
            return y.reshape(y.shape[0], y.size(1) * y.size(2))

    module = WithDefault()
    graph = trace(module, (2, 4, 5))
    assert kinds(graph) == ["avg_pool", "flatten"]
    assert worst_difference(graph, module, 3) < 1e-4


def test_adaptive_pools_that_divide_become_plain_ones() -> None:
    graph = traced(lambda net, x: functional.adaptive_avg_pool2d(net.conv(x), (3, 2)))
    assert graph.layers[-1].attrs == {"kernel": (2, 3), "stride": (2, 3), "padding": (0, 0)}
    assert kinds(traced(lambda net, x: functional.adaptive_avg_pool2d(net.conv(x), 6))) == ["conv2d"]


def test_ceil_mode_is_supported_where_it_changes_nothing() -> None:
    assert kinds(traced(lambda net, x: functional.max_pool2d(net.conv(x), 2, ceil_mode=True)))[-1] == "max_pool"


UNSUPPORTED: dict[str, tuple[Callable[[Net, torch.Tensor], torch.Tensor], dict[str, nn.Module], str]] = {
    "sigmoid": (lambda net, x: torch.sigmoid(net.conv(x)), {}, "sigmoid is not supported (use ReLU)"),
    "softmax": (
        lambda net, x: functional.softmax(net.fc(x.flatten(1)), 1),
        {},
        "softmax is not supported (leave it out",
    ),
    "normalise": (lambda net, x: net.conv((x - 0.5) / 0.3), {}, "sub is not supported (normalise the images"),
    "constant": (lambda net, x: net.conv(x) + 1, {}, "+ of other than two tensors"),
    "broadcast": (lambda net, x: net.conv(x) + net.conv(x).mean((2, 3), keepdim=True), {}, "+ of other than two"),
    "mean": (lambda net, x: net.conv(x).mean(1), {}, "mean over 1 is not supported"),
    "cat": (lambda _, x: torch.cat([x, x], 2), {}, "cat over dimension 2 is not supported"),
    "reshape": (lambda net, x: net.conv(x).view(-1, 36), {}, "a reshape from"),
    "functional": (lambda net, x: functional.conv2d(x, net.conv.weight), {}, "conv2d is not supported (use nn.Conv2d)"),
    "dropout": (lambda net, x: functional.dropout(net.conv(x)), {}, "dropout that stays on"),
    "tuple": (lambda net, x: (net.conv(x), x), {}, "does not return one tensor"),
    "control": (lambda net, x: x if x.sum() > 0 else net.conv(x), {}, "cannot be traced"),
    "loop": (lambda net, x: sum(net.conv(part) for part in x), {}, "cannot be traced"),
    "shape": (lambda net, x: net.fc(net.conv(x)), {}, "mat1 and mat2 shapes"),
    "ceil": (lambda net, x: functional.max_pool2d(net.conv(x), 4, ceil_mode=True), {}, "ceil_mode=True"),
    "pool dilation": (lambda _, x: functional.max_pool2d(x, 2, dilation=2), {}, "pooling with dilation 2"),
    "pad excluded": (
        lambda _, x: functional.avg_pool2d(x, 3, padding=1, count_include_pad=False),
        {},
        "count_include_pad=False",
    ),
    "adaptive": (lambda _, x: functional.adaptive_avg_pool2d(x, 4), {}, "windows overlap"),
    "dilation": (lambda net, x: net.odd(x), {"odd": nn.Conv2d(2, 2, 3, dilation=2)}, "Conv2d with dilation (2, 2)"),
    "padding mode": (
        lambda net, x: net.odd(x),
        {"odd": nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")},
        "padding_mode 'reflect'",
    ),
    "same": (lambda net, x: net.odd(x), {"odd": nn.Conv2d(2, 2, 2, padding="same")}, "padding 'same' with the even"),
    "module": (lambda net, x: net.odd(net.conv(x)), {"odd": nn.Hardswish()}, "Hardswish is not supported (use ReLU)"),
    "transposed": (lambda net, x: net.odd(x), {"odd": nn.ConvTranspose2d(2, 2, 3)}, "ConvTranspose2d is not supported"),
    "lone batch-norm": (lambda net, x: net.odd(x), {"odd": nn.BatchNorm2d(2)}, "batch-norm that does not follow"),
    "batch statistics": (
        lambda net, x: net.odd(net.conv(x)),
        {"odd": nn.BatchNorm2d(2, track_running_stats=False)},
        "batch-norm without running statistics",
    ),
    "nothing": (lambda _, x: x, {}, "the network does nothing"),
}


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even")
@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_named_with_its_line(name: str) -> None:
    function, parts, what = UNSUPPORTED[name]
    with pytest.raises(GraphError) as caught:
        traced(function, **parts)
    text = str(caught.value)
    assert what in text
    if name not in ("tuple", "nothing"):  # what a network returns has no line of its own
        lines, first = inspect.getsourcelines(function)
        found = [n for n in range(first, first + len(lines)) if f"{__file__}:{n}" in text]
        assert found, text
    if parts:
        assert "'odd'" in text


class Inner(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(x)
        return torch.tanh(x)  # line of interest


class Branch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.mean() > 0:  # line of interest
            return x
        return -x


@pytest.mark.parametrize("kind", [Inner, Branch])
def test_the_line_and_module_are_those_of_the_user_even_deep_inside(kind: type[nn.Module]) -> None:
    lines, first = inspect.getsourcelines(kind)
    line = first + next(n for n, text in enumerate(lines) if "line of interest" in text)
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.ReLU(), kind()))
    with pytest.raises(GraphError) as caught:
        trace(network, (1, 4, 4))
    assert f"{__file__}:{line}, module '1.1'" in str(caught.value)


def test_two_inputs_hooks_and_bad_shapes_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    with pytest.raises(GraphError, match=r"test_trace\.py:\d+, Two: forward takes \(x: .*one input tensor"):
        trace(Two(), (1, 4, 4))
    hooked = nn.Sequential(nn.Conv2d(1, 1, 1))
    hooked[0].register_forward_hook(lambda *values: values[-1] * 2)
    with pytest.raises(GraphError, match="module '0': has forward hooks"):
        trace(hooked, (1, 4, 4))
    for shape in ((1, 2, 3, 4), (0, 3, 3), ()):
        with pytest.raises(UsageError, match="input_shape must be"):
            trace(nn.Flatten(), shape)


def test_a_graph_that_would_compute_something_else_is_refused() -> None:
    class View(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.view(x.size(0), -1)
            functional.relu(x, inplace=True)  # flat changes too
            return flat + flat

    with pytest.raises(GraphError, match="differs from the module"):
        trace(View(), (1, 4, 4))
    broken = nn.Sequential(nn.Linear(3, 2))
    broken[0].weight.data[0, 0] = float("nan")
    with pytest.raises(GraphError, match="not finite"):
        trace(broken, (3,))
