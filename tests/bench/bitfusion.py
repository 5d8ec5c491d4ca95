"""The BitFusion accelerator against the public simulator and its own limits: ``python -m tests.bench.bitfusion``.

Writes ``build/bench/bitfusion.json`` (keys in README.md of this folder); exits with 1 where a bar fails. Everything is
measured on the RTL: cycles on the timing build, which has the cycles of the others (tests/rtl/bitfusion), speeds on
both.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from statistics import geometric_mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hil.harness.bf_sim import Build, Job, Memory, Report, run_jobs
from hil.targets.bitfusion import check_report, layer_cycles
from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.isa import assemble, encode
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.program import BitFusionProgram
from mico.latency.evaluate import compare
from mico.latency.features import features, shape_of
from mico.latency.network import Sample
from mico.quant.integer import IntegerModel
from mico.quant.scheme import BITS
from tests.bench.bitfusion_layers import LayerCase, random_cases
from tests.bench.bitfusion_limits import limits
from tests.bench.bitfusion_nets import NETS, PUBLISHED
from tests.bench.result import bar_table, save

MACHINE = Machine()
MEMORY = Memory()
BATCH = 16
MEM_BYTES = 256 << 20
KERNELS = {"cifar10 conv3": 492_204, "alexnet-2x conv2_a": 5_018_849}
RANDOM_LAYERS, RANDOM_SEED = 200, 4
SHAPES, SHAPES_SEED = 40, 6
PAPER = {"bops_r2": 0.35, "cbops_r2": 0.55, "source": "MiCo, arXiv 2508.09500: BitFusion"}


def run(programs: list[BitFusionProgram]) -> list[Report]:
    """Programs on the timing build, which needs their instructions only."""
    jobs = [
        Job(encode(p.instructions), 0, len(p.instructions), mem_bytes=p.memory_bytes, memory=MEMORY) for p in programs
    ]
    reports = run_jobs(MACHINE, jobs, build=Build.TIMING, mem_bytes=MEM_BYTES)
    for program, report in zip(programs, reports, strict=True):
        check_report(report, program)
    return reports


def networks(say: Callable[[str], None]) -> dict[str, Any]:
    """The published networks, layer by layer."""
    models = {name: make() for name, make in NETS.items()}
    programs = {name: compile_model(m, batch=BATCH, machine=MACHINE, weights=False) for name, m in models.items()}
    reports = run(list(programs.values()))
    say(f"networks: {sum(r.counters['cycles'] for r in reports):,} cycles")
    return {name: network(models[name], programs[name], report) for name, report in zip(models, reports, strict=True)}


def network(model: IntegerModel, program: BitFusionProgram, report: Report) -> dict[str, Any]:
    """One network's entry of ``nets``."""
    least = limits(model, MACHINE, MEMORY, batch=BATCH)
    layers = []
    beats = 0
    for part, mark in zip(layer_cycles(program, report), report.marks, strict=False):
        limit = least[part.name]
        layers.append(
            {
                "name": part.name,
                "cycles": part.cycles,
                "compute_bound": limit.compute,
                "memory_bound": limit.memory,
                "dram_bits": (mark.beats - beats) * MACHINE.bus_bits,
                "round_trip": limit.round_trip,
                "of_bound": round(limit.cycles / part.cycles, 4),
            }
        )
        beats = mark.beats
    cycles = report.counters["cycles"]
    published = PUBLISHED[model.name]
    return {
        "cycles": cycles,
        "published": published,
        "of_published": round(cycles / published, 4),
        "limit": sum(limit.cycles for limit in least.values()),
        "utilisation": round(report.counters["array_busy"] / cycles, 4),
        "predicted": program.predicted[-1],
        "layers": layers,
    }


def model_error(say: Callable[[str], None]) -> dict[str, Any]:
    """The compiler's cycle model against the RTL on random layers."""
    cases = random_cases(RANDOM_LAYERS, RANDOM_SEED)
    programs = [compile_model(case.model(), machine=MACHINE, weights=False) for case in cases]
    reports = run(programs)
    errors = np.array([p.predicted[-1] / r.counters["cycles"] - 1 for p, r in zip(programs, reports, strict=True)])
    worst = int(np.abs(errors).argmax())
    say(f"cycle model: {100 * np.abs(errors).mean():.2f} % mean, {100 * errors[worst]:.1f} % at worst ({cases[worst]})")
    return {
        "model_mape": float(np.abs(errors).mean()),
        "model_worst": float(np.abs(errors).max()),
        "model_worst_case": str(cases[worst]),
        "model_layers": len(cases),
    }


def latency_models(say: Callable[[str], None]) -> dict[str, Any]:
    """BOPs, CBOPs and our blend on measured cycles, whole shapes held out."""
    pairs = tuple((act, wgt) for act in BITS for wgt in BITS)
    cases = random_cases(SHAPES * len(pairs), SHAPES_SEED, pairs)
    reports = run([compile_model(case.model(), machine=MACHINE, weights=False) for case in cases])
    samples = [sample(case, report) for case, report in zip(cases, reports, strict=True)]
    scores = compare(samples)
    for name, score in scores.items():
        say(f"{name} on shapes held out: R2 {score.r2:.2f}, MAPE {100 * score.mape:.0f} %")
    found = {name: {"r2": s.r2, "mape": s.mape} for name, s in scores.items()}
    return {"latency_models": {**found, "shapes": SHAPES, "n": len(samples), "published": PAPER}}


def sample(case: LayerCase, report: Report) -> Sample:
    layer = case.layer()
    vector = features(layer, case.bits, case.out_bits)
    return Sample(layer.name, shape_of(layer), case.bits, case.out_bits, vector, float(report.counters["cycles"]))


def cpu_seconds(machine: Machine, jobs: list[Job], build: Build, **options: Any) -> tuple[list[Report], float]:
    """Reports, and CPU seconds of the simulation, its start-up included; the simulation is built before."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    reports = run_jobs(machine, jobs, build=build, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return reports, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def speeds(say: Callable[[str], None]) -> dict[str, Any]:
    """Simulated cycles a CPU second: 16 x 32 units, convolutions at equal pairs; start-up taken off."""
    results: dict[str, Any] = {}
    for name, build, batch in (("timing", Build.TIMING, 64), ("functional", Build.FUNCTIONAL, 4)):
        found: dict[str, float] = {}
        idle = Job(encode(assemble("END")), 0, 1)
        run_jobs(MACHINE, [idle], build=build)
        _, start_up = cpu_seconds(MACHINE, [idle], build)
        for bits in BITS:
            case = LayerCase(128, 16, 128, 3, 1, 1, bits, bits, 8)
            program = compile_model(case.model(), batch=batch * 8 // bits, machine=MACHINE, weights=False)
            job = Job(encode(program.instructions), 0, len(program.instructions), mem_bytes=program.memory_bytes)
            (report,), seconds = cpu_seconds(MACHINE, [job], build)
            check_report(report, program)
            found[f"{bits}x{bits}"] = round(report.counters["cycles"] / (seconds - start_up) / 1e3, 1)
        say(f"{name} build: {found} kHz")
        results |= {f"{name}_khz": min(found.values()), f"{name}_khz_by_pair": found}
    return results


def _layer(nets: dict[str, Any], name: str) -> dict[str, Any]:
    net, layer = name.split()
    found: dict[str, Any] = next(entry for entry in nets[net]["layers"] if entry["name"] == layer)
    return found


def latency_bound(nets: dict[str, Any]) -> list[dict[str, Any]]:
    """Memory-bound layers that are more than a tenth over their traffic: what a round trip to memory leaves of that."""
    return [
        {
            "net": name,
            "layer": entry["name"],
            "cycles": entry["cycles"],
            "memory_bound": entry["memory_bound"],
            "over_traffic": round(entry["cycles"] / entry["memory_bound"], 3),
            "over_traffic_and_round_trip": round(entry["cycles"] / (entry["memory_bound"] + entry["round_trip"]), 3),
        }
        for name, net in nets.items()
        for entry in net["layers"]
        if entry["compute_bound"] < entry["memory_bound"] and entry["cycles"] > 1.1 * entry["memory_bound"]
    ]


def bars(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What the figures have to reach, and whether they do."""
    nets = results["nets"]
    heavy = [e for net in nets.values() for e in net["layers"] if e["compute_bound"] >= e["memory_bound"]]
    moving = [e for net in nets.values() for e in net["layers"] if e["compute_bound"] < e["memory_bound"]]
    large = [e for e in moving if e["memory_bound"] >= 10 * e["round_trip"]]
    late = max(e["cycles"] / (e["memory_bound"] + e["round_trip"]) for e in moving)
    rows = [
        ("networks of published, geometric mean", results["geomean_of_published"], "<=", 0.60),
        ("networks of published, most", max(net["of_published"] for net in nets.values()), "<=", 0.95),
        ("compute-bound layers of their peak, least", min(e["of_bound"] for e in heavy), ">=", 0.90),
        (
            "memory-bound layers over their traffic, most: of 10 round trips or more",
            max(e["cycles"] / e["memory_bound"] for e in large),
            "<=",
            1.10,
        ),
        ("memory-bound layers over their traffic and a round trip, most: of any size", late, "<=", 1.10),
        ("cycle model, mean error", results["model_mape"], "<=", 0.02),
        ("cycle model, worst error", results["model_worst"], "<=", 0.10),
        ("timing build, kHz", results["timing_khz"], ">=", 1000),
        ("functional build, kHz", results["functional_khz"], ">=", 100),
    ]
    return [
        {
            "name": name,
            "value": round(value, 4),
            "bar": f"{sign} {limit:g}",
            "pass": value <= limit if sign == "<=" else value >= limit,
        }
        for name, value, sign, limit in rows
    ]


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 160)

    def say(text: str) -> None:
        console.print(text, highlight=False)

    nets = networks(say)
    results: dict[str, Any] = {
        "nets": nets,
        "geomean_of_published": round(geometric_mean([net["of_published"] for net in nets.values()]), 4),
        "kernels": {
            name: {"cycles": _layer(nets, name)["cycles"], "published": published}
            for name, published in KERNELS.items()
        },
        **model_error(say),
        **latency_models(say),
        **speeds(say),
    }
    results["latency_bound"] = latency_bound(nets)
    results["parameters"] = {**MACHINE.parameters(), **vars(MEMORY), "batch": BATCH}
    results["bars"] = bars(results)
    code = save("bitfusion", results)
    table = Table("network", "cycles", "published", "share", "limit", "array busy")
    for name, net in nets.items():
        table.add_row(
            name, f"{net['cycles']:,}", f"{net['published']:,}", f"{net['of_published']:.3f}",
            f"{net['limit'] / net['published']:.3f}", f"{100 * net['utilisation']:.1f} %",
        )  # fmt: skip
    console.print(table)
    bar_table(results, console)
    for row in results["latency_bound"]:
        say(
            f"{row['net']} {row['layer']}: {row['cycles']} cycles, {row['over_traffic']} of its traffic, "
            f"{row['over_traffic_and_round_trip']} with a round trip to memory"
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
