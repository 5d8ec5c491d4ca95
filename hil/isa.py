"""Runs a checkout of an instruction test suite on the simulated SoC: ``python -m hil.isa DIR``, or ``make test-isa``.

Two suites are known by their folders: riscv-tests (self-checking; ``isa/rv32ui``, ``rv32um``, ``rv32mi``) and
riscv-arch-test, branch old-framework-2.x (signatures; ``riscv-test-suite/rv32i_m``). Each test is compiled with the
environment of tests/rtl/soc_isa/env, sent through the boot ROM as any program is, and judged by what it prints.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.harness.runner import ROOT
from hil.link.flash import flash
from hil.link.port import Port, open_port
from hil.targets.sim_process import SimProcess
from hil.toolchain import RAM_BASE, build_boot_rom
from hil.verilate import build_soc
from mico.errors import MicoError, ToolError, UsageError

__all__ = ["KNOWN_FAILURES", "Case", "Outcome", "find_cases", "main", "run_cases"]

_ENV = ROOT / "tests" / "rtl" / "soc_isa" / "env"
_PREFIX = "riscv64-unknown-elf-"
_FLAGS = ("-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "-mcmodel=medany", "-static", "-nostdlib", "-nostartfiles")
_SILENCE_S = 5.0
_MAX_CYCLES = 2_000_000  # of a test, behind its loading

_COMPRESSED = "its signature is that of a core with compressed instructions, where these targets are aligned"
_BREAKPOINT = "VexRiscv_FullCfu has no breakpoints: ebreak is an illegal instruction"

# Of VexRiscv_FullCfu; rtl/soc/README.md says what they mean for programs.
KNOWN_FAILURES: Mapping[str, str] = {
    "rv32ui/ma_data": "VexRiscv has no misaligned access: it traps, as the manual allows",
    "rv32mi/breakpoint": "no debug triggers",
    "rv32mi/illegal": "mtvec keeps the vectored mode that is written, but interrupts go to its base",
    "rv32mi/instret_overflow": "minstret cannot be written",
    "rv32mi/ma_fetch": "the misa that is written reads back, with compressed instructions, but changes nothing",
    "rv32mi/pmpaddr": "no physical memory protection",
    "rv32mi/sbreak": _BREAKPOINT,
    "rv32mi/scall": "the mstatus.MPP that is written reads back, but there is no user mode",
    "rv32mi/shamt": "bit 25 of a shift by an immediate is not decoded",
    "Zifencei/Fencei": "the instruction right behind fence.i may be the old one if the store is right before it",
    "privilege/ebreak": _BREAKPOINT,
    "privilege/ecall": "mtval is the instruction instead of 0",
    **{f"privilege/misalign-{name}-01": _COMPRESSED for name in ("beq", "bge", "bgeu", "blt", "bltu", "bne", "jal")},
    "privilege/misalign2-jalr-01": _COMPRESSED,
}


@dataclass(frozen=True)
class Case:
    """One test program.

    Attributes
    ----------
    name
        Group and file, ``rv32ui/add``.
    flags
        Compiler flags of its own.
    reference
        The signature that it must leave, a word a line; None where it checks itself.
    """

    name: str
    source: Path
    flags: tuple[str, ...]
    reference: Path | None


@dataclass(frozen=True)
class Outcome:
    """*reason* says why a test failed; empty where it passed."""

    case: Case
    reason: str

    @property
    def known(self) -> bool:
        return self.case.name in KNOWN_FAILURES


def find_cases(folder: Path) -> list[Case]:
    """The tests of a checkout that apply to RV32IM with Zicsr and Zifencei in machine mode.

    Raises
    ------
    UsageError
        The folder holds neither suite.
    """
    if (folder / "isa" / "rv32ui").is_dir():
        return list(_riscv_tests(folder / "isa"))
    if (folder / "riscv-test-suite" / "rv32i_m").is_dir():
        return list(_arch_tests(folder / "riscv-test-suite"))
    raise UsageError(
        "neither riscv-tests (isa/rv32ui) nor riscv-arch-test (riscv-test-suite/rv32i_m)",
        where=str(folder),
        cure="give the root of a checkout; of riscv-arch-test the branch old-framework-2.x",
    )


def _riscv_tests(isa: Path) -> Iterator[Case]:
    include = f"-I{isa / 'macros' / 'scalar'}"
    for group in ("rv32ui", "rv32um", "rv32mi"):
        for source in sorted((isa / group).glob("*.S")):
            yield Case(f"{group}/{source.stem}", source, (include,), None)


def _arch_tests(suite: Path) -> Iterator[Case]:
    for group in ("I", "M", "Zifencei", "privilege"):
        for source in sorted((suite / "rv32i_m" / group / "src").glob("*.S")):
            defines = re.findall(r"def\s+(\w+)\s*=\s*(\w+)", source.read_text(errors="replace"))
            flags = (f"-I{suite / 'env'}", "-DXLEN=32", *dict.fromkeys(f"-D{name}={value}" for name, value in defines))
            reference = suite / "rv32i_m" / group / "references" / f"{source.stem}.reference_output"
            if not reference.is_file():
                raise UsageError(
                    "a test without its reference signature", where=str(source), cure="check out references/"
                )
            yield Case(f"{group}/{source.stem}", source, flags, reference)


def _tool(name: str, *arguments: str) -> None:
    try:
        done = subprocess.run([_PREFIX + name, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolError("the cross-compiler is missing", where=_PREFIX + name, cure="mico doctor") from error
    if done.returncode:
        raise ToolError(f"it fails:\n{done.stderr[-2000:]}", where=_PREFIX + name)


def _compile(case: Case, folder: Path) -> bytes:
    elf, image = folder / "test.elf", folder / "test.bin"
    script = ["-T", str(_ENV / "link.ld"), "-Wl,--no-warn-rwx-segments"]
    _tool("gcc", *_FLAGS, f"-I{_ENV}", *case.flags, *script, str(case.source), "-o", str(elf))
    _tool("objcopy", "-O", "binary", str(elf), str(image))
    return image.read_bytes()


def run_cases(cases: Sequence[Case], report: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """Run *cases* on the simulated SoC of the defaults, one after the other; *report* is called with each outcome.

    Raises
    ------
    MicoError
        The simulator cannot be built or started. A test that does not compile, crashes or hangs has failed.
    """
    command = [str(build_soc().path), "--boot-rom", str(build_boot_rom())]
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        process = SimProcess(command, 60.0)
        try:
            with open_port(str(process.ready["pty"])) as port:
                for case in cases:
                    try:
                        reason = _run(case, process, port, Path(folder))
                    except ToolError as error:
                        reason = str(error)
                    outcomes.append(Outcome(case, reason))
                    report(outcomes[-1])
        finally:
            process.close()
    return outcomes


def _run(case: Case, process: SimProcess, port: Port, folder: Path) -> str:
    """Why the test failed, or nothing."""
    image = _compile(case, folder)
    process.request("reset")
    port.drain()
    started = flash(port, image, base=RAM_BASE, entry=RAM_BASE, watch=process.check)
    end = "end\n" if case.reference else "\n"
    text = started.text.decode(errors="replace")
    first = int(process.request("stats")["cycles"])
    while not text.endswith(end):
        text += port.read(_SILENCE_S if text else 0.2).decode(errors="replace")
        if int(process.request("stats")["cycles"]) - first > _MAX_CYCLES:
            return f"hangs, having printed {text[-40:]!r}"
    return _compare(text, case.reference) if case.reference else _verdict(text)


def _verdict(text: str) -> str:
    words = text.split()
    if words == ["P"]:
        return ""
    if len(words) == 2 and words[0] == "F":
        return f"case {int(words[1], 16)} failed"
    if len(words) == 3 and words[0] == "T":
        return f"unexpected trap, mcause {words[1]}, mepc {words[2]}"
    return f"printed {text!r}"


def _compare(text: str, reference: Path) -> str:
    words, expected = text.split()[:-1], reference.read_text().lower().split()
    for i, (got, want) in enumerate(zip(words, expected, strict=False)):
        if got != want:
            return f"word {i} of the signature is {got}, not {want}"
    # Behind the reference only filling of the alignment can stand
    if len(words) < len(expected):
        return f"the signature has {len(words)} words, not {len(expected)}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where a test failed that is not known to fail, or passed that is."""
    parser = argparse.ArgumentParser(prog="python -m hil.isa", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="checkout of riscv-tests or riscv-arch-test (old-framework-2.x)")
    parser.add_argument("--only", default="", help="names that contain this")
    options = parser.parse_args(arguments)
    try:
        cases = [case for case in find_cases(options.folder.resolve()) if options.only in case.name]
        outcomes = run_cases(cases, lambda o: print(f"{'FAIL' if o.reason else 'ok  '} {o.case.name}", flush=True))
    except MicoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return _summary(outcomes)


def _summary(outcomes: Sequence[Outcome]) -> int:
    passed = [o for o in outcomes if not o.reason]
    failed = [o for o in outcomes if o.reason]
    surprises = [o for o in outcomes if bool(o.reason) != o.known]
    print(f"\npassed ({len(passed)}): {' '.join(o.case.name for o in passed)}")
    print(f"\nfailed ({len(failed)}):")
    for o in failed:
        print(f"  {o.case.name}: {o.reason}" + (f"\n    known: {KNOWN_FAILURES[o.case.name]}" if o.known else ""))
    for o in surprises:
        if not o.reason:
            print(f"  {o.case.name} passes, which is known to fail: {KNOWN_FAILURES[o.case.name]}")
    print(f"\n{len(passed)} of {len(outcomes)} passed, {len(surprises)} not as expected")
    return 1 if surprises or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
