"""The runner of foreign test suites, on small suites of both kinds made here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hil import isa
from mico.errors import UsageError

needs_compiler = pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None,
    reason="needs riscv64-unknown-elf-gcc: apt-get install gcc-riscv64-unknown-elf",
)

SELF_CHECKING = """
#include "riscv_test.h"
RVTEST_RV32U
RVTEST_CODE_BEGIN
  li TESTNUM, 7
  {code}
pass: RVTEST_PASS
fail: RVTEST_FAIL
RVTEST_CODE_END
"""
SIGNATURE = """
#include "model_test.h"
// def NUMBER=0x2a;
.section .text.init
.globl rvtest_entry_point
rvtest_entry_point:
  la x1, result
  li x2, NUMBER
  sw x2, 0(x1)
  RVMODEL_HALT
.data
RVMODEL_DATA_BEGIN
result: .word 0, 0x1234
RVMODEL_DATA_END
"""


def self_checking(folder: Path, **codes: str) -> Path:
    tests = folder / "isa" / "rv32ui"
    tests.mkdir(parents=True)
    for name, code in codes.items():
        (tests / f"{name}.S").write_text(SELF_CHECKING.format(code=code))
    return folder


def signatures(folder: Path, **references: str) -> Path:
    group = folder / "riscv-test-suite" / "rv32i_m" / "I"
    for name in ("src", "references"):
        (group / name).mkdir(parents=True)
    for name, reference in references.items():
        (group / "src" / f"{name}.S").write_text(SIGNATURE)
        (group / "references" / f"{name}.reference_output").write_text(reference)
    return folder


@needs_compiler
def test_self_checking_tests_are_judged(tmp_path):
    folder = self_checking(
        tmp_path,
        good="li t0, 6; addi t0, t0, 1; bne t0, TESTNUM, fail",
        bad="j fail",
        trap=".word 0",
        hang="1: j 1b",
        nonsense="frobnicate t0",
    )
    reasons = {o.case.name: o.reason for o in isa.run_cases(isa.find_cases(folder))}
    assert reasons["rv32ui/good"] == ""
    assert reasons["rv32ui/bad"] == "case 7 failed"
    assert reasons["rv32ui/trap"].startswith("unexpected trap, mcause 00000002")
    assert reasons["rv32ui/hang"].startswith("hangs")
    assert "frobnicate" in reasons["rv32ui/nonsense"]


@needs_compiler
def test_signatures_are_compared(tmp_path):
    folder = signatures(tmp_path, same="0000002A\n00001234\n", other="0000002a\n00001235\n", longer="0000002a\n" * 9)
    outcomes = {o.case.name: o.reason for o in isa.run_cases(isa.find_cases(folder))}
    assert outcomes["I/same"] == ""
    assert outcomes["I/other"] == "word 1 of the signature is 00001234, not 00001235"
    assert outcomes["I/longer"] != ""


@needs_compiler
def test_exit_code_tells_expected_from_unexpected(tmp_path, capsys):
    """A failure that is known is expected, and so is its end."""
    assert isa.main([str(self_checking(tmp_path / "a", add="nop", ma_data="j fail"))]) == 0
    assert "1 of 2 passed, 0 not as expected" in capsys.readouterr().out
    assert isa.main([str(self_checking(tmp_path / "b", add="j fail"))]) == 1
    assert isa.main([str(self_checking(tmp_path / "c", ma_data="nop"))]) == 1


def test_a_folder_without_a_suite_is_refused(tmp_path):
    with pytest.raises(UsageError, match="neither riscv-tests"):
        isa.find_cases(tmp_path)
    assert isa.main([str(tmp_path)]) == 2
