"""Builds the SoC simulator with Verilator, cached by content; ``python -m hil.verilate`` builds or lints from a shell.

A build lies in ``build/soc/<hash>/soc_sim``. The hash covers everything that goes in: RTL, simulator sources, netlist,
parameters, flags, and the versions of Verilator and g++. It is made in a temporary folder and renamed at the end, so a
build that was killed leaves nothing that looks like one; a lock makes a second builder wait for the first.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.harness.runner import MAKE_QUIRK, ROOT, read_file_list, verilator_command, verilator_env
from hil.netlist import FILLINGS, Filling, can_rest, check_netlist
from hil.soc_compile import (
    GATE_CORE,
    MAKE_FLAGS,
    VERILATOR_FLAGS,
    Inputs,
    compile_simulator,
    run_tool,
    training_rom,
    waivers,
)
from mico.errors import ToolError, UsageError

__all__ = ["DEFAULT_CLOCK_HZ", "DEFAULT_RAM_BYTES", "SocBuild", "build_soc", "describe_soc", "lint", "vexriscv_netlist"]

DEFAULT_RAM_BYTES = 4 * 1024 * 1024
DEFAULT_CLOCK_HZ = 50_000_000
MAX_RAM_BYTES = 256 * 1024 * 1024
SIMD_VERSIONS = (0, 1, 2)
LANES = (1, 2, 4)

_SIM = ROOT / "rtl" / "soc" / "sim"
_FILE_LIST = ROOT / "rtl" / "soc" / "soc.f"
_BITFUSION = ROOT / "rtl" / "bitfusion"


@dataclass(frozen=True)
class SocBuild:
    """A built simulator.

    Attributes
    ----------
    path
        The executable; hil/README.md has its contract.
    build_id
        First 16 hex digits of the hash; the first 8 stand in the info block as BUILD_ID.
    hardware_hash
        Hex SHA-256 over everything that went into the build.
    parameters
        What a program can notice: cpu, ram_bytes, ram_latency (wait states per access), simd_version (0: none),
        simd_lanes (of the streaming engine; 0: none).
    clock_hz
        Nominal clock that the cycles count; simulation runs slower.
    """

    path: Path
    build_id: str
    hardware_hash: str
    parameters: dict[str, str | int]
    clock_hz: int


def vexriscv_netlist() -> Path:
    """``VexRiscv_FullCfu.v`` of the PyPI package.

    Raises
    ------
    ToolError
        The package is not installed.
    """
    cure = "pip install pythondata-cpu-vexriscv==1.0.1.post407"
    if importlib.util.find_spec("pythondata_cpu_vexriscv") is None:
        raise ToolError("the VexRiscv netlist is not installed", where="pythondata_cpu_vexriscv", cure=cure)
    import pythondata_cpu_vexriscv

    path = Path(pythondata_cpu_vexriscv.data_location) / "VexRiscv_FullCfu.v"
    if not path.is_file():
        raise ToolError("the package holds no VexRiscv_FullCfu.v", where=str(path.parent), cure=cure)
    return path


def _filling(cpu: str, netlist: Path | None) -> tuple[Filling, Path]:
    if cpu not in FILLINGS:
        raise UsageError(f"no such CPU: {cpu}", where="cpu", cure=f"one of {', '.join(sorted(FILLINGS))}")
    if netlist is None:
        if cpu != "vexriscv":
            raise UsageError(f"no netlist for {cpu}: none is published", where="netlist", cure="give its path")
        netlist = vexriscv_netlist()
    if not netlist.is_file():
        raise UsageError("no such netlist", where=str(netlist), cure="give the path of a Verilog file")
    return FILLINGS[cpu], netlist.resolve()


def _tool_versions() -> list[str]:
    verilator_env()
    gxx = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return [f"verilator {importlib.metadata.version('verilator')}", gxx]


def _digest(inputs: Inputs) -> str:
    facts = [inputs.parameters, inputs.gate_core, MAKE_FLAGS, VERILATOR_FLAGS, MAKE_QUIRK, _tool_versions()]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in [*inputs.rtl, *inputs.sim, *([inputs.train_rom] if inputs.train_rom else [])]:
        content = path.read_bytes()
        digest.update(f"\n{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _describe(
    cpu: str,
    ram_latency: int,
    ram_bytes: int,
    simd: int,
    lanes: int,
    netlist: Path | None,
    clock_hz: int,
    pgo: bool,
    train_rom: Path | None,
    gates: bool,
) -> tuple[SocBuild, Inputs]:
    if ram_bytes < 1024 or ram_bytes % 4 or ram_bytes > MAX_RAM_BYTES:
        raise UsageError(
            f"{ram_bytes} bytes of RAM", where="ram_bytes", cure=f"a multiple of 4 from 1024 to {MAX_RAM_BYTES}"
        )
    if not 0 <= ram_latency <= 1000:
        raise UsageError(f"{ram_latency} wait states", where="ram_latency", cure="0 to 1000")
    simd = int(simd)
    if simd not in SIMD_VERSIONS:
        raise UsageError(
            f"no SIMD version {simd}", where="simd", cure="0 (none), 1 (dot products) or 2 (streaming engine)"
        )
    if lanes not in LANES:
        raise UsageError(f"{lanes} lanes", where="lanes", cure="1, 2 or 4")
    if not 1_000_000 <= clock_hz <= 4_000_000_000:
        raise UsageError(f"a clock of {clock_hz} Hz", where="clock_hz", cure="1 MHz to 4 GHz")
    if pgo and train_rom is None:
        train_rom = training_rom()
    if train_rom is not None and not train_rom.is_file():
        raise UsageError("no such boot ROM", where=str(train_rom), cure="give the path of a $readmemh file")
    filling, netlist = _filling(cpu, netlist)
    inputs = Inputs(
        parameters={
            "CpuKind": filling.kind,
            "RamBytes": ram_bytes,
            "RamLatency": ram_latency,
            "ClockHz": clock_hz,
            "Simd": simd,
            "Lanes": lanes,
            "GateClock": int(gates),  # an engine at rest costs no time,
            "UartByteMode": 1,
            **check_netlist(netlist, filling),
        },
        gate_core=gates and can_rest(netlist, filling),  # nor does a core that waits for it
        rtl=[*read_file_list(_FILE_LIST), netlist],
        sim=sorted(path for path in _SIM.iterdir() if path.suffix in (".cpp", ".h")),
        netlist=netlist,
        train_rom=train_rom.resolve() if train_rom else None,
    )
    digest = _digest(inputs)
    build = SocBuild(
        path=ROOT / "build" / "soc" / digest[:32] / "soc_sim",
        build_id=digest[:16],
        hardware_hash=digest,
        parameters={
            "cpu": cpu,
            "ram_bytes": ram_bytes,
            "ram_latency": ram_latency,
            "simd_version": simd,
            "simd_lanes": lanes if simd == 2 else 0,
        },
        clock_hz=clock_hz,
    )
    return build, inputs


def describe_soc(
    *,
    cpu: str = "vexriscv",
    ram_latency: int = 0,
    ram_bytes: int = DEFAULT_RAM_BYTES,
    simd: int = 2,
    lanes: int = 4,
    netlist: Path | None = None,
    clock_hz: int = DEFAULT_CLOCK_HZ,
    pgo: bool = False,
    train_rom: Path | None = None,
    gates: bool = True,
) -> SocBuild:
    """What :func:`build_soc` would return, without building: its path may not exist yet."""
    return _describe(cpu, ram_latency, ram_bytes, simd, lanes, netlist, clock_hz, pgo, train_rom, gates)[0]


def build_soc(
    *,
    cpu: str = "vexriscv",
    ram_latency: int = 0,
    ram_bytes: int = DEFAULT_RAM_BYTES,
    simd: int = 2,
    lanes: int = 4,
    netlist: Path | None = None,
    clock_hz: int = DEFAULT_CLOCK_HZ,
    pgo: bool = False,
    train_rom: Path | None = None,
    gates: bool = True,
    jobs: int = 2,
) -> SocBuild:
    """Simulator of the SoC with these parameters, from the cache or built now (about 20 s of one core).

    Parameters
    ----------
    cpu
        ``vexriscv``, or ``vexiiriscv`` with *netlist*.
    ram_latency
        Wait states per RAM access: of single accesses and of the first beat of a burst.
    ram_bytes
        Multiple of 4, from 1024 to 256 MiB.
    simd
        SIMD_VERSION: 2 with the streaming engine, 1 dot products only, 0 without the unit (custom instructions then
        answer 0).
    lanes
        Of the streaming engine: 1, 2 or 4.
    netlist
        Verilog file of the core; default: that of the PyPI package.
    clock_hz
        Nominal clock, as CLOCK_HZ in the info block.
    pgo
        Compile the simulator twice, the second time with the profile of ``rtl/soc/sim/train``: faster simulation, the
        same cycles, another hash. Needs the cross-compiler.
    train_rom
        Boot ROM of another program to take the profile of; it works for 3 million cycles without waiting for a byte.
    gates
        False leaves the clock gates of engine and core out: slower simulation of the same cycles, for tests.
    jobs
        Compilers at once.

    Raises
    ------
    UsageError
        A parameter out of range, or a netlist whose ports do not fit the socket: names the ports.
    ToolError
        Verilator, g++ or make is missing, or the build failed: holds their output.
    """
    build, inputs = _describe(cpu, ram_latency, ram_bytes, simd, lanes, netlist, clock_hz, pgo, train_rom, gates)
    if not build.path.is_file():
        _build(build, inputs, jobs)
    return build


def _build(build: SocBuild, inputs: Inputs, jobs: int) -> None:
    folder = build.path.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if build.path.is_file():
            return
        # We hold the lock: what is left of this build is of a builder that was killed (its compilers may still run).
        for leftover in (folder, *folder.parent.glob(f"{folder.name}.part-*")):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = folder.with_name(f"{folder.name}.part-{os.getpid()}")
        temporary.mkdir()
        try:
            description = {
                "build_id": build.build_id,
                "clock_hz": build.clock_hz,
                "hardware_hash": build.hardware_hash,
                **build.parameters,
            }
            executable = compile_simulator(
                temporary,
                inputs,
                build_id=build.build_id,
                description=json.dumps(description)[1:-1],
                jobs=jobs,
            )
            if _digest(inputs) != build.hardware_hash:
                raise ToolError("the sources were edited while they were compiled", cure="build again")
            keep = temporary / "done"
            keep.mkdir()
            shutil.copy2(executable, keep / "soc_sim")
            facts = {**build.parameters, **inputs.parameters, "hardware_hash": build.hardware_hash}
            (keep / "parameters.json").write_text(json.dumps(facts, indent=2) + "\n")
            keep.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def lint(*, cpu: str = "vexriscv", netlist: Path | None = None) -> list[str]:
    """Run ``verilator --lint-only -Wall`` over our sources with every value of the parameters that choose code.

    Returns
    -------
    What was linted, one line each.

    Raises
    ------
    ToolError
        There are warnings: holds them.
    """
    filling, netlist = _filling(cpu, netlist)
    widths = check_netlist(netlist, filling)
    folder = ROOT / "build" / "lint"
    folder.mkdir(parents=True, exist_ok=True)
    done: list[str] = []
    for simd, ram_latency, byte_mode in ((2, 0, 1), (2, 3, 0), (1, 1, 1), (0, 0, 0)):
        parameters = {"CpuKind": filling.kind, **widths, "Simd": simd, "RamLatency": ram_latency}
        parameters["GateClock"] = byte_mode
        parameters["CfuRegister"] = parameters["RomWait"] = 1 - byte_mode
        parameters["UartByteMode"] = byte_mode
        flags = [f"-G{name}={value}" for name, value in parameters.items()]
        if byte_mode and can_rest(netlist, filling):
            flags.append(GATE_CORE)
        command = [verilator_command(), "--lint-only", "-Wall", "--timescale", "1ns/1ps", "--top-module", "soc_top"]
        sources = [waivers(folder, netlist), *read_file_list(_FILE_LIST), netlist]
        run_tool([*command, *flags, *map(str, sources)], folder, f"lint of soc_top {parameters}")
        done.append(f"soc_top {parameters}: clean")
    return [*done, *_lint_bitfusion(folder)]


def _lint_bitfusion(folder: Path) -> list[str]:
    """Every build of the accelerator in four sizes; the structural one, which repeats a unit, not with 512 of them."""
    sources = read_file_list(_BITFUSION / "bf.f")
    units = read_file_list(ROOT / "rtl" / "common" / "fusion.f")
    fpga = [*sources, _BITFUSION / "fpga" / "axi_ram.sv", _BITFUSION / "fpga" / "ecp5_array.sv"]
    odd = {"Rows": 3, "Cols": 5, "BusBits": 64, "IbufBytes": 2048, "WbufBytes": 960, "ObufBytes": 320}
    runs: list[tuple[str, dict[str, int], list[Path]]] = [("ecp5_array", {}, fpga)]
    runs += [(top, {}, units) for top in ("fusion_unit", "fusion_unit_functional")]
    for build in (0, 1, 2):
        sizes = [{"Cols": 4} if build == 0 else {}, {"Rows": 8, "Cols": 8}, {"Rows": 4, "Cols": 4, "BusBits": 128}, odd]
        runs += [("bf_top", {**size, "Build": build}, sources) for size in sizes]
    done: list[str] = []
    for top, parameters, files in runs:
        flags = [f"-G{name}={value}" for name, value in parameters.items()]
        command = [verilator_command(), "--lint-only", "-Wall", "--timescale", "1ns/1ps", "--top-module", top]
        run_tool([*command, *flags, *map(str, files)], folder, f"lint of {top} {parameters}")
        done.append(f"{top} {parameters}: clean")
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hil.verilate", description="Build or lint the SoC simulator.")
    parser.add_argument("action", choices=("build", "lint"))
    parser.add_argument("--cpu", default="vexriscv", choices=sorted(FILLINGS))
    parser.add_argument("--netlist", type=Path, help="Verilog file of the core")
    parser.add_argument("--ram-latency", type=int, default=0, help="wait states per RAM access")
    parser.add_argument("--ram-bytes", type=int, default=DEFAULT_RAM_BYTES)
    parser.add_argument("--simd", type=int, default=2, choices=SIMD_VERSIONS, help="version of the SIMD unit, 0: none")
    parser.add_argument("--lanes", type=int, default=4, choices=LANES, help="of the streaming engine")
    parser.add_argument("--pgo", action="store_true", help="compile with the profile of rtl/soc/sim/train")
    parser.add_argument("--train-rom", type=Path, help="boot ROM of another program to take the profile of")
    options = parser.parse_args(arguments)
    try:
        if options.action == "lint":
            print("\n".join(lint(cpu=options.cpu, netlist=options.netlist)))
        else:
            build = build_soc(
                cpu=options.cpu,
                netlist=options.netlist,
                ram_latency=options.ram_latency,
                ram_bytes=options.ram_bytes,
                simd=options.simd,
                lanes=options.lanes,
                pgo=options.pgo,
                train_rom=options.train_rom,
            )
            print(build.path)
    except (ToolError, UsageError) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
