"""The whole way from a torch module to C: every tensor equals the executor's. Seeds: 1 for bits, named for networks."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from networks import build
from random_models import random_integer_model, random_scheme

from mico.codegen.c.generate import generate
from mico.codegen.c.host import HostModel
from mico.quant.calibrate import calibrate
from mico.quant.execute import run
from mico.quant.integer import IntegerModel
from mico.quant.lower import lower
from mico.trace import trace

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (cc) on the host")


def assert_c_equals_python(model: IntegerModel, x: np.ndarray, folder: Path) -> None:
    generate(model, folder)
    logits, layers = HostModel(folder, simd=0).run(x)
    expected, kept = run(model, x, keep=True)
    np.testing.assert_array_equal(logits, expected)
    outputs = {op.name: op.output for op in model.ops}
    assert outputs[model.ops[-1].name] in kept
    assert layers
    for name, values in layers.items():
        np.testing.assert_array_equal(values.reshape(kept[outputs[name]].shape), kept[outputs[name]], err_msg=name)


@pytest.mark.parametrize("name", ["residual", "separable", "fire", "dense"])
def test_a_network_of_the_zoo_computes_the_same_in_c(name: str, tmp_path: Path) -> None:
    graph = trace(*build(name))
    x = np.random.default_rng(0).integers(0, 256, (20, *graph.input_shape)).astype(np.uint8)
    assert_c_equals_python(lower(graph, random_scheme(graph, 1), calibrate(graph, x)), x[:5], tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_a_random_network_computes_the_same_in_c(seed: int, tmp_path: Path) -> None:
    model, x = random_integer_model(seed, depth=5)
    assert_c_equals_python(model, x, tmp_path)
