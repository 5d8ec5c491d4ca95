"""RV32IM, Zicsr, traps and interrupts of the core, on the SoC, against the golden simulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hil.verilate import build_soc
from tests.rtl.soc_isa import directed, system
from tests.rtl.soc_isa.program import assemble, compare, run_golden

pytestmark = pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None,
    reason="needs riscv64-unknown-elf-gcc: apt-get install gcc-riscv64-unknown-elf",
)


FAULT_CLEAR = 0xF000_0020  # FAULT_COUNT of the info block


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


def test_csr_instructions(soc):
    body = system.csrs(3)
    built = assemble(system.with_log(body, FAULT_CLEAR))
    compare(soc, built, run_golden(built), body.labels)


def runs_on_vexriscv(word: int) -> bool:
    """Undefined words that VexRiscv does not trap, because its decoder leaves out bits.

    Shifts by 32 and more (bit 25 is ignored), the load with funct3 = 6 (a load of a word), and sret.
    """
    shift = word & 0x7F == 0x13 and word >> 12 & 3 == 1 and word >> 25 == 1
    return shift or word & 0x707F == 0x6003 or word == 0x1020_0073


def test_exceptions(soc):
    """Each is entered with the right mcause, mepc and mtval, changes nothing else, and is returned from."""
    body = system.exceptions(4, runs_on_vexriscv)
    built = assemble(system.with_log(body, FAULT_CLEAR))
    machine = run_golden(built)
    compare(soc, built, machine, body.labels)


def test_interrupts(soc):
    body = system.interrupts(5)
    built = assemble(system.with_log(body, FAULT_CLEAR).replace("    .bss", system.INTERRUPT_HANDLERS + "    .bss", 1))
    machine = run_golden(built)
    compare(soc, built, machine, body.labels)
