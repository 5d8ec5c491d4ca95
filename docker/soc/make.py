"""In the build stage: the simulator with the given parameters, its boot ROM, its libraries, and what it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hil.toolchain import build_boot_rom
from hil.verilate import build_soc


def libraries(program: Path) -> list[Path]:
    """Shared libraries that *program* is loaded with, the loader included."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", text)]


def main(parameters: str, out: Path) -> None:
    build = build_soc(**json.loads(parameters))
    out.mkdir(parents=True)
    shutil.copy2(build.path, out / "soc_sim")
    shutil.copy2(build_boot_rom(), out / "boot.hex")
    for library in libraries(build.path):
        place = out / library.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, place)  # a link as the file it points to
    facts = {
        "hardware_hash": build.hardware_hash,
        "build_id": build.build_id,
        "clock_hz": build.clock_hz,
        **build.parameters,
    }
    (out / "description.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
