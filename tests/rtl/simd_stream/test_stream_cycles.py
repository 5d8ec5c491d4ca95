"""Cycles of the engine alone on whole operators, and that they are what the README promises. Seed 7."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hil.harness.packing import weight_stream
from hil.harness.stream_model import Config, Op, Out, Register, Run, function_id
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.random_ops import random_weights
from tests.rtl.simd_stream.script import RAM_BASE, Script

SIZE = 128
WEIGHTS, RESULTS = 0x4000, 0xC000
USED = 0x1C000
LIMITS = {(8, 8): 155_000, (4, 4): 86_000, (2, 2): 52_000, (1, 1): 35_000}


def add_matmul(script: Script, config: Config, rows: int) -> None:
    """out[rows][128] = a[rows][128] * w[128][128], four rows at a time; its BUSY goes to the answers."""
    rng = script.rng
    weights = random_weights(rng, config.w, (SIZE, SIZE))
    headers = np.stack(
        [rng.integers(-1000, 1000, SIZE), rng.integers(1 << 30, 1 << 31, SIZE), np.full(SIZE, 38)], axis=1
    )
    stream = weight_stream(weights, config.w, headers[:, : config.header_words])
    content = rng.integers(0, 256, USED, dtype=np.uint8)
    content[WEIGHTS : WEIGHTS + 4 * len(stream)] = stream.view(np.uint8)
    row = SIZE * config.a
    script.load(content)
    script.set(config=config.word, k=SIZE, n=SIZE, lanes_on=4, src_base=RAM_BASE, len=row, lane_step=row)
    script.set(width=row * SIZE, height=1, dst_base=RAM_BASE + RESULTS, dst_stride=SIZE * config.out_bits, busy=0)
    for first in range(0, rows, 4):
        script.op(Op.GATHER, first * row, first * row)
        script.op(Op.RUN, RAM_BASE + WEIGHTS, first * SIZE * config.out_bits)
    script.check()
    script.command(function_id(Op.GET), 0, Register.BUSY, check=False)


@pytest.mark.parametrize("rows", [16, pytest.param(SIZE, marks=pytest.mark.slow)])
def test_matmul_128_of_every_pair(record_property: pytest.RecordProperty, rows: int) -> None:
    """All 128 rows, or 16 of them, times 8: groups of four rows cost alike."""
    script = Script(np.random.default_rng(7), used_bytes=USED)
    pairs = list(product(BITS, BITS))
    for a, w in pairs:
        add_matmul(script, Config(a, w), rows)
        add_matmul(script, Config(a, w, out=Out.PACK, o=a), rows)
    answers = [SIZE // rows * cycles for cycles in script.run(f"matmul{rows}")]
    cycles = dict(zip(pairs, answers[::2], strict=True))
    requantised = dict(zip(pairs, answers[1::2], strict=True))
    for a, w in pairs:
        print(f"{a}x{w}: {cycles[a, w]} int32, {requantised[a, w]} requantised")
    record_property("cycles", cycles)
    for pair, limit in LIMITS.items():
        assert cycles[pair] <= limit
    assert cycles[8, 4] <= 0.6 * cycles[8, 8]
    assert cycles[8, 2] <= 0.4 * cycles[8, 8]
    assert cycles[8, 1] <= 0.4 * cycles[8, 8]


def test_operations_take_the_cycles_of_the_readmes_formulas() -> None:
    """GATHERs, RUNs, POOLs and MAPs one by one, at least as long and at most 4 cycles longer; seed 8."""
    script = Script(np.random.default_rng(8))
    script.load(np.zeros(0x2000, dtype=np.uint8))
    script.set(src_base=RAM_BASE, dst_base=RAM_BASE + 0x2000, height=1, width=1 << 20)
    formulas: list[tuple[str, float]] = []

    def time(name: str, formula: float, op: Op, rs1: int, rs2: int = 0, funct3: int = 0) -> None:
        script.set(busy=0)
        script.op(op, rs1, rs2, funct3)
        script.op(Op.WAIT)
        script.command(function_id(Op.GET), 0, Register.BUSY, check=False)
        formulas.append((name, formula))

    factors = {f"m{lane}": 1 << 30 for lane in range(4)}
    for lanes, words in product((1, 2, 4), (1, 3, 32)):
        script.set(config=Config().word, lanes_on=lanes, len=32 * words, lane_step=32 * words)
        time(f"GATHER of {words} words, {lanes} lanes", lanes * words + 5, Op.GATHER, 0, 0)
        time(f"GATHER of {words} words across, {lanes} lanes", lanes * (words + 1) + 5, Op.GATHER, 8, 8)
        elements = 4 * words
        script.set(config=Config(out=Out.PACK).word, shift=31, **factors)
        time(f"POOL of {elements}, {lanes} lanes", words + 5, Op.RUN, elements, funct3=Run.POOL)
        time(f"POOL_KEEP of {elements}, {lanes} lanes", words + 4, Op.RUN, elements, funct3=Run.POOL_KEEP)
        for k in (1, 2, 5):
            script.set(k=k)
            each = max(k, lanes, (4 + lanes) / 2)
            time(f"MAP of {elements}, {k} terms, {lanes} lanes", elements * each + 10, Op.RUN, elements, funct3=Run.MAP)
        for out, n in product((Out.INT32, Out.LOGIT), (1, 2, 10)):
            config = Config(out=out, bias=True)
            header = np.tile([5, 1 << 30, 38], (n, 1))[:, : config.header_words]
            stream = weight_stream(np.ones((n, elements), np.int64), 8, header).view(np.uint8)
            script.memory[0x1000 : 0x1000 + len(stream)] = stream
            script.reload()
            script.set(config=config.word, k=elements, n=n, dst_stride=32 * n)
            row = config.header_words + words
            if words >= 8:  # short rows overlap with the writes of those before
                time(f"RUN of {n} rows of {row}, {lanes}", n * row + lanes * n + 12, Op.RUN, RAM_BASE + 0x1000)
    for (name, formula), cycles in zip(formulas, script.run("formulas"), strict=True):
        assert formula <= cycles <= formula + 4, f"{name}: {cycles} cycles, not {formula}"
