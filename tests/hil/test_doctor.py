"""``mico doctor`` names every tool, and for a missing one its cure."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from hil import doctor as module


def _report(results: list[module.Check] | None = None) -> tuple[int, str]:
    out = io.StringIO()
    code = module.doctor(Console(file=out, width=200, force_terminal=False), results)
    return code, out.getvalue()


def test_a_set_up_machine_has_everything_required() -> None:
    code, text = _report()
    assert code == 0, text
    for name in ("g++", "riscv64-unknown-elf-gcc", "picolibc", "verilator", "torch", "pyserial"):
        assert name in text


def test_a_missing_program_is_reported_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    results = module.checks()
    code, text = _report(results)
    assert code == 3
    assert "riscv64-unknown-elf-gcc is missing, needed for firmware" in text
    assert "apt-get install -y gcc-riscv64-unknown-elf" in text


def test_a_missing_optional_tool_does_not_fail() -> None:
    check = module.Check("thing", "nothing much", None, "", "get it", required=False)
    code, text = _report([check])
    assert code == 0
    assert "Cure: get it" in text


def test_a_program_that_does_not_run_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    broken = tmp_path / "perl"
    broken.write_text("\x7fELF nonsense")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    perl = next(check for check in module.checks() if check.name == "perl")
    assert perl.version is None
    assert "does not run" in perl.cure
