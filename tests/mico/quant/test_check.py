"""The contract check: each way to break an integer program is refused with the operation's name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import build

from mico.errors import QuantError
from mico.quant.calibrate import calibrate
from mico.quant.check import check
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant
from mico.quant.lower import lower
from mico.quant.scheme import Scheme
from mico.trace import trace


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    graph = trace(*build("fire"))
    x = np.random.default_rng(0).integers(0, 256, (9, *graph.input_shape)).astype(np.uint8)
    return lower(graph, Scheme.uniform(graph.layer_names, 4), calibrate(graph, x))


def with_op(model: IntegerModel, name: str, **changes: Any) -> IntegerModel:
    return replace(model, ops=tuple(replace(op, **changes) if op.name == name else op for op in model.ops))


def with_tensor(model: IntegerModel, name: str, **changes: Any) -> IntegerModel:
    return replace(model, tensors={**model.tensors, name: replace(model.tensors[name], **changes)})


def op(model: IntegerModel, name: str) -> IntegerOp:
    return next(op for op in model.ops if op.name == name)


def with_requant(model: IntegerModel, name: str, multiplier: int, shift: int) -> IntegerModel:
    requant = op(model, name).requant
    assert requant is not None
    return with_op(
        model,
        name,
        requant=Requant(np.full_like(requant.multiplier, multiplier), np.full_like(requant.shift, shift)),
    )


BREAKS: dict[str, tuple[Callable[[IntegerModel], IntegerModel], str]] = {
    "weights beyond 4 bits": (
        lambda m: with_op(m, "squeeze", weight=op(m, "squeeze").weight * 0 + 8),
        "squeeze: weights are",
    ),
    "zero in 1 bit": (
        lambda m: with_op(m, "squeeze", weight=op(m, "squeeze").weight * 0, weight_format=Format(1, True)),
        "squeeze: weights are outside s1",
    ),
    "weight type": (
        lambda m: with_op(m, "squeeze", weight=op(m, "squeeze").weight.astype(np.int32)),
        "squeeze: needs int8",
    ),
    "weight shape": (lambda m: with_op(m, "expand3", weight=op(m, "expand3").weight[:, :2]), "expand3: weight shape"),
    "bias shape": (lambda m: with_op(m, "expand3", bias=np.zeros(2, np.int32)), "expand3: the bias must be int32"),
    "bias type": (lambda m: with_op(m, "expand3", bias=np.zeros(5, np.int64)), "expand3: the bias must be int32"),
    "overflow by bias": (
        lambda m: with_op(m, "squeeze", bias=np.full(4, 2**31 - 1, np.int32)),
        "squeeze: its accumulator can reach",
    ),
    "no requant": (lambda m: with_op(m, "concat", requant=None), "concat: concat needs a requant"),
    "requant of a pool": (
        lambda m: with_op(m, "max_pool", requant=op(m, "concat").requant),
        "max_pool: max_pool does not",
    ),
    "few constants": (lambda m: with_op(m, "concat", requant=op(m, "squeeze__in").requant), "concat: requant has 1"),
    "multiplier 0": (lambda m: with_requant(m, "concat", 0, 3), "concat: multipliers must be positive"),
    "shift 0": (lambda m: with_requant(m, "concat", 1, 0), "concat: multipliers must be positive"),
    "shift 63": (lambda m: with_requant(m, "concat", 1, 63), "concat: multipliers must be positive"),
    "unknown operation": (lambda m: with_op(m, "concat", kind="softmax"), "concat: .*softmax"),
    "unknown input": (lambda m: with_op(m, "concat", inputs=("expand1", "nowhere")), r"concat: reads \['nowhere'\]"),
    "order": (lambda m: replace(m, ops=m.ops[1:]), r"squeeze: reads \['squeeze__in'\]"),
    "two outputs": (lambda m: replace(m, ops=(*m.ops, m.ops[-1])), "writes 'global_avg_pool' twice"),
    "missing attribute": (lambda m: with_op(m, "max_pool", attrs={}), "max_pool: has no attribute"),
    "shape": (lambda m: with_tensor(m, "concat", shape=(9, 9, 9)), "concat: writes shape"),
    "pool format": (lambda m: with_tensor(m, "max_pool", format=Format(2, False)), "max_pool: max_pool changes format"),
    "bits": (lambda m: with_tensor(m, "expand1", format=Format(3, False)), "tensor expand1: has format u3"),
    "input bits": (lambda m: with_tensor(m, "input", format=Format(4, False)), "the network's input must be 8 bits"),
    "output bits": (lambda m: replace(m, output="concat"), "the network's output must be int32"),
    "no output": (lambda m: replace(m, output="other"), "there is no tensor 'other'"),
    "scale": (lambda m: with_tensor(m, "concat", scale=0.0), "tensor concat: has format .* and scale 0"),
}


def test_a_lowered_program_passes(model: IntegerModel) -> None:
    check(model)


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_the_contract_is_refused_by_name(model: IntegerModel, name: str) -> None:
    break_it, message = BREAKS[name]
    with pytest.raises(QuantError, match=message):
        check(break_it(model))
