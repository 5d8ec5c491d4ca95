"""Whole programs on the BitFusion RTL: bit for bit the integers of Python, the same cycles in every build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hil.harness.bf_sim import Build, Memory, Report, run_jobs
from hil.store import Store
from hil.targets.bitfusion import BitFusionSim, check_report, job, layer_cycles, outputs
from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.program import BitFusionProgram
from mico.errors import DeviceError, FlashError, MeasurementError, UsageError
from mico.quant.integer import Format, IntegerModel
from tests.mico.codegen.random_models import BITS, FORMATS, ModelBuilder, lenet5, random_model

SMALL = Machine(rows=8, cols=8, bus_bits=128, ibuf_bytes=4096, wbuf_bytes=8192, obuf_bytes=1024)
STALLS = Memory(bandwidth=96, read_latency=23, write_latency=40, stall=80, seed=9)
LIMIT = 5_000_000


def random_layer(seed: int) -> ModelBuilder:
    """A convolution or linear layer of any shape, stride, padding, groups, bits and signedness, then another one."""
    rng = np.random.default_rng(seed)
    linear = rng.random() < 0.25
    channels = int(rng.integers(1, 40))
    size = 1 if linear else int(rng.integers(3, 15))
    builder = ModelBuilder(seed, (channels, size, int(1 if linear else rng.integers(3, 15))))
    source = builder.requant("input", out=FORMATS[rng.integers(len(FORMATS))])
    outs = int(rng.integers(1, 40))
    if linear:
        source = builder.linear(builder.flatten(source), outs, weight_bits=int(rng.choice(BITS)))
        builder.linear(source, 3, out=Format(32, True))
        return builder
    kernel = tuple(int(rng.integers(1, 4)) for _ in range(2))
    groups = 1
    if rng.random() < 0.2:
        groups, outs = channels, channels * int(rng.integers(1, 3))
    stride = tuple(int(rng.integers(1, 3)) for _ in range(2))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    bits = int(rng.choice(BITS))
    source = builder.conv(source, outs, kernel, stride=stride, padding=padding, groups=groups, weight_bits=bits)  # type: ignore[arg-type]
    builder.conv(source, 3, (1, 1), out=Format(32, True))
    return builder


def resnet8(weight_bits: int, act_bits: int, seed: int) -> ModelBuilder:
    """ResNet-8 of MLPerf Tiny: three residual blocks on 32 x 32 pixels; 8 bits in the first and the last layer."""
    builder = ModelBuilder(seed, (3, 32, 32), name=f"resnet8_w{weight_bits}a{act_bits}")
    form = Format(act_bits, False)
    x = builder.conv("input", 16, (3, 3), padding=(1, 1), weight_bits=8, out=form)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        short, steps = x, (stride, stride)
        x = builder.conv(x, width, (3, 3), stride=steps, padding=(1, 1), weight_bits=weight_bits, out=form)
        x = builder.conv(x, width, (3, 3), padding=(1, 1), weight_bits=weight_bits, out=Format(8, True))
        if stride > 1:
            short = builder.conv(short, width, (1, 1), stride=steps, weight_bits=weight_bits, out=Format(8, True))
        x = builder.add(x, short, out=form)
    x = builder.flatten(builder.global_pool(x, out=Format(8, False)))
    builder.linear(x, 10, weight_bits=8, out=Format(32, True))
    return builder


def simulate(
    cases: list[tuple[IntegerModel, np.ndarray]], machine: Machine, build: Build, memory: Memory
) -> list[tuple[BitFusionProgram, Report]]:
    programs = [compile_model(model, batch=len(x), machine=machine) for model, x in cases]
    jobs = [job(program, program.memory(x), memory, LIMIT) for program, (_, x) in zip(programs, cases, strict=True)]
    reports = run_jobs(machine, jobs, build=build)
    for program, report in zip(programs, reports, strict=True):
        check_report(report, program)
    return list(zip(programs, reports, strict=True))


def check(cases: list[tuple[IntegerModel, np.ndarray]], machine: Machine, memory: Memory | None = None) -> list[int]:
    """Every output is Python's; cycles."""
    ran = simulate(cases, machine, Build.FUNCTIONAL, memory or Memory())
    for (model, x), (program, report) in zip(cases, ran, strict=True):
        np.testing.assert_array_equal(outputs(program, report), model.run(x), err_msg=model.name)
    return [report.counters["cycles"] for _, report in ran]


@pytest.mark.parametrize("memory", [Memory(), STALLS], ids=["free", "stalls"])
def test_random_layers_and_networks(memory: Memory) -> None:
    """Seeds 0 to 29, two layers each, and ten random networks of every operation."""
    builders = [random_layer(seed) for seed in range(30)] + [random_model(seed) for seed in range(10)]
    check([(b.build(), b.inputs(1 + index % 3)) for index, b in enumerate(builders)], SMALL, memory)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [SMALL, Machine()], ids=["8x8", "16x32"])
def test_two_hundred_random_layers(machine: Machine) -> None:
    """Seeds 1000 to 1199, with and without stalls; stalls of a memory of the same latency and bandwidth cost cycles."""
    builders = [random_layer(seed) for seed in range(1000, 1200)]
    cases = [(b.build(), b.inputs(2)) for b in builders]
    free, stalled = check(cases, machine), check(cases, machine, Memory(stall=80, seed=9))
    check(cases, machine, STALLS)
    assert sum(free) < sum(stalled)
    assert all(a <= 1.02 * b for a, b in zip(free, stalled, strict=True))


def test_lenet5_at_all_equal_pairs_and_mixed() -> None:
    builders = [lenet5(w, a) for w, a in ((8, 8), (4, 4), (2, 2), (1, 1), (8, 2), (1, 8))]
    check([(b.build(), b.inputs(2)) for b in builders], SMALL)


def test_resnet8() -> None:
    builder = resnet8(4, 4, seed=2)
    check([(builder.build(), builder.inputs(2))], SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("memory", [Memory(), STALLS], ids=["free", "stalls"])
def test_resnet8_at_all_equal_pairs_and_mixed(memory: Memory) -> None:
    builders = [resnet8(w, a, seed=3) for w, a in ((8, 8), (4, 4), (2, 2), (1, 1), (2, 8), (8, 1))]
    cases = [(b.build(), b.inputs(4)) for b in builders]
    assert all(len(np.unique(model.run(x))) > 20 for model, x in cases)  # networks that tell images apart
    check(cases, Machine(), memory)


@pytest.mark.slow
def test_every_build_takes_the_same_cycles() -> None:
    """Structural and functional the same outputs as well; timing the same marks without any data."""
    machine = Machine(rows=4, cols=8, bus_bits=64, ibuf_bytes=2048, wbuf_bytes=4096, obuf_bytes=1024)
    builders = [random_layer(seed) for seed in range(200, 206)] + [random_model(seed) for seed in range(50, 53)]
    cases = [(b.build(), b.inputs(2)) for b in builders]
    ran = {build: simulate(cases, machine, build, STALLS) for build in Build}
    for structural, functional, timing in zip(*(ran[build] for build in Build), strict=True):
        assert structural[1].data == functional[1].data
        assert structural[1].marks == functional[1].marks == timing[1].marks
        assert structural[1].counters == functional[1].counters == timing[1].counters


def test_measurement_on_the_target(tmp_path: Path) -> None:
    """Layers add up, laps agree, the store knows the measurement again."""
    builder = lenet5(4, 4)
    model, x = builder.build(), builder.inputs(3)
    with BitFusionSim(machine=SMALL) as target:
        program = target.build(model)
        store = Store(tmp_path / "store.sqlite")
        first = store.measure_once(target, program, x, expected=model.run(x[:1]))
        assert sum(layer.cycles for layer in first.layers) == first.cycles
        assert [layer.name for layer in first.layers] == [*program.compiled.marks, "glue"]
        assert store.measure_once(target, program, x).cached
        np.testing.assert_array_equal(target.infer(x), model.run(x))
        other = BitFusionSim(machine=SMALL, memory=STALLS)
        assert other.provenance(program).key() != target.provenance(program).key()


def test_cycle_limit_names_where_the_accelerator_stood() -> None:
    builder = lenet5(8, 8)
    with BitFusionSim(machine=SMALL, cycle_limit=900) as target:
        target.flash(target.build(builder.build()))
        with pytest.raises(MeasurementError, match=r"LIMIT.*after 9\d\d cycles in op0; .*(waits|busy|outstanding)"):
            target.measure(builder.inputs(1))


def test_what_does_not_fit_the_target_is_refused() -> None:
    model = lenet5(8, 8).build()
    target = BitFusionSim(machine=SMALL)
    program = target.build(model)
    with pytest.raises(DeviceError, match="not open"):
        target.flash(program)
    with target, pytest.raises(DeviceError, match="flash"):
        target.info()
    with BitFusionSim() as larger, pytest.raises(FlashError, match="compiled for"):
        larger.flash(program)
    with pytest.raises(UsageError, match="timing build"):
        BitFusionSim(build=Build.TIMING)


def test_layers_of_a_report_are_named() -> None:
    builder = lenet5(2, 2)
    ((program, report),) = simulate([(builder.build(), builder.inputs(1))], SMALL, Build.FUNCTIONAL, Memory())
    layers = layer_cycles(program, report)
    assert sum(layer.cycles for layer in layers) == report.counters["cycles"]
    assert all(layer.cycles > 0 for layer in layers)
