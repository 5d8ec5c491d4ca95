"""Random programs around custom instructions, on the SoC, against the golden simulator with the unit's models.

Each custom instruction is executed exactly once: the SoC counts the commands that the unit accepts, the engine counts
its operations and answers with the count, and a RUN that adds to its own bias leaves how often it ran.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hil.harness.stream_model import Op, Run, StreamModel
from hil.verilate import build_soc, vexriscv_netlist
from tests.rtl.soc_isa.iss import Machine
from tests.rtl.soc_isa.program import Built, assemble, compare, run_golden
from tests.rtl.stress.random_code import Generator, Mix, random_program, simd_operation
from tests.rtl.stress.stream_code import HANDLER_OPS, INSIDE, SETUP, WAIT, machine_with_unit, mixed_operation

pytestmark = pytest.mark.skipif(
    shutil.which("riscv64-unknown-elf-gcc") is None,
    reason="needs riscv64-unknown-elf-gcc: apt-get install gcc-riscv64-unknown-elf",
)


@pytest.fixture(scope="module")
def soc() -> Path:
    return build_soc().path


def engine_program(seed: int, rounds: int) -> Built:
    """Everything at once: engine, dot products, stores, loads, branches, loops, traps, timer interrupts."""
    generator = Generator(seed, mixed_operation, Mix())
    return assemble(
        random_program(
            generator,
            instructions=2000,
            rounds=rounds,
            setup=SETUP,
            wait=WAIT,
            inside=INSIDE,
            inside_ops=HANDLER_OPS,
        )
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_instructions(soc, seed):
    """Random RV32IM code, without custom instructions."""
    generator = Generator(seed, lambda _: [], Mix(custom=0))
    built = assemble(random_program(generator, instructions=2000, rounds=10))
    compare(soc, built, run_golden(built))


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_dot_products_among_everything(soc, seed):
    generator = Generator(seed, simd_operation, Mix())
    built = assemble(random_program(generator, instructions=2000, rounds=15))
    machine = run_golden(built)
    assert machine.custom > 7000
    compare(soc, built, machine)


@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_engine_and_dot_products_among_everything(soc, seed):
    built = engine_program(seed, rounds=15)
    machine, _ = machine_with_unit(built.rom)
    run_golden(built, machine)
    assert machine.custom > 6000
    compare(soc, built, machine)


KINDS = {
    "a RUN": (Op.RUN, Run.RUN),
    "a POOL": (Op.RUN, Run.POOL),
    "a MAP": (Op.RUN, Run.MAP),
    "a GATHER": (Op.GATHER, 0),
}


@pytest.mark.parametrize(
    "fault", ["a RUN twice", "a RUN lost", "a GATHER twice", "a POOL lost", "a MAP twice", "a dot product one off"]
)
def test_wrong_operations_are_noticed(soc, fault):
    """The golden simulator does every seventh operation of a kind wrong: it no longer agrees with the SoC."""
    built = engine_program(22, rounds=8)
    machine, _ = machine_with_unit(built.rom)
    unit = machine.cfu
    met = 0

    def faulty(function: int, rs1: int, rs2: int) -> int:
        nonlocal met
        engine = function >> 3 & 0xF == 0
        kind = (Op(function >> 7), function & 7) if engine else None
        wanted = KINDS.get(fault.rsplit(" ", 1)[0])
        met += kind == wanted
        if kind != wanted or met % 7:
            return unit(function, rs1, rs2)
        if fault.endswith("lost"):
            return 0
        answer = unit(function, rs1, rs2)
        return unit(function, rs1, rs2) if fault.endswith("twice") else answer + 1

    machine.cfu = faulty
    run_golden(built, machine)
    assert met > 39
    with pytest.raises(AssertionError, match="the SoC says"):
        compare(soc, built, machine)


# What is replaced in the netlist. The first is the core as it is without the measure of cpu_vexriscv.sv.
NETLIST_FAULTS = {
    "hold is not cleared": (
        "if(CfuPlugin_bus_cmd_ready) begin",
        "if(CfuPlugin_bus_cmd_ready && CfuPlugin_bus_cmd_valid) begin",
    ),
    "issued again while it waits": (
        "(execute_CfuPlugin_schedule || execute_CfuPlugin_hold) && (! execute_CfuPlugin_fired))",
        "(execute_CfuPlugin_schedule || execute_CfuPlugin_hold))",
    ),
    "issued before a trap in front of it": (
        "assign execute_CfuPlugin_schedule = (execute_CfuPlugin_scheduleWish && (! execute_CfuPlugin_hazard));",
        "assign execute_CfuPlugin_schedule = execute_CfuPlugin_scheduleWish;",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", NETLIST_FAULTS)
def test_faults_of_the_core_are_found(tmp_path, fault):
    """The netlist with a fault in its custom function unit plugin fails one of the programs of the tests above."""
    old, new = NETLIST_FAULTS[fault]
    text = vexriscv_netlist().read_text()
    assert text.count(old) == 1
    netlist = tmp_path / "VexRiscv_FullCfu.v"
    netlist.write_text(text.replace(old, new))
    faulty = build_soc(netlist=netlist).path
    found = 0
    for seed in (21, 22, 23, 24):
        built = engine_program(seed, rounds=15)
        machine, _ = machine_with_unit(built.rom)
        run_golden(built, machine)
        try:
            compare(faulty, built, machine)
        except AssertionError:
            found += 1
    assert found


WITHOUT_ERROR = ("RUN", "POOL", "POOL_KEEP", "MAP", "GATHER", "GATHER_LANE", "EXPAND")


def counting(unit: Callable[[int, int, int], int], engine: StreamModel, done: Counter[str]) -> Callable[..., int]:
    """*unit*, which counts the engine's operations that end without an error, by their names."""

    def count(function: int, rs1: int, rs2: int) -> int:
        answer = unit(function, rs1, rs2)
        if function >> 3 & 0xF == 0 and not engine.error:
            op, funct3 = function >> 7, function & 7
            if op == Op.RUN and funct3 <= Run.MAP:
                done[Run(funct3).name] += 1
            elif op in (Op.GATHER, Op.GATHER_LANE):
                done[Op(op).name] += 1
                done["EXPAND"] += engine.config.expand
        return answer

    return count


@pytest.mark.slow
@pytest.mark.parametrize("ram_latency", [0, 3])
def test_half_a_million_operations(ram_latency):
    """500,000 custom instructions in about ten programs for each kind of RAM: a million in all."""
    soc = build_soc(ram_latency=ram_latency).path
    total = seed = 0
    done: Counter[str] = Counter()
    while total < 500_000:
        seed += 1
        built = engine_program(1000 * (ram_latency + 1) + seed, rounds=100)
        machine, engine = machine_with_unit(built.rom)
        machine.cfu = counting(machine.cfu, engine, done)
        run_golden(built, machine)
        compare(soc, built, machine)
        total += machine.custom
    print(dict(done))
    assert min(done[name] for name in WITHOUT_ERROR) > 1000


def test_golden_simulator_counts_what_it_executes():
    """A program of ten dot products, by hand."""
    line = "    .insn r 0x0B, 4, 1, x10, x11, x12\n"
    built = assemble(f"    .globl main\n    .text\nmain: li x11, 0x0102\n    li x12, 0x0303\n{line * 10}    j done\n")
    machine = Machine(built.rom)
    run_golden(built, machine)
    assert (machine.custom, machine.x[10]) == (10, 9)
