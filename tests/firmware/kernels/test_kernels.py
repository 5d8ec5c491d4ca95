"""Plain and SIMD kernels on the host, under AddressSanitizer and UBSan: every layer's output is Python's."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mico.codegen.c import HostModel, generate
from mico.graph import OpKind
from mico.quant.execute import run
from mico.quant.integer import Format, IntegerModel, Requant


def _load() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "mico" / "codegen" / "random_models.py"
    spec = importlib.util.spec_from_file_location("random_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


models = _load()
BUILDS = pytest.mark.parametrize("simd", [0, 1, 2], ids=["plain", "simd", "stream"])


def check(model: IntegerModel, x: np.ndarray, directory: Path, *, simd: int, lanes: int = 4) -> None:
    """Assert that the C of *model* computes what Python does, layer by layer."""
    expected, kept = run(model, x, keep=True)
    output, layers = HostModel(generate(model, directory, simd=simd).directory, simd=simd, lanes=lanes).run(x)
    for op in model.ops:
        if op.name in layers:
            np.testing.assert_array_equal(layers[op.name], kept[op.output], err_msg=f"{op.name}: {op.kind}")
    np.testing.assert_array_equal(output, expected)


def all_pairs(signed: bool) -> models.ModelBuilder:  # type: ignore[name-defined]
    """Every pair of widths as padded, grouped convolution and linear layer, none a multiple of the packing."""
    builder = models.ModelBuilder(7, (3, 5, 6), signed=signed)
    parts = []
    for a in models.BITS:
        source = builder.requant("input", out=Format(a, signed))
        for w in models.BITS:
            outs = [Format(int(builder.rng.choice(models.BITS)), bool(builder.rng.integers(2))) for _ in range(3)]
            builder.conv(source, 7, (3, 3), padding=(1, 1), weight_bits=w, out=outs[0])
            builder.conv(source, 6, (2, 3), padding=(0, 2), stride=(1, 2), groups=3, weight_bits=w, out=outs[1])
            flat = builder.flatten(source)
            parts.append(builder.linear(flat, 5, weight_bits=w, out=outs[2]))
    builder.linear(builder.concat(parts), 4, out=Format(32, True))
    return builder


@BUILDS
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_all_sixteen_pairs(tmp_path: Path, signed: bool, simd: int) -> None:
    builder = all_pairs(signed)
    check(builder.build(), builder.inputs(3), tmp_path, simd=simd)


@BUILDS
@pytest.mark.parametrize("channels", [32, 33])
def test_pointwise_convolution_reads_whole_words_in_place(tmp_path: Path, channels: int, simd: int) -> None:
    builder = models.ModelBuilder(8, (channels, 3, 5))
    for form in models.FORMATS:
        source = builder.requant("input", out=form)
        for w in models.BITS:
            builder.conv(source, 9, (1, 1), stride=(1 + w % 2, 1), weight_bits=w)
    builder.linear(builder.flatten(source), 3, out=Format(32, True))
    check(builder.build(), builder.inputs(2), tmp_path, simd=simd)


@BUILDS
def test_padding_of_plus_minus_one_contributes_nothing(tmp_path: Path, simd: int) -> None:
    builder = models.ModelBuilder(9, (2, 4, 4), signed=True)
    source = builder.requant("input", out=Format(1, True))
    for w in models.BITS:
        builder.conv(source, 5, (3, 3), padding=(2, 2), weight_bits=w, out=Format(8, True))
        builder.pool(OpKind.MAX_POOL, source, (3, 3), padding=(1, 1))
    builder.linear(builder.flatten(source), 3, out=Format(32, True))
    check(builder.build(), builder.inputs(4), tmp_path, simd=simd)


@BUILDS
def test_accumulators_and_logits_at_the_ends_of_int32(tmp_path: Path, simd: int) -> None:
    builder = models.ModelBuilder(10, (64,), signed=True)
    builder.linear("input", 6, weight_bits=8, out=Format(32, True))
    model = builder.build()
    op = model.ops[0]
    assert op.bias is not None or op.weight is not None
    object.__setattr__(op, "bias", np.array([2**30, -(2**30), 2**31 - 2**20 - 1, -(2**31) + 2**20 + 1, 0, 1], np.int32))
    assert op.requant is not None
    object.__setattr__(op.requant, "multiplier", np.array([2**31 - 1, 2**31 - 1, 1, 2**30, 5, 2**31 - 1], np.int32))
    object.__setattr__(op.requant, "shift", np.array([1, 1, 1, 62, 33, 32], np.int32))
    x = np.stack([np.full(64, v) for v in (-128, 127, 0)]).astype(np.int8)
    check(model, x, tmp_path, simd=simd)


@BUILDS
def test_depthwise_convolutions_of_all_widths(tmp_path: Path, simd: int) -> None:
    """Also where the generator computes several groups at a time."""
    builder = models.ModelBuilder(12, (8, 5, 7))
    for form in models.FORMATS:
        source = builder.requant("input", out=form)
        for w in models.BITS:
            builder.conv(source, 8 + 8 * (w % 4 // 2), (3, 3), padding=(1, 1), groups=8, weight_bits=w)
    builder.linear(builder.flatten(source), 3, out=Format(32, True))
    check(builder.build(), builder.inputs(2), tmp_path, simd=simd)


@BUILDS
@pytest.mark.parametrize("lanes", [2, 4])
def test_pools_sums_and_concatenations_of_all_formats(tmp_path: Path, lanes: int, simd: int) -> None:
    """Windows below and above the engine's lanes, with and without padding, widths mixed and not."""
    builder = models.ModelBuilder(15, (3, 7, 8), signed=True)
    ends = []
    for form in models.FORMATS:
        source = builder.requant("input", out=form)
        for kernel, stride, padding in [((3, 3), (1, 2), (1, 1)), ((2, 2), (2, 2), (0, 0)), ((4, 5), (3, 1), (0, 2))]:
            builder.pool(OpKind.MAX_POOL, source, kernel, stride=stride, padding=padding)
            builder.pool(OpKind.AVG_POOL, source, kernel, stride=stride, padding=padding)
        builder.add(source, builder.requant("input", out=Format(form.bits, not form.signed)))
        ends.append(source)
    builder.concat(ends[:3])
    builder.global_pool(builder.concat(ends))
    builder.requant(builder.ops[-1].output, out=Format(32, True))
    check(builder.build(), builder.inputs(3), tmp_path, simd=simd, lanes=lanes)
    assert ("mico_stream_max_pool" in (tmp_path / "model.c").read_text()) == (simd == 2)


def test_pools_that_exceed_the_engines_buffer(tmp_path: Path) -> None:
    builder = models.ModelBuilder(16, (130, 8, 70))
    builder.pool(OpKind.MAX_POOL, "input", (2, 1), stride=(4, 1))
    builder.pool(OpKind.AVG_POOL, "input", (8, 8), stride=(1, 60))
    builder.requant(builder.global_pool("input"), out=Format(32, True))
    check(builder.build(), builder.inputs(2), tmp_path, simd=2)
    reasons = re.findall("not on the streaming engine: strings of ([0-9]+) bits", (tmp_path / "model.c").read_text())
    assert reasons == [str(70 * 130 * 8), str(64 * 130 * 8), str(560 * 130 * 8)]


def matrix_product(seed: int, bits: int, *, bias: bool) -> models.ModelBuilder:  # type: ignore[name-defined]
    """(6, 70) by (70, 9), int32 results: a convolution under a 1x1 window, scaled by 1."""
    builder = models.ModelBuilder(seed, (70, 2, 3), signed=True)
    builder.conv("input", 9, (1, 1), weight_bits=bits, out=Format(32, True))
    op = builder.ops[0]
    requant = Requant(np.full(9, 1 << 20, np.int32), np.full(9, 20, np.int32))
    builder.ops[0] = replace(op, requant=requant, bias=np.arange(-4, 5, dtype=np.int32) if bias else None)
    return builder


@BUILDS
@pytest.mark.parametrize("bias", [False, True])
def test_results_scaled_by_one_are_the_accumulators(tmp_path: Path, bias: bool, simd: int) -> None:
    for bits in models.BITS:
        builder = matrix_product(13, bits, bias=bias)
        check(builder.build(), builder.inputs(2), tmp_path / str(bits), simd=simd)
        source = (tmp_path / str(bits) / "model.c").read_text()
        assert ("MICO_STREAM_INT32" in source) == (simd == 2)
        assert ("MICO_STREAM_BIAS" in source) == (simd == 2 and bias)


def test_what_exceeds_the_engines_buffer_runs_on_the_dot_products(tmp_path: Path) -> None:
    builder = models.ModelBuilder(14, (8200,), signed=True)
    builder.linear("input", 2, weight_bits=2, out=Format(32, True))
    check(builder.build(), builder.inputs(2), tmp_path, simd=2)
    assert "not on the streaming engine: rows of 8200 activations of 8 bits" in (tmp_path / "model.c").read_text()


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_engine_of_fewer_lanes_gives_the_same_results(tmp_path: Path, lanes: int) -> None:
    for number in (21, 22, 23):
        builder = models.random_model(number)
        check(builder.build(), builder.inputs(2), tmp_path / str(number), simd=2, lanes=lanes)


@BUILDS
@seed(11)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(number=st.integers(0, 1 << 32))
def test_random_networks(tmp_path: Path, number: int, simd: int) -> None:
    builder = models.random_model(number)
    check(builder.build(), builder.inputs(4), tmp_path / f"{number}_{simd}", simd=simd)


@pytest.mark.slow
@BUILDS
@pytest.mark.parametrize("number", range(1000, 1150))
def test_many_random_networks(tmp_path: Path, number: int, simd: int) -> None:
    builder = models.random_model(number, layers=14)
    check(builder.build(), builder.inputs(4), tmp_path, simd=simd)
