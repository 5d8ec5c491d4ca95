"""The streaming engine's RTL against its Python model, in Verilator: every answer and every byte of the memory."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hil.harness.packing import weight_stream
from hil.harness.simd_model import encodings
from hil.harness.stream_isa import HIGHEST_FUNCT3, WIDTHS
from hil.harness.stream_model import Config, Error, Op, Out, Register, function_id
from mico.errors import MeasurementError
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.random_ops import add_case, clear_buffers, configs
from tests.rtl.simd_stream.script import BUFFER_WORDS, RAM_BASE, RAM_BYTES, Script

SETTABLE = [register for register in Register if register not in (Register.STATUS, Register.ERROR, Register.INFO)]
COUNTERS = (Register.BUSY, Register.STALL)


def random_script(seed: int, *, lanes: int = 4, fifo_depth: int = 8) -> Script:
    script = Script(np.random.default_rng(seed), lanes, fifo_depth=fifo_depth)
    clear_buffers(script)
    return script


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_pair_sign_and_format_with_random_shapes_places_and_stalls(seed: int) -> None:
    script = random_script(seed)
    for config in configs():
        add_case(script, config)
    script.run(f"random{seed}")


def test_long_rows() -> None:
    seed = 4
    script = random_script(seed)
    for config in list(configs())[seed % 3 :: 3]:
        add_case(script, config, small=False)
    script.run("long")


def test_padding_of_every_width_sign_and_setting() -> None:
    """EXPAND and PAD_MIN, each alone, together and neither; padding on both sides of the image. Seed 9."""
    script = random_script(seed=9)
    script.load()
    script.set(lanes_on=1, src_base=RAM_BASE, len=70, width=40, height=1)
    for a, unsigned, expand, pad_min in product(BITS, (False, True), (False, True), (False, True)):
        script.set(config=Config(a, a_unsigned=unsigned, expand=expand, pad_min=pad_min).word)
        script.op(Op.GATHER, 0, -10)
        script.peek_all(8)
    script.run("padding")


@pytest.mark.slow
@pytest.mark.parametrize(("lanes", "fifo_depth"), [(1, 4), (2, 16)])
def test_fewer_lanes(lanes: int, fifo_depth: int) -> None:
    script = random_script(seed=5, lanes=lanes, fifo_depth=fifo_depth)
    for config in configs():
        add_case(script, config)
    script.run(f"lanes{lanes}")


def test_registers_read_back_refuse_what_does_not_fit_and_reset() -> None:
    rng = np.random.default_rng(6)
    script = Script(rng)
    script.timing(ready=150, decoy=100)
    settable = [register for register in SETTABLE if register not in COUNTERS]
    for register in Register:
        if register not in COUNTERS:
            script.op(Op.GET, 0, register)
    for register in settable:
        width = WIDTHS.get(register, 32)
        script.op(Op.SET, int(rng.integers(1 << width)), register)
        script.op(Op.SET, (1 << width) - 1, register)
        if width < 32:
            script.op(Op.SET, 1 << width, register)
            script.op(Op.GET, 0, Register.ERROR)
            script.op(Op.SET, 0, Register.ERROR)
    for register in settable:
        script.op(Op.GET, 0, register)
    for index in (Register.STATUS, Register.INFO, 27, 31, 32, 0x8000_0000):
        script.op(Op.SET, 1, index)
        script.op(Op.WAIT)
        script.op(Op.SET, 0, Register.ERROR)
        script.op(Op.GET, 0, index)
    script.op(Op.RESET)
    for register in Register:
        script.op(Op.GET, 0, register)
    script.run("registers")


def prepare(script: Script, **changes: int) -> int:
    """Settings of a small legal GATHER and RUN, *changes* on top; the address of the weight stream."""
    config = Config(8, 8, out=Out.PACK, o=8)
    headers = np.array([[1, 1 << 30, 36]] * 3)
    stream = weight_stream(script.rng.integers(-128, 128, (3, 20)), 8, headers)
    script.load(stream.view(np.uint8))
    script.op(Op.RESET)
    script.set(config=config.word, k=20, n=3, lanes_on=4, len=160, lane_step=160, width=1000, height=1)
    script.set(src_base=RAM_BASE + 256, dst_base=RAM_BASE + 2048, dst_stride=24)
    script.set(**changes)
    return RAM_BASE


END = RAM_BASE + RAM_BYTES
ILLEGAL = {
    "out": ({"config": 3 << 5}, {}, Error.CONFIG),
    "no_lane": ({"lanes_on": 0}, {}, Error.LANE),
    "five_lanes": ({"lanes_on": 5}, {}, Error.LANE),
    "no_k": ({"k": 0}, {}, Error.COUNT),
    "long_k": ({"k": BUFFER_WORDS * 4 + 1}, {}, Error.COUNT),
    "no_rows": ({"n": 0}, {}, Error.COUNT),
    "odd_weights": ({}, {"rs1": RAM_BASE + 2}, Error.WEIGHTS),
    "weights_below": ({}, {"rs1": RAM_BASE - 4}, Error.WEIGHTS),
    "weights_behind": ({}, {"rs1": END - 8}, Error.WEIGHTS),
    "odd_destination": ({}, {"rs2": 4}, Error.DESTINATION),
    "odd_stride": ({"dst_stride": 20}, {}, Error.DESTINATION),
    "destination_below": ({"dst_base": RAM_BASE - 8}, {}, Error.DESTINATION),
    "destination_behind": ({"dst_base": END}, {}, Error.DESTINATION),
    "multiplier_zero": ({}, {"words": {1: 0}}, Error.REQUANT),
    "multiplier_negative": ({}, {"words": {1: 1 << 31}}, Error.REQUANT),
    "shift_zero": ({}, {"words": {2: 0x100}}, Error.REQUANT),
    "shift_63": ({}, {"words": {2: 63}}, Error.REQUANT),
}


def test_an_illegal_run_says_why_writes_nothing_and_leaves_the_engine_usable() -> None:
    script = Script(np.random.default_rng(7))
    for stalls in ({}, {"grant": 60, "latency": 9, "ready": 100, "decoy": 80}):
        script.timing(**stalls)
        for changes, operands, error in ILLEGAL.values():
            address = prepare(script)
            for word, value in operands.get("words", {}).items():
                script.memory.view("<u4")[word] = value
            script.reload()
            script.op(Op.GATHER)
            script.set(**changes)
            before = script.memory.copy()
            script.op(Op.RUN, operands.get("rs1", address), operands.get("rs2", 0))
            assert script.model.error == error
            script.check()
            assert (script.memory == before).all()
            script.op(Op.RUN, address)
            script.op(Op.GATHER)
            script.check()
            prepare(script)
            script.op(Op.GATHER)
            script.op(Op.RUN, address)
            script.check()
    script.run("illegal_run")


def test_an_illegal_gather_says_why_and_leaves_the_engine_usable() -> None:
    cases = {
        "lane": ({"lanes_on": 5}, Error.LANE),
        "rows": ({"rows": 0}, Error.COUNT),
        "cols": ({"cols": 0}, Error.COUNT),
        "len": ({"len": 0}, Error.COUNT),
        "len_long": ({"len": 65537}, Error.COUNT),
        "buffer": ({"len": 40000, "rows": 2, "height": 0}, Error.BUFFER),
        "below": ({"src_base": RAM_BASE - 1}, Error.SOURCE),
        "behind": ({"src_base": END - 79}, Error.SOURCE),
    }
    script = Script(np.random.default_rng(8))
    for changes, error in cases.values():
        address = prepare(script, **changes)
        script.op(Op.GATHER)
        assert script.model.error == error
        script.check()
        script.op(Op.RUN, address)
        script.check()
        prepare(script)
        script.op(Op.GATHER)
        script.peek_all(5)
        script.op(Op.RUN, address)
        script.check()
    for lane, word in ((4, 0), (0, BUFFER_WORDS), (0xFFFF_FFFC, 0), (0, 0x8000_0000)):
        script.set(error=0)
        script.op(Op.GET, word, lane, funct3=1)
        script.op(Op.WAIT)
    script.set(error=0)
    script.op(Op.GATHER_LANE, 0, 0, funct3=4)
    script.check()
    script.run("illegal_gather")


def test_every_encoding_outside_the_table_answers_0_and_is_an_error() -> None:
    script = Script(np.random.default_rng(9))
    for op in range(8):
        for funct3 in range(8):
            function = op << 7 | funct3
            if op == 7 or funct3 > HIGHEST_FUNCT3.get(op, 0):
                script.command(function, 1, 2)
                script.op(Op.WAIT)
                script.set(error=0)
    script.op(Op.GET, 0, Register.OPS)
    script.run("encodings")


def test_each_operation_executes_once_among_withdrawn_commands_and_version_1() -> None:
    rng = np.random.default_rng(10)
    script = Script(rng)
    address = prepare(script)
    functions = [encoding.function_id for encoding in encodings()]
    for step in range(400):
        script.timing(int(rng.integers(60, 257)), int(rng.integers(1, 12)), int(rng.integers(40, 257)), 200)
        script.command(int(rng.choice(functions)), int(rng.integers(1 << 32)), int(rng.integers(1 << 32)))
        script.op(Op.GATHER, 8 * step, 0)
        script.command(int(rng.choice(functions)), int(rng.integers(1 << 32)), int(rng.integers(1 << 32)))
        script.op(Op.RUN, address, 24 * 4 * (step % 50))
        script.op(Op.GET, 0, Register.OPS)
    script.check()
    assert script.model.get(Register.OPS) == 800
    script.run("once")


def test_a_wrong_expectation_is_found() -> None:
    script = Script(np.random.default_rng(11))
    address = prepare(script)
    script.op(Op.GATHER)
    script.op(Op.RUN, address)
    script.memory[2048] ^= 1
    script.check()
    with pytest.raises(MeasurementError, match="1 differ"):
        script.run("wrong_memory")
    script = Script(np.random.default_rng(11))
    script.command(function_id(Op.GET), 0, Register.LANES_ON)
    script.model.execute(function_id(Op.SET), 5, Register.K)
    script.command(function_id(Op.GET), 0, Register.K)
    with pytest.raises(MeasurementError, match="1 differ"):
        script.run("wrong_answer")
