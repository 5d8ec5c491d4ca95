"""Equalisation: the same float network, closer integers, only where it costs the weights nothing. Seeds are named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mico.errors import UsageError
from mico.evaluate import evaluate
from mico.graph import Graph
from mico.quant.calibrate import calibrate
from mico.quant.equalise import depthwise_readers, equalise, equalised
from mico.quant.lower import lower
from mico.quant.prepare import prepare
from mico.quant.scheme import Scheme
from mico.trace import trace

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 3, 8, 8)).astype(np.uint8)


class Block(nn.Module):
    """Widen, pool, depthwise, narrow; the sum reads the narrow tensor twice."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Conv2d(3, 12, 1)
        self.pool = nn.AvgPool2d(2)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.narrow = nn.Conv2d(12, 4, 1)
        self.head = nn.Linear(4 * 16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.narrow(torch.relu(self.depthwise(self.pool(torch.relu(self.widen(x))))))
        return self.head((y + y).flatten(1))


def block(uneven: bool) -> Graph:
    """Weights of seed 0; *uneven*: channels of the wide tensor between 1/16 and 16 times as large as they come."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Block().eval()
        if uneven:
            factors = torch.logspace(-4, 4, 12, base=2)
            with torch.no_grad():
                module.widen.weight *= factors[:, None, None, None]
                module.widen.bias *= factors
                module.depthwise.weight /= factors[:, None, None, None]
    return trace(module, (3, 8, 8))


def logits(graph: Graph) -> NDArray[np.float64]:
    result: NDArray[np.float64] = evaluate(graph, torch.from_numpy(IMAGES / 255))[graph.output].numpy()
    return result


def error(graph: Graph, expected: NDArray[np.float64]) -> float:
    model = lower(graph, Scheme.uniform(graph.layer_names, 8, 4), calibrate(graph, IMAGES))
    return float(((model.run(IMAGES) * model.tensors[model.output].scale - expected) ** 2).mean())


def test_only_tensors_that_depthwise_convolutions_read_are_touched() -> None:
    graph = block(uneven=True)
    found = {layer.name: depthwise_readers(graph, layer) for layer in graph.quantisable}
    assert found == {"widen": ["depthwise"], "depthwise": [], "narrow": [], "head": []}
    changed = equalised(graph, IMAGES, 1 / 255)
    assert changed["narrow"] is graph["narrow"]
    assert changed["head"] is graph["head"]


def test_channels_reach_equally_far_and_the_float_network_is_the_same() -> None:
    graph = block(uneven=True)
    changed = equalised(graph, IMAGES, 1 / 255)
    assert np.allclose(logits(changed), logits(graph), atol=1e-5)
    ranges = [evaluate(g, torch.from_numpy(IMAGES / 255))["widen"].amax((0, 2, 3)).numpy() for g in (graph, changed)]
    reached = ranges[0] > 0
    assert ranges[0][reached].max() > 50 * ranges[0][reached].min()
    assert ranges[1][reached].max() < 1.01 * ranges[1][reached].min()


def test_integers_come_much_closer_where_channels_are_uneven() -> None:
    graph = block(uneven=True)
    better = equalise(graph, IMAGES)
    assert error(better, logits(graph)) < 0.5 * error(graph, logits(graph))
    assert prepare(graph, IMAGES).graph.digest() == better.digest()


@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_worse_on_the_calibration_images(seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        graph = trace(Block().eval(), (3, 8, 8))
    assert error(equalise(graph, IMAGES), logits(graph)) <= error(graph, logits(graph))


def test_a_network_without_depthwise_convolutions_and_wrong_images() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval(), (3, 8, 8))
    assert equalise(graph, IMAGES) is graph
    with pytest.raises(UsageError, match="calibration needs uint8 images"):
        prepare(graph, IMAGES.astype(np.float32))
    with pytest.raises(UsageError, match="calibration needs uint8 images"):
        prepare(block(uneven=False), IMAGES.astype(np.float32))
