"""Random programs around custom instructions, on the SoC, against the golden simulator with the unit's models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hil.verilate import build_soc
from tests.rtl.soc_isa.iss import Machine
from tests.rtl.soc_isa.program import assemble, compare, run_golden
from tests.rtl.stress.random_code import Generator, Mix, random_program, simd_operation
from tests.rtl.stress.stream_code import HANDLER_OPS, INSIDE, SETUP, WAIT, machine_with_unit, mixed_operation

pytestmark = pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None,
    reason="needs riscv64-unknown-elf-gcc: apt-get install gcc-riscv64-unknown-elf",
)


@pytest.fixture(scope="module")
def soc() -> Path:
    return build_soc().path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_instructions(soc, seed):
    """Random RV32IM code, without custom instructions."""
    generator = Generator(seed, lambda _: [], Mix(custom=0))
    built = assemble(random_program(generator, instructions=2000, rounds=10))
    machine = run_golden(built)
    compare(soc, built, machine)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_dot_products_among_everything(soc, seed):
    generator = Generator(seed, simd_operation, Mix())
    built = assemble(random_program(generator, instructions=2000, rounds=10))
    machine = Machine(built.rom)
    run_golden(built, machine)
    assert machine.custom > 4000
    compare(soc, built, machine)


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_engine_and_dot_products_among_everything(soc, seed):
    generator = Generator(seed, mixed_operation, Mix())
    text = random_program(
        generator,
        instructions=2000,
        rounds=10,
        setup=SETUP,
        wait=WAIT,
        inside=INSIDE,
        inside_ops=HANDLER_OPS,
    )
    built = assemble(text)
    machine, _ = machine_with_unit(built.rom)
    run_golden(built, machine)
    assert machine.custom > 4000
    compare(soc, built, machine)
