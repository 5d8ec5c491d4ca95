"""RV32IM, Zicsr, traps and interrupts of the core, on the SoC, against the golden simulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hil.verilate import build_soc
from tests.rtl.soc_isa import directed
from tests.rtl.soc_isa.program import assemble, compare, run_golden

pytestmark = pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None,
    reason="needs riscv64-unknown-elf-gcc: apt-get install gcc-riscv64-unknown-elf",
)


@pytest.fixture(scope="module")
def soc() -> Path:
    return build_soc().path


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("make", [directed.arithmetic, directed.memory, directed.branches])
def test_every_instruction_on_edge_operands(soc, make, seed):
    body = make(seed)
    built = assemble(body.text())
    machine = run_golden(built)
    assert len(machine.output) == 4 * len(body.labels)
    compare(soc, built, machine, body.labels)
