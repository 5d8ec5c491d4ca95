"""Counts of what the engines do: cells are what lowering makes, words are those that a walk over a window touches."""

from __future__ import annotations

import numpy as np
import pytest

from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.c.layout import TensorLayout
from mico.codegen.c.stream import Window
from mico.latency.bitfusion_cost import network_cycles
from mico.latency.cells import Cells
from mico.latency.corpus import corpus_graph
from mico.latency.engines import BitFusion
from mico.latency.features import tensor_bits
from mico.latency.stream_cost import COLUMNS, _gather_words, stream_counts
from mico.quant.calibrate import calibrate
from mico.quant.integer import IntegerModel
from mico.quant.lower import lower
from mico.quant.scheme import BITS, Scheme


def lowered(name: str, seed: int) -> tuple[object, Scheme, dict[str, int], IntegerModel]:
    graph, rng = corpus_graph(name), np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, *graph.input_shape)).astype(np.uint8)
    scheme = Scheme.from_vector(graph.layer_names, rng.choice(BITS, 2 * len(graph.quantisable)).tolist())
    bits = {key: int(b[0]) for key, b in tensor_bits(graph, np.array([scheme.vector()])).items()}
    return graph, scheme, bits, lower(graph, scheme, calibrate(graph, images, seed=seed))


@pytest.mark.parametrize("name", ["lenet5", "corners", "squeezenet", "resnet8"])
def test_cells_are_the_operations_that_lowering_makes(name: str) -> None:
    graph, scheme, bits, model = lowered(name, seed=1)
    cells = dict(Cells(graph).of_scheme(bits, dict(scheme)))  # type: ignore[arg-type]
    assert [op.name for op in model.ops] == list(cells)
    for op in model.ops:
        cell = cells[op.name]
        assert cell.out.format == model.tensors[op.output].format
        assert cell.out.shape == model.tensors[op.output].shape
        assert [t.format for t in cell.inputs] == [model.tensors[name].format for name in op.inputs]
        assert cell.weight_bits == (op.weight_format.bits if op.weight_format else 0)
        assert (cell.op.kind, dict(cell.op.attrs)) == (op.kind, dict(op.attrs))
        # counted from shapes and widths alone
        layouts = [TensorLayout.of(model.tensors[name]) for name in op.inputs]
        out = TensorLayout.of(model.tensors[op.output])
        own = stream_counts(cell.op, list(cell.inputs), cell.out)
        np.testing.assert_array_equal(own, stream_counts(op, layouts, out))


@pytest.mark.parametrize("name", ["lenet5", "corners", "squeezenet"])
def test_a_network_without_values_is_predicted_as_with_them(name: str) -> None:
    graph, scheme, bits, model = lowered(name, seed=2)
    found = network_cycles(graph, scheme, bits, Machine())  # type: ignore[arg-type]
    program = compile_model(model, batch=1, weights=False)
    assert found == dict(zip(program.marks, np.diff([0, *program.predicted[:-1]]).astype(float), strict=True))


def walked(window: Window, bits: int) -> int:
    """Words that GATHER touches, run by run, a word of padding for each up to 32 bits beside the picture."""
    pixel, line, total = window.channels * bits, window.width * window.channels * bits, 0
    runs = 1 if window.whole else window.kernel[1]
    length = window.kernel[1] * pixel if window.whole else window.channels // window.groups * bits
    for group in range(window.groups):
        for y in range(window.out[0]):
            for x in range(window.out[1]):
                for i in range(window.kernel[0]):
                    row = y * window.stride[0] - window.padding[0] + i
                    for j in range(runs):
                        start = (x * window.stride[1] - window.padding[1] + j) * pixel + group * length * (runs > 1)
                        low, high = max(start, 0), min(start + length, line)
                        if not 0 <= row < window.height or low >= high:
                            total += -(-length // 32)
                            continue
                        total += (row * line + high - 1) // 32 - (row * line + low) // 32 + 1
                        total += -(-(low - start) // 32) + -(-(start + length - high) // 32)
    return total


@pytest.mark.parametrize("seed", range(12))
def test_gathered_words_are_those_of_a_walk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = int(rng.choice([1, 1, 3]))
    kernel = int(rng.integers(2, 6))
    padding = int(rng.integers(0, kernel))
    stride = int(rng.integers(1, 3))
    height, width = (int(n) for n in rng.integers(kernel, 12, 2))
    out = tuple((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
    channels = groups * int(rng.integers(1, 6))
    window = Window(height, width, channels, (kernel,) * 2, (stride,) * 2, (padding,) * 2, groups, out, 4 * groups)
    bits = int(rng.choice([8, 4, 2, 1]))
    assert _gather_words(window, bits) == walked(window, bits)


def test_wider_weights_stream_longer_and_wider_inputs_gather_longer() -> None:
    graph = corpus_graph("cmsiscnn")
    table = {n: i for i, n in enumerate(COLUMNS)}
    counts = {}
    for bits in (8, 2):
        scheme = Scheme.uniform(graph.layer_names, bits)
        every = {key: int(b[0]) for key, b in tensor_bits(graph, np.array([scheme.vector()])).items()}
        for name, cell in Cells(graph).of_scheme(every, dict(scheme)):
            counts[bits, name] = stream_counts(cell.op, list(cell.inputs), cell.out)
    for name in graph.layer_names:
        for column in ("run_stream", "run_gather"):
            assert counts[8, name][table[column]] > counts[2, name][table[column]]


def test_bitfusions_pools_cost_nothing_where_convolutions_do_them() -> None:
    table = BitFusion().table(corpus_graph("lenet5"))
    assert not table.others["pool1"].any()
    assert not table.others["pool2"].any()
    assert np.all(table.layers[:-1, :, :, :4, 1] > 0)
