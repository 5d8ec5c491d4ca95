"""Cycles of kernels and of LeNet-5 on the simulated SoC against their bars: ``python -m tests.bench.soc``.

Writes ``build/bench/soc.json``; README.md in this folder has its keys. ``--no-synthesis`` leaves out area and clock,
which take minutes; their bars then count as failed. Exits with 1 where a bar does.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from hil.breakdown import Breakdown, flame
from hil.cli_profile import RAM_BYTES
from hil.layer_models import LayerShape, parse_bits
from hil.profile import Profiler
from hil.store import Store
from hil.synth import synthesise
from hil.targets.bench_target import BenchTarget
from hil.targets.soc_sim import SocSim
from hil.toolchain import build_program
from mico.errors import MicoError
from tests.bench.result import bar_table, save
from tests.bench.sim import speeds
from tests.hil.targets.programs import inputs, lenet5

ROOT = Path(__file__).resolve().parents[2]
POINTS = (1, 4)  # lanes that are synthesised; the last is the engine that is measured
EQUAL = ("8x8", "4x4", "2x2", "1x1")

# Cycles published for VexiiMiCo's "high" core: dual issue, FPU, branch predictors, two-way L1 caches.
PAPER = {
    "source": "MiCo, VexiiRiscv with ten SIMD dot products, core 'high': matmul N=M=K=128 without requantisation; "
    "layers with quantisation and im2col",
    "matmul_128": {"8x8": 4_052_402, "4x4": 1_816_506, "2x2": 957_862, "1x1": 552_655},
    "layers": {
        "linear_1x4096x4096": {"8x8": 31_616_205, "4x4": 15_828_977, "2x2": 8_092_042, "1x1": 4_164_138},
        "conv_28x28x1_6_k5": {"8x8": 915_173, "4x4": 769_591, "2x2": 851_768, "1x1": 596_335},
        "conv_14x14x6_16_k5": {"8x8": 1_125_492, "4x4": 873_181, "2x2": 849_818, "1x1": 608_753},
    },
    "lenet5_int8_rv32imfc": 9_000_000,
}

MATMUL = LayerShape("matmul", (128, 1, 128), 128, signed=True, int32=True)
MATMUL_REQUANT = LayerShape("matmul", (128, 1, 128), 128, signed=True)
LAYERS = {
    "conv_28x28x1_6_k5": LayerShape("conv", (28, 28, 1), 6, kernel=5, padding=2),
    "conv_14x14x6_16_k5": LayerShape("conv", (14, 14, 6), 16, kernel=5),
    "linear_1x4096x4096": LayerShape("linear", (1, 1, 4096), 4096),
}


def layers(target: SocSim, say: Callable[[str], None]) -> dict[str, Any]:
    """All profiles; each is compared with Python's output before it is a number."""
    store = Store(ROOT / "build" / "mico.sqlite")
    with BenchTarget(target) as bench:
        profiler = Profiler(bench, store)

        def cycles(shape: LayerShape, bits: str) -> dict[str, int]:
            found = {}
            for pair in parse_bits(bits):
                profile = profiler.time(shape, pair)
                say(f"{shape} {profile.pair}: {profile.cycles:,}")
                found[profile.pair] = profile.cycles
            return found

        return {
            "matmul_128": cycles(MATMUL, "all"),
            "matmul_128_requant": cycles(MATMUL_REQUANT, "all"),
            "layers": {name: cycles(shape, "equal") for name, shape in LAYERS.items()},
        }


def network(target: SocSim, console: Console) -> dict[str, Any]:
    """LeNet-5 at 8 bits: cycles, checked against Python, and what its layers spend them on."""
    model = lenet5(8, 8)
    x = inputs(model, 1, seed=1)
    with target:
        target.flash(build_program(model, simd=target.simd))
        run = target.measure(x, laps=2, warmup=1)
        if not np.array_equal(run.outputs, model.run(x)):
            raise SystemExit("LeNet-5: the target computes other logits than Python")
        counts = {name: Breakdown.of(values) for name, values in target.counts()}
    rows = [(layer.name, layer.cycles, counts.get(layer.name)) for layer in run.layers]
    console.print(flame(rows, title="LeNet-5, 8 bits"))
    return {
        "lenet5_int8": run.cycles,
        "lenet5_int8_layers": [
            {"name": name, "cycles": own, "breakdown": None if parts is None else parts.to_json()}
            for name, own, parts in rows
        ],
    }


def speed(say: Callable[[str], None]) -> dict[str, float]:
    """Simulated cycles a CPU second, plain and compiled with its profile, while the engine works and while it rests."""
    say("speed of the simulator")
    found = speeds()
    plain, pgo = found["plain"], found["pgo"]
    return {
        "sim_mhz": max(plain["lenet5_mhz"], pgo["lenet5_mhz"]),
        "sim_mhz_plain": plain["lenet5_mhz"],
        "sim_mhz_pgo": pgo["lenet5_mhz"],
        "sim_mhz_busy_plain": plain["busy_mhz"],
        "sim_mhz_busy_pgo": pgo["busy_mhz"],
        "sim_pgo_gain": found["pgo_gain"]["lenet5_mhz"],
    }


def synthesis(say: Callable[[str], None]) -> dict[str, Any]:
    """Area and clock on an ECP5-45 with POINTS lanes, two at a time; none, and the reason, where a tool fails."""
    say("synthesis, place and route for an ECP5-45: minutes, where build/synth does not have it")
    try:
        with ThreadPoolExecutor(2) as pool:
            areas = list(pool.map(lambda lanes: synthesise(lanes=lanes), POINTS))
    except MicoError as error:
        return {"synthesis": [], "synthesis_error": str(error)}
    return {"synthesis": [vars(area) for area in areas]}


def bars(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Every bar: what is compared, the limit, the value, whether it holds; a value that is missing does not."""
    matmul, measured = results["matmul_128"], results["layers"]
    rows: list[tuple[str, float | None, str, float]] = []
    for pair, limit in (("8x8", 400_000), ("4x4", 200_000), ("2x2", 110_000), ("1x1", 70_000)):
        rows.append((f"matmul_128 {pair}", matmul[pair], "<=", limit))
    for pair, share in (("8x4", 0.6), ("8x2", 0.4), ("8x1", 0.3)):
        rows.append((f"matmul_128 {pair} of 8x8", matmul[pair] / matmul["8x8"], "<=", share))
    gains = [PAPER["matmul_128"][pair] / matmul[pair] for pair in EQUAL]  # type: ignore[index]
    rows.append(("matmul_128 over the paper, geometric mean", math.prod(gains) ** (1 / len(gains)), ">=", 10))
    rows.append(("matmul_128 over the paper, least", min(gains), ">=", 5))
    rows.append(("conv_28x28x1_6_k5 8x8", measured["conv_28x28x1_6_k5"]["8x8"], "<=", 90_000))
    rows.append(("conv_14x14x6_16_k5 8x8", measured["conv_14x14x6_16_k5"]["8x8"], "<=", 110_000))
    rows.append(("linear_1x4096x4096 8x8", measured["linear_1x4096x4096"]["8x8"], "<=", 5_000_000))
    rows.append(("linear_1x4096x4096 1x1", measured["linear_1x4096x4096"]["1x1"], "<=", 900_000))
    rows.append(("lenet5_int8", results["lenet5_int8"], "<=", 300_000))
    rows.append(("sim_mhz", results["sim_mhz"], ">=", 3))
    areas = {area["lanes"]: area for area in results["synthesis"]}
    for lanes in POINTS:
        for key, sign, limit in (("lut4", "<=", 43_848), ("dsp", "<=", 72), ("ebr", "<=", 108), ("fmax_mhz", ">=", 50)):
            rows.append((f"{key}, ECP5-45, {lanes} lanes", areas.get(lanes, {}).get(key), sign, limit))
    return [
        {
            "name": name,
            "value": value if value is None or isinstance(value, int) else round(value, 3),
            "bar": f"{sign} {limit:g}" if limit < 1000 else f"{sign} {limit:,}",
            "pass": value is not None and (value <= limit if sign == "<=" else value >= limit),
        }
        for name, value, sign, limit in rows
    ]


def main(arguments: list[str]) -> int:
    console = Console(width=None if sys.stdout.isatty() else 160)
    target = SocSim(ram_bytes=RAM_BYTES)

    def say(text: str) -> None:
        console.print(text, highlight=False)

    results: dict[str, Any] = {**layers(target, say), **network(target, console), **speed(say)}
    if "--no-synthesis" in arguments:
        results |= {"synthesis": [], "synthesis_error": "left out: --no-synthesis"}
    else:
        results |= synthesis(say)
    measured: dict[str, Any] = next((area for area in results["synthesis"] if area["lanes"] == POINTS[-1]), {})
    results |= {key: measured.get(key) for key in ("lut4", "dsp", "fmax_mhz")}
    results["paper_high"] = PAPER
    results["parameters"] = target.provenance(build_program(lenet5(8, 8), simd=target.simd)).to_json()
    results["bars"] = bars(results)
    code = save("soc", results)
    bar_table(results, console)
    for row in results["bars"]:
        if not row["pass"]:
            say(f"fails: {row['name']} is {row['value']}, not {row['bar']}")
    if "synthesis_error" in results:
        say(f"no synthesis: {results['synthesis_error']}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
