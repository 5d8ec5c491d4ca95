"""POOL and MAP of the streaming engine against its Python model, in Verilator."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest

from hil.harness.stream_isa import Op, Register
from hil.harness.stream_model import function_id
from tests.rtl.simd_stream.random_elementwise import add_illegal, add_map, add_pool, map_configs, pool_configs
from tests.rtl.simd_stream.random_ops import add_case, clear_buffers, configs
from tests.rtl.simd_stream.script import Script


def new_script(seed: int, lanes: int = 4, fifo_depth: int = 8) -> Script:
    script = Script(np.random.default_rng(seed), lanes, fifo_depth=fifo_depth)
    clear_buffers(script)
    return script


def test_maxima_of_every_width_sign_and_padding_at_random_places_with_stalls() -> None:
    script = new_script(seed=20)
    for turn in range(16):
        for config in pool_configs():
            add_pool(script, config, small=turn < 12)
    script.run("pool")


def test_sums_of_every_width_sign_and_format_at_random_places_with_stalls() -> None:
    script = new_script(seed=21)
    for turn in range(3):
        for config in map_configs():
            add_map(script, config, small=turn < 2)
    script.run("map")


def test_an_illegal_pool_or_map_says_why_changes_nothing_and_leaves_the_engine_usable() -> None:
    script = new_script(seed=22)
    for stalls in ({}, {"grant": 60, "latency": 9, "ready": 100, "decoy": 80}):
        script.timing(**stalls)
        add_illegal(script)
    script.run("illegal_elementwise")


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "fifo_depth"), [(1, 4), (2, 16)])
def test_fewer_lanes(lanes: int, fifo_depth: int) -> None:
    script = new_script(seed=23, lanes=lanes, fifo_depth=fifo_depth)
    for config in map_configs():
        add_map(script, config)
    for _ in range(4):
        for config in pool_configs():
            add_pool(script, config)
    script.run(f"elementwise{lanes}")


@pytest.mark.slow
def test_clocks_that_rest_change_no_result_and_no_cycle() -> None:
    """GATHER, RUN, POOL, MAP and refused ones in turns, seed 24: as the model says, BUSY and STALL as without gates."""
    counted = []
    for gate_clock in (False, True):
        script = Script(np.random.default_rng(24), gate_clock=gate_clock)
        clear_buffers(script)
        for pool, total, config in zip(cycle(pool_configs()), cycle(map_configs()), list(configs())[::4], strict=False):
            add_pool(script, pool)
            add_case(script, config)
            add_map(script, total)
            for register in (Register.BUSY, Register.STALL):
                script.command(function_id(Op.GET), 0, register, check=False)
        add_illegal(script)
        counted.append(script.run(f"gates{int(gate_clock)}"))
    assert counted[0] == counted[1]
    assert counted[0][-2] > 10_000
