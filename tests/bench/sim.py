"""Speed of the SoC simulator: cycles a CPU second, plain and compiled with its profile.

``python -m tests.bench.sim`` writes ``build/bench/sim.json``. Programs: `busy` (scalar code, dot products, misses;
the engine rests) and LeNet-5 with 8 bits on the streaming engine. CPU seconds are the simulator's own, so they hardly
depend on what else the machine does.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from hil.verilate import ROOT, SocBuild, build_soc
from tests.hil.targets.programs import inputs, lenet5

PROGRAMS = ROOT / "tests" / "rtl" / "soc" / "programs"
RUNS = 5
BUSY_CYCLES = 4_000_000
INFERENCES = 20


def compile_busy(folder: Path) -> Path:
    """programs/busy.c as a boot ROM image."""
    image, elf = folder / "busy.hex", folder / "busy.elf"
    flags = ["-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "-O2", "-ffreestanding", "-nostdlib", "-nostartfiles"]
    sources = [str(PROGRAMS / "start.S"), str(PROGRAMS / "busy.c"), "-T", str(PROGRAMS / "rom.ld")]
    subprocess.run(["riscv64-unknown-elf-gcc", *flags, *sources, "-lgcc", "-o", str(elf)], check=True)
    objcopy = ["riscv64-unknown-elf-objcopy", "-O", "verilog", "--verilog-data-width=4"]
    subprocess.run([*objcopy, str(elf), str(image)], check=True)
    return image


def busy_mhz(build: SocBuild, rom: Path) -> float:
    """Best of several runs."""
    speeds = []
    for _ in range(RUNS):
        command = [str(build.path), "--boot-rom", str(rom)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            while True:
                process.stdin.write("stats\n")
                process.stdin.flush()
                stats = json.loads(process.stdout.readline())
                if stats["cycles"] >= BUSY_CYCLES:
                    break
            process.stdin.close()
        speeds.append(stats["cycles"] / stats["cpu_seconds"] / 1e6)
    return round(max(speeds), 2)


def lenet_mhz(*, pgo: bool) -> float:
    """Best of several rounds of inferences."""
    model = lenet5(8, 8)
    x = inputs(model, 1, seed=1)
    speeds = []
    with SocSim(pgo=pgo, timeout_s=120.0) as target:
        target.flash(build_program(model))
        target.measure(x, laps=1, warmup=1)
        for _ in range(RUNS):
            before = target.stats()
            target.talk(lambda link: link.infer(INFERENCES, 0, 600.0))
            after = target.stats()
            cycles, seconds = (after[key] - before[key] for key in ("cycles", "cpu_seconds"))
            speeds.append(cycles / seconds / 1e6)
    return round(max(speeds), 2)


def main() -> None:
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    rom = compile_busy(folder)
    results: dict[str, Any] = {}
    for name, pgo in (("plain", False), ("pgo", True)):
        build = build_soc(pgo=pgo)
        results[name] = {
            "busy_mhz": busy_mhz(build, rom),
            "lenet5_mhz": lenet_mhz(pgo=pgo),
            "build_id": build.build_id,
            **build.parameters,
        }
    text = json.dumps(results, indent=2)
    (folder / "sim.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
