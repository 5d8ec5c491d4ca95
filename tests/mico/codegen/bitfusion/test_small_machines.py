"""Networks on machines of random small sizes: buffers that a layer's units fill to the last row.

Units of a layer are placed behind those of the layer before, at any row of a ring: what is left at its end, too little
for the next unit, must not keep a layer out that fits the buffer.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import execute
from mico.errors import CompileError, UsageError
from mico.graph import OpKind
from mico.quant.integer import Format
from tests.mico.codegen.random_models import ModelBuilder, lenet5, random_model

BITS = (1, 2, 4, 8)
COMPUTED = (3, 7, 11, 12, 34, 152, 154, 289, 332, 352, 366, 368)
"""Seeds; from 12 on, kept weights need the whole buffer and meet a ring that is not at its start."""
UNMAPPABLE = re.compile(r"whole bytes|cannot be mapped|a row of its results reads|do not fit the input buffer twice")
"""What a machine may be too small for; "its tiles do not fit the buffers", found while linking, is a defect."""


def small_machine(seed: int) -> Machine:
    """Up to 16 x 16 units, few rows in every buffer."""
    rng = np.random.default_rng(seed)
    while True:
        rows, cols = int(rng.choice([4, 8, 16])), int(rng.choice([8, 16]))
        bus = int(rng.choice([32, 64, 128, 256]))
        try:
            return Machine(
                rows=rows,
                cols=cols,
                bus_bits=bus,
                ibuf_bytes=1 << int(rng.integers(10, 14)),
                wbuf_bytes=4 * rows * cols * int(rng.integers(8, 41)),
                obuf_bytes=4 * cols * int(rng.integers(4, 65)),
                patch_depth=1 << int(rng.integers(3, 7)),
                param_depth=int(rng.integers(4, 25)),
            )
        except UsageError:  # a beat wider than a line
            continue


def network(seed: int) -> ModelBuilder:
    """LeNet-5, whose weights fill small buffers, three times out of four."""
    rng = np.random.default_rng([seed, 1])
    if seed % 4 == 3:
        return random_model(seed)
    return lenet5(int(rng.choice(BITS)), int(rng.choice(BITS)))


@pytest.mark.parametrize("wgt", BITS)
@pytest.mark.parametrize("act", BITS)
def test_lenet5_of_every_pair_compiles_for_an_8x8_array(wgt: int, act: int) -> None:
    machine = Machine(rows=8, cols=8, bus_bits=128, ibuf_bytes=4096, wbuf_bytes=8192, obuf_bytes=1024)
    model = lenet5(wgt, act).build()
    weighted = [op.name for op in model.ops if op.weight is not None]
    for batch in (1, 2, 3):
        program = compile_model(model, batch=batch, machine=machine, weights=False)
        assert set(weighted) <= set(program.marks)


def test_networks_compile_or_say_what_is_too_small() -> None:
    """Seeds 0 to 119."""
    refused: dict[int, str] = {}
    for seed in range(120):
        try:
            compile_model(network(seed).build(), batch=1 + seed % 3, machine=small_machine(seed), weights=False)
        except CompileError as error:
            refused[seed] = str(error)
    assert [why for why in refused.values() if not UNMAPPABLE.search(why)] == []
    assert len(refused) < 12


@pytest.mark.parametrize("seed", COMPUTED)
def test_networks_on_small_machines_compute_the_same(seed: int) -> None:
    builder = network(seed)
    x = builder.inputs(1 + seed % 3)
    program = compile_model(builder.build(), batch=len(x), machine=small_machine(seed))
    memory = program.memory(x)
    execute(program.instructions, memory, program.machine, seed=seed)
    np.testing.assert_array_equal(program.unpack_outputs(memory), builder.build().run(x))


@pytest.mark.parametrize("channels", [64, 80, 192])
@pytest.mark.parametrize("bits", [4, 8])
def test_windows_that_exceed_the_input_buffer_are_read_by_channels(channels: int, bits: int) -> None:
    """Average pool with padding over rows of up to 3840 bytes, then a global one."""
    machine = Machine(rows=8, cols=8, bus_bits=64, ibuf_bytes=2048, wbuf_bytes=8192, obuf_bytes=1024)
    builder = ModelBuilder(channels + bits, (channels, 8, 20))
    x = builder.requant("input", out=Format(bits, True))
    x = builder.pool(OpKind.AVG_POOL, x, (3, 3), stride=(2, 3), padding=(1, 1), out=Format(8, False))
    x = builder.global_pool(x, out=Format(8, True))
    builder.linear(builder.flatten(x), 5, weight_bits=2, out=Format(32, True))
    x_values = builder.inputs(2)
    program = compile_model(builder.build(), batch=2, machine=machine)
    memory = program.memory(x_values)
    execute(program.instructions, memory, machine, seed=channels)
    np.testing.assert_array_equal(program.unpack_outputs(memory), builder.build().run(x_values))


def test_pixels_that_cannot_be_cut_are_refused() -> None:
    """49 bytes a pixel are not whole beats."""
    machine = Machine(rows=8, cols=8, bus_bits=64, ibuf_bytes=2048, wbuf_bytes=8192, obuf_bytes=1024)
    builder = ModelBuilder(1, (49, 8, 8))
    builder.requant(builder.global_pool("input"), out=Format(32, True))
    with pytest.raises(CompileError, match=r"op0: a row of its results reads 3136 bytes.*not whole beats"):
        compile_model(builder.build(), machine=machine)
