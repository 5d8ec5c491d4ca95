"""``mico doctor``: every tool that the product uses, with version and path, and what is missing with its cure."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Check", "checks", "doctor"]

_APT = "sudo apt-get install -y {}"


@dataclass(frozen=True)
class Check:
    """One tool: ``version`` is None when it is missing; ``cure`` says what to do then."""

    name: str
    needed_for: str
    version: str | None
    path: str
    cure: str
    required: bool = True


def _first_version(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+[\w.+-]*", text)
    return found.group(0) if found else (text.splitlines() or ["unknown"])[0][:40]


def _program(
    program: str, needed_for: str, cure: str, *, required: bool = True, argument: str = "--version", name: str = ""
) -> Check:
    """Of the *program* by this name or at this path; called *name* in the table."""
    path, name = shutil.which(program), name or program
    if path is None:
        return Check(name, needed_for, None, "", cure, required)
    try:
        done = subprocess.run([path, argument], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, needed_for, None, path, f"does not run ({error}); reinstall it: {cure}", required)
    return Check(name, needed_for, _first_version(done.stdout or done.stderr), path, cure, required)


def _package(name: str, needed_for: str, *, module: str | None = None, required: bool = True) -> Check:
    cure = "./setup.sh"
    try:
        version = importlib.metadata.version(name)
        spec = importlib.util.find_spec(module or name.replace("-", "_"))
    except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError, ValueError):
        return Check(name, needed_for, None, "", cure, required)
    if spec is None:
        return Check(name, needed_for, None, "", cure, required)
    locations = list(spec.submodule_search_locations or [])
    return Check(name, needed_for, version, locations[0] if locations else spec.origin or "", cure, required)


def _picolibc() -> Check:
    need = "firmware (C library headers)"
    cure = _APT.format("picolibc-riscv64-unknown-elf")
    gcc = shutil.which("riscv64-unknown-elf-gcc")
    if gcc is None:
        return Check("picolibc", need, None, "", cure)
    specs = subprocess.run(
        [gcc, "-print-file-name=picolibc.specs"], capture_output=True, text=True, timeout=10, check=False
    ).stdout.strip()
    if not Path(specs).is_absolute() or not Path(specs).exists():
        return Check("picolibc", need, None, "", cure)
    version = "installed"
    dpkg = shutil.which("dpkg-query")
    if dpkg is not None:
        query = [dpkg, "-W", "-f", "${Version}", "picolibc-riscv64-unknown-elf"]
        version = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout or version
    return Check("picolibc", need, version, specs, cure)


def _postgres() -> Check:
    """Debian keeps the server's programs off the PATH."""
    folders = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = shutil.which("postgres") or shutil.which("postgres", path=os.pathsep.join(folders))
    cure = _APT.format("postgresql")
    return _program(path or "postgres", "tests of stores in PostgreSQL", cure, required=False, name="postgres")


def _engine() -> Check:
    """The engine itself: its program may be elsewhere, or installed and not running."""
    from hil.engine import connect
    from mico.errors import DeviceError

    name, need = "container engine", "container targets"
    where = os.environ.get("DOCKER_HOST", "/var/run/docker.sock")
    try:
        return Check(name, need, str(connect(10.0).version()["Version"]), where, "", required=False)
    except DeviceError as error:
        return Check(name, need, None, where, f"{_APT.format('docker.io')}, then {error.cure}", required=False)


def checks() -> list[Check]:
    """All checks, in the order of the table."""
    python = Check("python", "everything", sys.version.split()[0], sys.executable, "install Python 3.11 or later")
    return [
        python,
        _program("g++", "simulator, host build of generated C", _APT.format("g++")),
        _program("gcc", "host build of generated C", _APT.format("gcc")),
        _program("make", "simulator", _APT.format("make")),
        _program("perl", "Verilator", _APT.format("perl")),
        _program("riscv64-unknown-elf-gcc", "firmware", _APT.format("gcc-riscv64-unknown-elf")),
        _program("riscv64-unknown-elf-objcopy", "firmware", _APT.format("binutils-riscv64-unknown-elf")),
        _picolibc(),
        _package("verilator", "simulator"),
        _package("pythondata-cpu-vexriscv", "the SoC's core", module="pythondata_cpu_vexriscv"),
        _package("cocotb", "RTL tests, accelerator harness"),
        _package("torch", "training, tracing"),
        _package("numpy", "integer models"),
        _package("scipy", "search, statistics"),
        _package("scikit-learn", "predictors, latency models", module="sklearn"),
        _package("pyserial", "consoles of targets", module="serial"),
        _package("docker", "container targets"),
        _package("SQLAlchemy", "store of measurements", module="sqlalchemy"),
        _package("psycopg", "stores in PostgreSQL"),
        _package("pyarrow", "export of measurements as Parquet"),
        _package("matplotlib", "plots"),
        _package("safetensors", "cached weights"),
        _package("typer", "command line"),
        _package("rich", "progress and tables"),
        _package("pytest", "tests", required=False),
        _package("hypothesis", "tests", required=False),
        _package("mypy", "make lint", required=False),
        _package("ruff", "make lint", required=False),
        _package("clang-format", "make lint", module="clang_format", required=False),
        _postgres(),
        _engine(),
    ]


def doctor(console: Console, results: Sequence[Check] | None = None) -> int:
    """Print the table; returns 0 when all that is required is there, else 3."""
    results = checks() if results is None else results
    table = Table(title="mico doctor", title_justify="left")
    for heading in ("tool", "version", "needed for", "path"):
        table.add_column(heading, overflow="fold")
    for check in results:
        colour = "green" if check.version else ("red" if check.required else "yellow")
        state = check.version or ("missing" if check.required else "missing (optional)")
        table.add_row(check.name, f"[{colour}]{state}[/]", check.needed_for, check.path)
    console.print(table)
    missing = [check for check in results if check.version is None]
    for check in missing:
        console.print(f"{check.name} is missing, needed for {check.needed_for}. Cure: {check.cure}", highlight=False)
    if not missing:
        console.print("Everything is there.")
    return 3 if any(check.required for check in missing) else 0
