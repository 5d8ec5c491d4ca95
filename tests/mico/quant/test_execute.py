"""The executor computes the integers of the contract: compared with plain Python integers."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

sys.path.insert(0, str(Path(__file__).parent))
from random_programs import BITS, programs, random_input, random_weight
from reference import run_all

from mico.errors import QuantError, UsageError
from mico.graph import OpKind
from mico.quant.execute import run
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor


def linear(weight_bits: int, source: Format, out: Format, k: int, seed: int, outputs: int = 3) -> IntegerModel:
    """input (8 bits) -> requant to *source* -> linear to *out* -> requant to int32."""
    rng = np.random.default_rng(seed)
    spread = max(1.0, np.sqrt(k) * source.max_abs * 2 ** (weight_bits - 1) / 3)
    m = np.full(outputs, min(2**31 - 1, max(1, int(out.max_abs / spread * 2**30))), dtype=np.int32)
    one = Requant(np.array([1 << 30], dtype=np.int32), np.array([30], dtype=np.int32))
    down = Requant(np.array([source.qmax * (1 << 22)], dtype=np.int32), np.array([29], dtype=np.int32))
    ops = (
        IntegerOp("fc__in", "requant", ("input",), "fc__in", requant=down),
        IntegerOp(
            "fc", OpKind.LINEAR, ("fc__in",), "fc",
            weight=random_weight(rng, (outputs, k), weight_bits), weight_format=Format(weight_bits, True),
            bias=rng.integers(-int(spread), int(spread) + 1, outputs).astype(np.int32),
            requant=Requant(m, np.full(outputs, 30, dtype=np.int32)),
        ),
        IntegerOp("out", "requant", ("fc",), "out", requant=one),
    )  # fmt: skip
    tensors = [
        Tensor("input", (k,), Format(8, source.signed), 1.0),
        Tensor("fc__in", (k,), source, 1.0),
        Tensor("fc", (outputs,), out, 1.0),
        Tensor("out", (outputs,), Format(32, True), 1.0),
    ]
    return IntegerModel("linear", "input", "out", {t.name: t for t in tensors}, ops)


def assert_equals_reference(model: IntegerModel, x: np.ndarray) -> None:
    logits, kept = run(model, x, keep=True, batch=2)
    for n, sample in enumerate(x):
        expected = run_all(model, sample)
        for name, values in kept.items():
            np.testing.assert_array_equal(values[n], expected[name], err_msg=name)
        np.testing.assert_array_equal(logits[n], expected[model.output].ravel())


@given(programs())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_random_programs_equal_plain_integers(drawn: tuple[IntegerModel, np.random.Generator]) -> None:
    model, rng = drawn
    assert_equals_reference(model, random_input(rng, 3, model.tensors["input"]))


@pytest.mark.parametrize("weight_bits", BITS)
@pytest.mark.parametrize("activation_bits", BITS)
@pytest.mark.parametrize("signed", [False, True])
def test_every_bit_pair_equals_plain_integers_at_odd_k(weight_bits: int, activation_bits: int, signed: bool) -> None:
    for out_bits, k in zip(BITS, (1, 7, 33, 129), strict=True):
        model = linear(weight_bits, Format(activation_bits, signed), Format(out_bits, signed), k, seed=k)
        x = random_input(np.random.default_rng(5), 3, model.tensors["input"])
        assert_equals_reference(model, x)


def test_accumulators_beyond_float32_stay_exact() -> None:
    """K where 24 bits of mantissa round: 127 * 255 * 60000 is about 2^31."""
    k = 60_000
    model = linear(8, Format(8, False), Format(8, True), k, seed=11, outputs=1)
    fc = model.ops[1]
    one = np.ones(1, dtype=np.int32)
    raw = IntegerOp("fc", OpKind.LINEAR, ("input",), "fc", weight=np.full((1, k), 127, dtype=np.int8),
                    weight_format=fc.weight_format, bias=one, requant=Requant(2 * one, one))  # fmt: skip
    tensors = {"input": Tensor("input", (k,), Format(8, False), 1.0), "fc": Tensor("fc", (1,), Format(32, True), 1.0)}
    model = IntegerModel("wide", "input", "fc", tensors, (raw,))
    x = np.random.default_rng(12).integers(200, 256, (4, k)).astype(np.uint8)
    expected = 127 * x.astype(np.int64).sum(axis=1) + 1
    assert (expected > 2**24).all()
    np.testing.assert_array_equal(model.run(x)[:, 0], expected)


def test_reduced_precision_modes_of_the_caller_do_not_leak_in() -> None:
    model = linear(8, Format(8, False), Format(8, True), 777, seed=3)
    x = random_input(np.random.default_rng(4), 64, model.tensors["input"])
    expected = model.run(x)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            np.testing.assert_array_equal(model.run(x), expected)
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision(before)


def test_threads_that_run_at_once_do_not_disturb_each_other() -> None:
    models = [linear(8, Format(8, False), Format(8, True), 300 + seed, seed=seed) for seed in range(4)]
    inputs = [random_input(np.random.default_rng(7), 300, model.tensors["input"]) for model in models]
    expected = [model.run(x) for model, x in zip(models, inputs, strict=True)]
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda pair: pair[0].run(pair[1], batch=16), zip(models * 3, inputs * 3, strict=True))
        for logits, wanted in zip(results, expected * 3, strict=True):
            np.testing.assert_array_equal(logits, wanted)
    assert torch.get_num_threads() == threads


def test_batch_size_does_not_change_results() -> None:
    model = linear(4, Format(4, False), Format(2, True), 50, seed=8)
    x = random_input(np.random.default_rng(9), 37, model.tensors["input"])
    np.testing.assert_array_equal(model.run(x, batch=5), model.run(x, batch=1000))
    assert model.run(x[:0]).shape == (0, 3)


def test_wrong_inputs_are_refused_with_the_expected_form() -> None:
    model = linear(8, Format(8, False), Format(8, True), 6, seed=1)
    with pytest.raises(UsageError, match="uint8, not float32"):
        model.run(np.zeros((2, 6), dtype=np.float32))
    with pytest.raises(UsageError, match="uint8, not int8"):
        model.run(np.zeros((2, 6), dtype=np.int8))
    with pytest.raises(UsageError, match=r"\(N, 6\), not \(2, 7\)"):
        model.run(np.zeros((2, 7), dtype=np.uint8))


def test_an_accumulator_that_could_overflow_is_refused_by_name() -> None:
    k = 70_000
    weight = np.full((1, k), -128, dtype=np.int8)
    one = np.ones(1, dtype=np.int32)
    op = IntegerOp("big", OpKind.LINEAR, ("input",), "big", weight=weight, weight_format=Format(8, True),
                   requant=Requant(one, one))  # fmt: skip
    tensors = {"input": Tensor("input", (k,), Format(8, False), 1.0), "big": Tensor("big", (1,), Format(32, True), 1.0)}
    with pytest.raises(QuantError, match="big: its accumulator can reach"):
        IntegerModel("m", "input", "big", tensors, (op,)).run(np.zeros((1, k), dtype=np.uint8))


@given(programs())
@settings(max_examples=10, deadline=None, derandomize=True)
def test_saved_programs_come_back_the_same(tmp_path_factory, drawn: tuple[IntegerModel, np.random.Generator]) -> None:
    model, rng = drawn
    path = tmp_path_factory.mktemp("model") / "m.npz"
    model.save(path)
    again = IntegerModel.load(path)
    assert again.digest() == model.digest()
    x = random_input(rng, 2, model.tensors["input"])
    np.testing.assert_array_equal(again.run(x), model.run(x))


def test_the_digest_sees_every_weight() -> None:
    model = linear(8, Format(8, False), Format(8, True), 6, seed=1)
    digest = model.digest()
    assert linear(8, Format(8, False), Format(8, True), 6, seed=1).digest() == digest
    weight = model.ops[1].weight
    assert weight is not None
    weight[2, 5] ^= 1
    assert model.digest() != digest


def test_a_file_that_is_no_model_is_a_usage_error(tmp_path: Path) -> None:
    for content in (b"", b"nonsense"):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(UsageError, match="not a saved IntegerModel"):
            IntegerModel.load(tmp_path / "x.npz")
    with pytest.raises(UsageError, match="missing"):
        IntegerModel.load(tmp_path / "missing.npz")


def test_ten_thousand_images_through_lenet5_take_less_than_ten_seconds() -> None:
    rng = np.random.default_rng(0)
    shapes = [("conv1", (6, 1, 5, 5), (6, 28, 28), 2), ("conv2", (16, 6, 5, 5), (16, 10, 10), 0)]
    tensors = {"input": Tensor("input", (1, 28, 28), Format(8, False), 1.0)}
    ops: list[IntegerOp] = []

    def add(name: str, kind: OpKind, shape: tuple[int, ...], bits: int = 8, **fields) -> None:
        source = ops[-1].output if ops else "input"
        tensors[name] = Tensor(name, shape, Format(bits, bits == 32), 1.0)
        ops.append(IntegerOp(name, kind, (source,), name, **fields))

    def constants(n: int) -> Requant:
        return Requant(np.full(n, 1 << 20, dtype=np.int32), np.full(n, 30, dtype=np.int32))

    for name, weight, shape, padding in shapes:
        attrs = {"kernel": (5, 5), "stride": (1, 1), "padding": (padding, padding), "groups": 1}
        add(name, OpKind.CONV2D, shape, attrs=attrs, weight=random_weight(rng, weight, 8),
            weight_format=Format(8, True), requant=constants(shape[0]))  # fmt: skip
        pooled = (shape[0], shape[1] // 2, shape[2] // 2)
        pool = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
        add(name + "_pool", OpKind.MAX_POOL, pooled, attrs=pool)
    add("flatten", OpKind.FLATTEN, (400,))
    for name, out, k in (("fc1", 120, 400), ("fc2", 84, 120), ("fc3", 10, 84)):
        add(name, OpKind.LINEAR, (out,), bits=32 if name == "fc3" else 8, weight=random_weight(rng, (out, k), 8),
            weight_format=Format(8, True), requant=constants(out))  # fmt: skip
    model = IntegerModel("lenet5", "input", "fc3", tensors, tuple(ops))
    x = random_input(rng, 10_000, tensors["input"])
    seconds = []
    for _ in range(3):  # the best of three: other programs may hold the cores
        start = time.perf_counter()
        assert model.run(x).shape == (10_000, 10)
        seconds.append(time.perf_counter() - start)
        if seconds[-1] < 10:
            break
    assert min(seconds) < 10, seconds
