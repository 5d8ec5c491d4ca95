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
    """Seeds 0 to 199."""
    refused: dict[int, str] = {}
    for seed in range(200):
        try:
            compile_model(network(seed).build(), batch=1 + seed % 3, machine=small_machine(seed), weights=False)
        except CompileError as error:
            refused[seed] = str(error)
    assert [why for why in refused.values() if not UNMAPPABLE.search(why)] == []
    assert len(refused) < 20


@pytest.mark.parametrize("seed", COMPUTED)
def test_networks_on_small_machines_compute_the_same(seed: int) -> None:
    builder = network(seed)
    x = builder.inputs(1 + seed % 3)
    program = compile_model(builder.build(), batch=len(x), machine=small_machine(seed))
    memory = program.memory(x)
    execute(program.instructions, memory, program.machine, seed=seed)
    np.testing.assert_array_equal(program.unpack_outputs(memory), builder.build().run(x))
