"""Speed of the SoC simulator: cycles a second, wall and CPU, on a program that computes, loads and stores.

``python -m tests.bench.soc_speed [--train]`` writes ``build/bench/soc_speed.json``. With ``--train`` the simulator is
also built with the program's profile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hil.verilate import ROOT, SocBuild, build_soc

PROGRAMS = ROOT / "tests" / "rtl" / "soc" / "programs"
RUNS = 5
SECONDS = 3.0


def compile_busy(folder: Path) -> Path:
    """programs/busy.c as a boot ROM image."""
    image, elf = folder / "busy.hex", folder / "busy.elf"
    flags = ["-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "-O2", "-ffreestanding", "-nostdlib", "-nostartfiles"]
    sources = [str(PROGRAMS / "start.S"), str(PROGRAMS / "busy.c"), "-T", str(PROGRAMS / "rom.ld")]
    subprocess.run(["riscv64-unknown-elf-gcc", *flags, *sources, "-lgcc", "-o", str(elf)], check=True)
    objcopy = ["riscv64-unknown-elf-objcopy", "-O", "verilog", "--verilog-data-width=4"]
    subprocess.run([*objcopy, str(elf), str(image)], check=True)
    return image


def measure(build: SocBuild, rom: Path) -> dict[str, Any]:
    """Best of several runs, in MHz; cycles per CPU second hardly depend on what else the machine does."""
    wall, cpu = [], []
    for _ in range(RUNS):
        with subprocess.Popen(
            [str(build.path), "--boot-rom", str(rom)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(SECONDS)
            process.stdin.write("stats\n")
            process.stdin.flush()
            stats = json.loads(process.stdout.readline())
            process.stdin.close()
        wall.append(stats["cycles"] / stats["seconds"] / 1e6)
        cpu.append(stats["cycles"] / stats["cpu_seconds"] / 1e6)
    return {"mhz_wall": round(max(wall), 2), "mhz_cpu": round(max(cpu), 2), "runs": RUNS, **build.parameters}


def main() -> None:
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    rom = compile_busy(folder)
    results = {"default": measure(build_soc(), rom)}
    if "--train" in sys.argv[1:]:
        results["trained"] = measure(build_soc(train_rom=rom), rom)
    text = json.dumps(results, indent=2)
    (folder / "soc_speed.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
