"""Graph: work counts, lookups and identity."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from networks import build

from mico.graph import Graph, OpKind
from mico.trace import trace


@pytest.fixture(scope="module")
def residual() -> Graph:
    return trace(*build("residual"))


def test_macs_count_every_position_with_padding(residual: Graph) -> None:
    counts = {layer.name: layer.macs for layer in residual.quantisable}
    assert counts == {
        "stem_0": 6 * 3 * 9 * 8 * 8,
        "conv1": 8 * 6 * 9 * 4 * 4,
        "conv2": 8 * 8 * 9 * 4 * 4,
        "shortcut_0": 8 * 6 * 4 * 4,
        "head": 8 * 4,
    }
    assert residual.macs == sum(counts.values())


def test_grouped_convolutions_count_their_own_channels_only() -> None:
    graph = trace(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)), (4, 5, 5))
    assert graph.macs == 4 * 9 * 3 * 3


def test_tensors_are_found_with_their_readers_and_shapes(residual: Graph) -> None:
    assert [layer.name for layer in residual.consumers("stem_0")] == ["conv1", "shortcut_0"]
    assert residual.shape("input") == (3, 8, 8)
    assert residual.shape("add") == (8, 4, 4)
    assert residual.output == "head"
    assert residual["add"].kind is OpKind.ADD
    with pytest.raises(KeyError):
        residual["nowhere"]


def test_attributes_are_read_as_pairs_or_numbers(residual: Graph) -> None:
    assert residual["conv1"].pair("stride") == (2, 2)
    assert residual["conv1"].number("groups") == 1
    with pytest.raises(TypeError, match="stride"):
        residual["conv1"].number("stride")


def test_the_digest_is_that_of_structure_and_parameters(residual: Graph) -> None:
    assert trace(*build("residual")).digest() == residual.digest()
    assert trace(*build("residual", seed=1)).digest() != residual.digest()
    last = replace(residual.layers[-1], relu=True)
    assert replace(residual, layers=(*residual.layers[:-1], last)).digest() != residual.digest()
