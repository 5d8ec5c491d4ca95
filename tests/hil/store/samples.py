"""Things to put into a store: a small model, and a program of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

ROOT = Path(__file__).resolve().parents[3]
X = np.arange(4, dtype=np.uint8).reshape(1, 4)
SCHEME = {"fc": {"w": 8, "a": 8}}


def one_layer(weight: int = 1) -> IntegerModel:
    """Four inputs to two logits; *weight* makes models differ."""
    return IntegerModel(
        name="tiny",
        input="input",
        output="fc",
        tensors={
            "input": Tensor("input", (4,), Format(8, False), 1.0),
            "fc": Tensor("fc", (2,), Format(32, True), 1.0),
        },
        ops=(
            IntegerOp(
                "fc",
                OpKind.LINEAR,
                ("input",),
                "fc",
                weight=np.full((2, 4), weight, dtype=np.int8),
                weight_format=Format(8, True),
                bias=np.zeros(2, dtype=np.int32),
                requant=Requant(np.full(2, 1 << 30, dtype=np.int32), np.full(2, 30, dtype=np.int32)),
            ),
        ),
    )
