"""Compiled programs in the instruction-level model: the same integers as IntegerModel, on arrays of all sizes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mico.codegen.bitfusion import model as machine_model
from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.isa import assemble, disassemble
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import execute
from mico.errors import CompileError, UsageError
from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parents[1] / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


models = _load("random_models")

SMALL = {"ibuf_bytes": 2048, "obuf_bytes": 512, "param_depth": 16}
MACHINES = {
    "4x4": Machine(rows=4, cols=4, bus_bits=64, wbuf_bytes=2048, **SMALL),
    "3x5": Machine(rows=3, cols=5, bus_bits=64, ibuf_bytes=4096, wbuf_bytes=60 * 64, obuf_bytes=20 * 32),
    "8x8": Machine(rows=8, cols=8, bus_bits=128, ibuf_bytes=4096, wbuf_bytes=8192, obuf_bytes=1024),
    "16x32": Machine(),
}
WHOLE_BYTES = {"4x4": 2, "3x5": 8, "8x8": 1, "16x32": 1}  # fewest bits of M results that are whole bytes


def matches(
    model: IntegerModel, x: np.ndarray, machine: Machine, *, seed: int | None = None
) -> tuple[bool, tuple[str, ...]]:
    """Whether *machine* computes what the integers are on *x*; names of its marks."""
    program = compile_model(model, batch=len(x), machine=machine)
    memory = program.memory(x)
    marks = execute(program.instructions, memory, machine, seed=seed)
    assert marks == list(range(len(program.marks)))
    return bool(np.array_equal(program.unpack_outputs(memory), model.run(x))), program.marks


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("size", ["8x8", "16x32"])
def test_random_networks(seed: int, size: str) -> None:
    """Every operation, format and shape; engines in random order."""
    builder = models.random_model(seed)
    assert matches(builder.build(), builder.inputs(1 + seed % 4), MACHINES[size], seed=seed)[0]


@pytest.mark.parametrize("seed", range(100, 120))
@pytest.mark.parametrize("size", ["4x4", "3x5"])
def test_random_networks_on_arrays_of_odd_sizes(seed: int, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = tuple(f for f in models.FORMATS if f.bits >= WHOLE_BYTES[size])
    monkeypatch.setattr(models, "FORMATS", formats)
    builder = models.random_model(seed)
    assert matches(builder.build(), builder.inputs(1 + seed % 4), MACHINES[size], seed=seed)[0]


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (2, 2), (8, 2), (1, 1), (2, 4)])
@pytest.mark.parametrize("size", ["8x8", "16x32"])
def test_lenet5(bits: tuple[int, int], size: str) -> None:
    builder = models.lenet5(*bits)
    assert matches(builder.build(), builder.inputs(3), MACHINES[size], seed=1)[0]


@pytest.mark.parametrize("queue", [1, 2, 16])
@pytest.mark.parametrize("seed", [None, 5])
def test_no_deadlock_whatever_the_queues(queue: int, seed: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions come in an order in which the program runs even with queues of one instruction."""
    monkeypatch.setattr(machine_model, "_QUEUE", queue)
    builder = models.lenet5(4, 4)
    assert matches(builder.build(), builder.inputs(4), MACHINES["8x8"], seed=seed)[0]


@pytest.mark.parametrize("signed", [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("bits", [(8, 8), (8, 4), (2, 8), (1, 1)])
def test_add_of_operands_of_any_two_formats(signed: tuple[bool, bool], bits: tuple[int, int]) -> None:
    builder = models.ModelBuilder(7, (5, 6, 7))
    a, b = (builder.requant("input", out=Format(n, s)) for n, s in zip(bits, signed, strict=True))
    builder.requant(builder.add(a, b, out=Format(8, True)), out=Format(32, True))
    assert matches(builder.build(), builder.inputs(2), MACHINES["8x8"])[0]


@pytest.mark.parametrize("channels", [1, 3, 6, 16, 33])
@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (2, 4), (3, 3)])
def test_fused_pool_and_unrolled_pixels(channels: int, pool: tuple[int, int]) -> None:
    """A max-pool joins the convolution before it, and rows that are not whole unrollings end right."""
    builder = models.ModelBuilder(channels, (2, 13, 11))
    x = builder.conv("input", channels, (3, 3), padding=(1, 1), weight_bits=2, out=Format(4, False))
    if pool != (1, 1):
        x = builder.pool(OpKind.MAX_POOL, x, pool, stride=pool)
    builder.conv(x, 3, (1, 1), out=Format(32, True))
    good, marks = matches(builder.build(), builder.inputs(3), MACHINES["16x32"])
    assert good
    assert len(marks) == 2


def test_reduction_that_exceeds_the_weight_buffer() -> None:
    """Partial sums in OBUF, weights of an octet in pieces, a convolution and a linear layer."""
    builder = models.ModelBuilder(3, (40, 7, 7))
    x = builder.conv("input", 40, (5, 5), padding=(2, 2), weight_bits=8, out=Format(8, True))
    x = builder.flatten(x)
    x = builder.linear(x, 40, weight_bits=8, out=Format(8, False))
    builder.linear(x, 9, weight_bits=4, out=Format(32, True))
    machine = Machine(rows=4, cols=4, bus_bits=64, ibuf_bytes=4096, wbuf_bytes=4096, obuf_bytes=512, param_depth=16)
    assert matches(builder.build(), builder.inputs(2), machine, seed=2)[0]


def test_picture_larger_than_the_input_buffer() -> None:
    """Bands of rows roll through IBUF; each row is loaded once."""
    builder = models.ModelBuilder(4, (8, 40, 32))
    builder.conv("input", 8, (3, 3), padding=(1, 1), stride=(2, 1), weight_bits=4, out=Format(32, True))
    assert matches(builder.build(), builder.inputs(2), MACHINES["4x4"], seed=2)[0]


def test_depthwise_reads_only_its_channels() -> None:
    builder = models.ModelBuilder(9, (96, 9, 9))
    x = builder.conv("input", 96, (3, 3), padding=(1, 1), groups=96, weight_bits=1, out=Format(1, True))
    x = builder.conv(x, 192, (3, 3), stride=(2, 2), groups=96, weight_bits=1, out=Format(4, True))
    builder.conv(x, 2, (1, 1), out=Format(32, True))
    assert matches(builder.build(), builder.inputs(2), MACHINES["16x32"], seed=2)[0]


def test_program_is_a_function_of_its_inputs() -> None:
    builder = models.lenet5(4, 2)
    made = [compile_model(builder.build(), batch=2, machine=MACHINES["8x8"]) for _ in range(2)]
    assert made[0].digest() == made[1].digest()
    assert compile_model(builder.build(), batch=3, machine=MACHINES["8x8"]).digest() != made[0].digest()
    text = disassemble(made[0].instructions)
    assert assemble(text) == list(made[0].instructions)


def test_same_program_without_weights() -> None:
    builder = models.lenet5(2, 2)
    full = compile_model(builder.build(), batch=2)
    bare = compile_model(builder.build(), batch=2, weights=False)
    assert bare.instructions == full.instructions
    assert bare.memory_bytes == full.memory_bytes
    assert len(bare.segments()) == 1


def test_results_that_are_not_whole_bytes_are_refused() -> None:
    builder = models.ModelBuilder(1, (3, 5, 5))
    builder.conv(builder.requant("input", out=Format(1, False)), 4, (1, 1), out=Format(32, True))
    with pytest.raises(CompileError, match=r"op0: writes 1-bit results of 4 columns.*multiple of 8 columns"):
        compile_model(builder.build(), machine=MACHINES["4x4"])


def test_layer_that_fits_no_buffer_is_refused() -> None:
    builder = models.ModelBuilder(1, (3, 3, 40))
    builder.conv("input", 4, (3, 31), weight_bits=8, out=Format(32, True))
    machine = Machine(rows=4, cols=4, bus_bits=64, wbuf_bytes=128)
    with pytest.raises(CompileError, match=r"op0: cannot be mapped: .*weight buffer in every cut"):
        compile_model(builder.build(), machine=machine)


def test_inputs_must_fit() -> None:
    builder = models.lenet5(8, 8)
    program = compile_model(builder.build(), batch=2)
    with pytest.raises(UsageError, match="inputs are"):
        program.pack_inputs(builder.inputs(3))


def test_rows_wider_than_the_input_buffer() -> None:
    """Tiles of a part of the width, where rows are whole beats and where a tile has one row."""
    builder = models.ModelBuilder(5, (32, 4, 80))
    x = builder.conv("input", 6, (3, 3), padding=(1, 1), weight_bits=2, out=Format(8, False))
    builder.conv(x, 3, (1, 1), out=Format(32, True))
    odd = models.ModelBuilder(6, (31, 3, 83))
    odd.conv("input", 5, (1, 1), weight_bits=8, out=Format(32, True))
    for made in (builder, odd):
        assert matches(made.build(), made.inputs(2), MACHINES["4x4"], seed=2)[0]


def test_patch_larger_than_the_input_buffer() -> None:
    """A picture's rows come kernel row by kernel row, partial sums wait in OBUF."""
    builder = models.ModelBuilder(8, (75, 7, 7))
    x = builder.conv("input", 6, (7, 7), padding=(2, 2), weight_bits=4, out=Format(8, True))
    builder.conv(x, 3, (1, 1), out=Format(32, True))
    machine = Machine(rows=4, cols=4, bus_bits=64, ibuf_bytes=2048, wbuf_bytes=16384, obuf_bytes=512)
    assert matches(builder.build(), builder.inputs(2), machine, seed=2)[0]


def test_add_of_rows_that_nearly_fill_the_input_buffer() -> None:
    builder = models.ModelBuilder(2, (16, 3, 50))
    builder.requant(builder.add("input", "input", out=Format(8, False)), out=Format(32, True))
    assert matches(builder.build(), builder.inputs(2), MACHINES["4x4"], seed=2)[0]


def test_pool_that_does_not_fit_its_convolution() -> None:
    """Partial sums of a window exceed OBUF: the max-pool becomes a layer of its own."""
    builder = models.ModelBuilder(3, (64, 12, 12))
    x = builder.conv("input", 4, (3, 3), padding=(1, 1), weight_bits=8, out=Format(4, True))
    x = builder.pool(OpKind.MAX_POOL, x, (6, 6), stride=(6, 6))
    builder.conv(x, 3, (1, 1), out=Format(32, True))
    good, marks = matches(builder.build(), builder.inputs(2), MACHINES["4x4"], seed=1)
    assert good
    assert marks == ("op0", "op1", "op2")
