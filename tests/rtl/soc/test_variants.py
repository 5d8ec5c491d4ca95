"""Simulators built otherwise: wait states cost cycles, a profile costs none. Each builds a simulator of its own."""

from __future__ import annotations

import pytest

from hil.verilate import build_soc

pytestmark = pytest.mark.slow


def cycles_after(simulate, build, rom, bytes_in: bytes) -> list[bytes]:
    """What programs/bytes.c prints of its cycle counter after each byte."""
    simulator = simulate(build.path, rom)
    simulator.restart()
    simulator.read_until(b"ready\n")
    simulator.console.write(bytes_in)
    return [simulator.read_until(b"\n") for _ in bytes_in]


def test_wait_states_cost_cycles(compile_program, simulate):
    """Four wait states more on every RAM access: reported by the simulator, and the same program takes longer."""
    rom = compile_program("bytes")
    slow = build_soc(ram_latency=4)
    assert slow.parameters["ram_latency"] == 4
    assert simulate(slow.path, rom).ready["ram_latency"] == 4
    fast_cycles = cycles_after(simulate, build_soc(), rom, b"ccc")
    slow_cycles = cycles_after(simulate, slow, rom, b"ccc")
    for fast, late in zip(fast_cycles, slow_cycles, strict=True):
        assert int(late.split()[1], 16) > int(fast.split()[1], 16)


def test_profile_changes_no_cycle(compile_program, simulate):
    """The simulator compiled with a profile counts the cycles that the plain one counts."""
    rom = compile_program("bytes")
    trained = build_soc(pgo=True)
    assert trained.hardware_hash != build_soc().hardware_hash
    assert cycles_after(simulate, trained, rom, b"ccccc") == cycles_after(simulate, build_soc(), rom, b"ccccc")


def test_gates_change_no_cycle(compile_program, simulate):
    """programs/rest.c reads the same counters, mcycle among them, behind waits, whether the clocks rest or not.

    In its rounds the core begins to wait amid refills, divisions and flushes; interrupts fall before, into, after it.
    """
    rom = compile_program("rest")
    printed = []
    for gates in (True, False):
        simulator = simulate(build_soc(gates=gates).path, rom)
        simulator.restart()
        printed.append(simulator.read_until(b"end\n"))
    assert printed[0] == printed[1]
    lines = dict(line.split() for line in printed[0].splitlines()[-3:-1])
    assert int(lines[b"interrupts"], 16) > 60
