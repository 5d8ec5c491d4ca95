"""Plain and SIMD kernels on the host, under AddressSanitizer and UBSan: every layer's output is Python's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mico.codegen.c import HostModel, generate
from mico.graph import OpKind
from mico.quant.execute import run
from mico.quant.integer import Format, IntegerModel


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


def check(model: IntegerModel, x: np.ndarray, directory: Path, *, simd: int) -> None:
    """Assert that the C of *model* computes what Python does, layer by layer."""
    expected, kept = run(model, x, keep=True)
    output, layers = HostModel(generate(model, directory, simd=simd).directory, simd=simd).run(x)
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
