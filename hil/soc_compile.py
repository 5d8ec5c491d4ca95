"""Compiles one simulator of the SoC: Verilator, the C++ compiler and, where asked for, a training run for its profile.

What is built, and where it is kept, is the business of :mod:`hil.verilate`.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.harness.runner import MAKE_QUIRK, ROOT, verilator_command, verilator_env
from mico.errors import ToolError

__all__ = ["MAKE_FLAGS", "VERILATOR_FLAGS", "Inputs", "compile_simulator", "run_tool", "training_rom", "waivers"]

# Verilator's own default is -Os; code that runs once needs no optimiser.
MAKE_FLAGS = ("OPT_FAST=-O3", "OPT_GLOBAL=-O3", "OPT_SLOW=-O1")
VERILATOR_FLAGS = (
    "-O3",
    "--public-ignore",
    "--no-assert",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--timescale",
    "1ns/1ps",
    "--threads",
    "1",
)
GATE_CORE = "-DSOC_GATE_CORE"
_BUILD_TIMEOUT_S = 900
_TRAIN_CYCLES = 3_000_000
_TRAIN_TIMEOUT_S = 120
_LIMIT_EXIT = 5  # of soc_sim at its cycle limit


def run_tool(command: Sequence[str], folder: Path, what: str) -> None:
    """Run *command* in *folder*; *what* it is, for the error that holds the end of its output.

    Raises
    ------
    ToolError
        It failed, or took longer than any build should.
    """
    env = {**os.environ, **verilator_env()}
    # A make above us must not hand its job server down.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"{what} took more than {_BUILD_TIMEOUT_S} s", where=command[0], cure="a machine with nothing else to do"
        ) from error
    if done.returncode != 0:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-60:])
        raise ToolError(f"{what} failed with exit code {done.returncode}\n{output}", where=Path(command[0]).name)


@dataclass(frozen=True)
class Inputs:
    """What a build is made of."""

    parameters: dict[str, int]
    gate_core: bool  # the core's clock rests, see cpu_vexriscv.sv
    rtl: list[Path]
    sim: list[Path]
    netlist: Path
    train_rom: Path | None


def compile_simulator(folder: Path, inputs: Inputs, *, build_id: str, description: str, jobs: int) -> Path:
    """Verilate and compile in *folder*; the executable in it.

    Parameters
    ----------
    build_id
        Hex digits; the first 8 become the parameter BuildId.
    description
        JSON members that the simulator adds to its ready event.
    jobs
        Compilers at once.
    """
    (folder / "description.h").write_text(f"#define SOC_DESCRIPTION {json.dumps(description)}\n")
    command = [
        verilator_command(),
        *("--cc", "--exe", "--top-module", "soc_top", "--Mdir", "obj", "-o", "soc_sim"),
        *VERILATOR_FLAGS,
        *("-CFLAGS", f"-std=c++17 -I{folder}"),
        *[f"-G{name}={value}" for name, value in inputs.parameters.items()],
        f"-GBuildId=32'h{build_id[:8]}",
        *([GATE_CORE] if inputs.gate_core else []),
        str(waivers(folder, inputs.netlist)),
        *map(str, inputs.rtl),
        *[str(path) for path in inputs.sim if path.suffix == ".cpp"],
    ]
    run_tool(command, folder, "Verilator")
    make = ["make", "-C", "obj", "-f", "Vsoc_top.mk", f"-j{max(1, jobs)}", MAKE_QUIRK]
    if inputs.train_rom is None:
        run_tool([*make, *MAKE_FLAGS], folder, "the C++ compiler")
        return folder / "obj" / "soc_sim"
    run_tool([*make, *_with_flags("-fprofile-generate"), "LDFLAGS=-fprofile-generate"], folder, "the C++ compiler")
    _train(folder / "obj" / "soc_sim", inputs.train_rom)
    for pattern in ("*.o", "*.a", "*.gch", "soc_sim"):
        for path in (folder / "obj").glob(pattern):
            path.unlink()
    run_tool([*make, *_with_flags("-fprofile-use -Wno-missing-profile")], folder, "the C++ compiler")
    return folder / "obj" / "soc_sim"


def _with_flags(flags: str) -> list[str]:
    return [f"{setting} {flags}" for setting in MAKE_FLAGS]


def _train(simulator: Path, rom: Path) -> None:
    """Run the program for its profile, which is written when the simulator ends."""
    command = [str(simulator), "--boot-rom", str(rom), "--max-cycles", str(_TRAIN_CYCLES)]
    cure = f"a program that works for {_TRAIN_CYCLES} cycles without waiting for a byte"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            # stdin stays open: its end would be the simulator's.
            code = process.wait(_TRAIN_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise ToolError("the training program did not reach its cycles", where=str(rom), cure=cure) from error
    if code != _LIMIT_EXIT:
        raise ToolError(f"the training run ended with exit code {code}", where=str(rom), cure=cure)


def waivers(folder: Path, netlist: Path) -> Path:
    """Control file that silences warnings about the third-party netlist, and about nothing else."""
    path = folder / "netlist.vlt"
    # MULTIDRIVEN: cpu_vexriscv.sv counts mcycle while the core's clock rests.
    path.write_text(f'`verilator_config\nlint_off -file "{netlist}"\nlint_off -rule MULTIDRIVEN -file "{netlist}"\n')
    return path


_TRAIN = ROOT / "rtl" / "soc" / "sim" / "train"
_TRAIN_FLAGS = (
    *("-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "-std=c11", "-O2", "-ffreestanding", "-nostdlib"),
    *("-nostartfiles", "-T", "train.ld"),
)


def training_rom() -> Path:
    """Boot ROM image of ``rtl/soc/sim/train``, compiled now unless it lies in ``build/train``.

    Raises
    ------
    ToolError
        The cross-compiler is missing, or refuses the program.
    """
    sources = sorted(_TRAIN.iterdir())
    compiler = "riscv64-unknown-elf-gcc"
    try:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise ToolError(
            f"{compiler} is missing: the profile is that of a program",
            where="PATH",
            cure="apt-get install gcc-riscv64-unknown-elf, or build without a profile",
        ) from error
    facts = [version, *_TRAIN_FLAGS, *(f"{path.name} {path.read_text()}" for path in sources)]
    folder = ROOT / "build" / "train"
    image = folder / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}.hex"
    if not image.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        elf, scratch = (image.with_suffix(f".{os.getpid()}.{kind}") for kind in ("elf", "tmp"))
        code = [path.name for path in sources if path.suffix in (".S", ".c")]
        run_tool([compiler, *_TRAIN_FLAGS, *code, "-lgcc", "-o", str(elf)], _TRAIN, "the cross-compiler")
        objcopy = ("riscv64-unknown-elf-objcopy", "-O", "verilog", "--verilog-data-width=4")
        run_tool([*objcopy, str(elf), str(scratch)], _TRAIN, "objcopy")
        elf.unlink()
        scratch.rename(image)
    return image
