"""Test programs: assembled for the boot ROM, run by the golden simulator and by the SoC, compared byte by byte."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.harness.runner import ROOT
from hil.link.port import Port, open_port
from hil.targets.sim_process import SimProcess
from mico.errors import DeviceError
from tests.rtl.soc_isa.iss import ROM_BYTES, Machine

__all__ = ["FLAGS", "Built", "assemble", "compare", "run_golden", "run_soc"]

PROGRAMS = Path(__file__).resolve().parent / "programs"
PREFIX = "riscv64-unknown-elf-"
FLAGS = ("-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "-nostdlib", "-nostartfiles", "-Wl,--no-relax")


@dataclass(frozen=True)
class Built:
    """An assembled program: its $readmemh file, its bytes from address 0, and its symbols."""

    hex_file: Path
    rom: bytes
    symbols: dict[str, int]


def _tool(name: str, *arguments: str | Path) -> str:
    done = subprocess.run([PREFIX + name, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {done.stderr[-3000:]}"
    return done.stdout


def assemble(text: str, folder: Path | None = None) -> Built:
    """Assemble *text* (GNU as, with the C preprocessor) behind start.S; cached by content in ``build/isa``."""
    sources = [PROGRAMS / "start.S", PROGRAMS / "rom.ld"]
    key = hashlib.sha256(b"".join([text.encode(), *(path.read_bytes() for path in sources), repr(FLAGS).encode()]))
    folder = folder or ROOT / "build" / "isa"
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / key.hexdigest()[:24]
    source, elf, binary, image = (stem.with_suffix(suffix) for suffix in (".S", ".elf", ".bin", ".hex"))
    source.write_text(text)
    _tool("gcc", *FLAGS, "-T", PROGRAMS / "rom.ld", PROGRAMS / "start.S", source, "-o", elf)
    _tool("objcopy", "-O", "binary", elf, binary)
    rom = binary.read_bytes()
    assert len(rom) <= ROM_BYTES, f"{len(rom)} bytes do not fit the ROM"
    words = [rom[i : i + 4].ljust(4, b"\0") for i in range(0, len(rom), 4)]
    image.write_text("".join(f"{int.from_bytes(word, 'little'):08x}\n" for word in words))
    symbols = {name: int(value, 16) for value, _, name in (line.split() for line in _tool("nm", elf).splitlines())}
    return Built(image, rom, symbols)


def run_golden(built: Built, machine: Machine | None = None) -> Machine:
    """Run to ``done``; its output is what the SoC must print."""
    machine = machine or Machine(built.rom)
    machine.run(built.symbols["done"], limit=50_000_000)
    return machine


@dataclass(frozen=True)
class SocOutput:
    """What the SoC printed, and the simulator's statistics behind it."""

    output: bytes
    cycles: int
    bus_errors: int


def run_soc(executable: Path, built: Built, count: int, *, max_cycles: int = 2_000_000_000) -> SocOutput:
    """Run on a simulator until the core sleeps, behind *count* bytes if all is well.

    A program that stops or hangs gives what it has printed, and cycles -1.
    """
    command = [str(executable), "--boot-rom", str(built.hex_file), "--max-cycles", str(max_cycles)]
    process = SimProcess(command, 60.0)
    try:
        port = open_port(str(process.ready["pty"]))
        try:
            process.request("reset")
            output = _read(port, process, count)
            try:
                stats = process.request("stats")
            except DeviceError:
                stats = {"cycles": -1, "bus_errors": -1}
        finally:
            port.close()
    finally:
        process.close()
    return SocOutput(output, int(stats["cycles"]), int(stats["bus_errors"]))


def _read(port: Port, process: SimProcess, count: int) -> bytes:
    """At least *count* bytes and all that come before the core sleeps; less where it stops or runs to its limit."""
    output, cycles = b"", -1
    try:
        while True:
            data = port.read(0.02 if len(output) >= count else 0.2)
            output += data
            if data:
                continue
            before, cycles = cycles, int(process.request("stats")["cycles"])
            if cycles == before:
                return output
    except DeviceError:
        return output


def compare(executable: Path, built: Built, machine: Machine, labels: Sequence[str] = ()) -> SocOutput:
    """Run on the SoC what *machine* has run: AssertionError that names the first word that differs.

    *labels* say what the words of the output are, in order.
    """
    expected = bytes(machine.output)
    soc = run_soc(executable, built, len(expected), max_cycles=machine.steps * 40 + 1_000_000)
    if soc.output == expected:
        return soc
    at = next((i for i, (a, b) in enumerate(zip(soc.output, expected, strict=False)) if a != b), None)
    if at is None:
        raise AssertionError(f"the SoC sent {len(soc.output)} bytes, not {len(expected)}: {built.hex_file}")
    word = at // 4
    got, want = (int.from_bytes(data[4 * word : 4 * word + 4], "little") for data in (soc.output, expected))
    label = labels[word] if word < len(labels) else f"word {word} of {len(expected) // 4}"
    raise AssertionError(f"{label}: the SoC says {got:#010x}, the golden simulator {want:#010x}: {built.hex_file}")
