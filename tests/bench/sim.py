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
from tests.bench.result import save
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
    """Of one run."""
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
    return float(stats["cycles"] / stats["cpu_seconds"] / 1e6)


def lenet_mhz(target: SocSim) -> float:
    """Of one round of inferences on a target on which LeNet-5 runs."""
    before = target.stats()
    target.talk(lambda link: link.infer(INFERENCES, 0, 600.0))
    after = target.stats()
    cycles, seconds = (after[key] - before[key] for key in ("cycles", "cpu_seconds"))
    return float(cycles / seconds / 1e6)


def speeds() -> dict[str, Any]:
    """Best of several rounds; in a round the plain and the profiled simulator run one after the other.

    Returns
    -------
    ``plain`` and ``pgo``, each with ``busy_mhz`` and ``lenet5_mhz``, and ``pgo_gain``, their ratios.
    """
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    rom = compile_busy(folder)
    model = lenet5(8, 8)
    x = inputs(model, 1, seed=1)
    found: dict[str, Any] = {}
    with SocSim(timeout_s=120.0) as plain, SocSim(pgo=True, timeout_s=120.0) as profiled:
        for target in (plain, profiled):
            target.flash(build_program(model))
            target.measure(x, laps=1, warmup=1)
            found["pgo" if target.pgo else "plain"] = {"busy_mhz": 0.0, "lenet5_mhz": 0.0}
        for _ in range(RUNS):
            for target in (plain, profiled):
                best = found["pgo" if target.pgo else "plain"]
                best["busy_mhz"] = max(best["busy_mhz"], round(busy_mhz(build_soc(pgo=target.pgo), rom), 2))
                best["lenet5_mhz"] = max(best["lenet5_mhz"], round(lenet_mhz(target), 2))
    found["pgo_gain"] = {key: round(found["pgo"][key] / found["plain"][key], 2) for key in found["plain"]}
    return found


def main() -> None:
    results = speeds()
    for name, pgo in (("plain", False), ("pgo", True)):
        build = build_soc(pgo=pgo)
        results[name] |= {"build_id": build.build_id, **build.parameters}
    save("sim", results, show=True)


if __name__ == "__main__":
    main()
