"""Random GATHERs and RUNs for the streaming engine, all settings drawn from one generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hil.harness.packing import weight_stream
from hil.harness.stream_model import Config, Op, Out, Register
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.script import BUFFER_WORDS, RAM_BASE, Script

WEIGHTS = 4096  # byte of the RAM where weights may begin; results lie behind RESULTS, and before it nothing is written
RESULTS = 12288
SOURCE = 1500
LIMITS = {8: (-128, 127), 4: (-8, 7), 2: (-2, 1)}


def configs() -> Iterator[Config]:
    """All pairs of widths, signs and output formats: 16 x 2 x (2 + 1 + 8)."""
    for a, w, unsigned in product(BITS, BITS, (False, True)):
        base = Config(a, w, unsigned)
        yield base
        yield replace(base, bias=True)
        yield replace(base, out=Out.LOGIT)
        for o, o_unsigned in product(BITS, (False, True)):
            yield replace(base, out=Out.PACK, o=o, o_unsigned=o_unsigned)


def random_weights(rng: np.random.Generator, bits: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Weights of *bits*; now and then only the extreme ones."""
    if bits == 1:
        return 1 - 2 * rng.integers(0, 2, shape)
    low, high = LIMITS[bits]
    if rng.integers(4) == 0:
        return np.where(rng.integers(0, 2, shape), low, high)
    return rng.integers(low, high + 1, shape)


def random_headers(rng: np.random.Generator, config: Config, n: int, k: int) -> NDArray[np.int64]:
    """Header words of *n* rows: mostly such that results spread over the output's range, else anything legal."""
    if config.header_words == 0:
        return np.zeros((n, 0), dtype=np.int64)
    size = np.log2(np.sqrt(k) * 2.0 ** (config.a + config.w - 2)) + 1
    bias = (rng.standard_normal(n) * 2.0**size).astype(np.int64)
    if config.header_words == 1:
        return np.where(rng.integers(0, 2, n), bias, rng.integers(-(1 << 31), 1 << 31, n))[:, None]
    multiplier = rng.integers(1, 1 << 31, n)
    shift = np.floor(size + np.log2(multiplier) - config.out_bits + rng.integers(-1, 3, n)).astype(np.int64)
    if rng.integers(4) == 0:
        bias = rng.integers(-(1 << 31), 1 << 31, n)
        shift = rng.integers(1, 63, n)
        multiplier = np.where(rng.integers(0, 2, n), (1 << 31) - 1, multiplier)
    unused = rng.integers(0, 1 << 24, n) << 8
    return np.stack([bias, multiplier, np.clip(shift, 1, 62) | unused], axis=1)


def add_window(script: Script, config: Config, small: bool = True) -> int:
    """Settings and GATHER of a random window, wherever it lies in the image; returns the elements gathered per lane.

    Strings of whole elements, but runs of any number of bits; addresses, strides and clipping at any bit.
    """
    rng = script.rng
    wide = 2 if config.expand else 1
    while True:
        rows, cols = int(rng.integers(1, 5)), int(rng.choice([1, 1, 1, 2, 3]))
        length = int(rng.integers(1, 120 if small else 6000))
        bits = rows * cols * length * wide
        if bits % config.a == 0 and bits <= 32 * BUFFER_WORDS:
            break
    lane_step = int(rng.integers(-300, 300))
    script.set(
        rows=rows,
        cols=cols,
        len=length,
        row_stride=int(rng.integers(-900, 900)),
        col_stride=int(rng.integers(-300, 300)),
        lane_step=lane_step,
        y=int(rng.integers(-3, 3)),
        height=int(rng.integers(0, 6)),
        width=int(rng.integers(0, 2 * length + 100)),
        src_base=RAM_BASE + SOURCE + int(rng.integers(0, 500)),
    )
    offset, x = int(rng.integers(-2000, 2000)), int(rng.integers(-150, 150))
    if rng.integers(4) == 0:
        lanes = rng.permutation(script.model.lanes)
        for lane in lanes:
            script.op(Op.GATHER_LANE, offset + int(lane) * 40, x + int(lane) * 40, funct3=int(lane))
    else:
        script.op(Op.GATHER, offset, x)
        if rng.integers(8) == 0:
            script.op(Op.GATHER, offset, x)
    return bits // config.a


def add_run(script: Script, config: Config, elements: int) -> None:
    """A RUN over at most *elements* per lane, from and to any place, shared bytes included; weights go into the RAM."""
    rng = script.rng
    elements = min(elements, 32 * 2000 // config.w)
    k = elements if rng.integers(2) else int(rng.integers(1, elements + 1))
    row_words = config.header_words + -(-k * config.w // 32)
    n = int(rng.integers(1, min(40, (RESULTS - WEIGHTS) // 4 // row_words) + 1))
    weights = random_weights(rng, config.w, (n, k))
    stream = weight_stream(
        weights, config.w, random_headers(rng, config, n, k), lambda bits: int(rng.integers(1 << bits))
    )
    first = WEIGHTS + 4 * int(rng.integers(0, (RESULTS - WEIGHTS) // 4 - len(stream) + 1))
    content = rng.integers(0, 256, script.used_bytes, dtype=np.uint8)
    content[first : first + 4 * len(stream)] = stream.view(np.uint8)
    o = config.out_bits
    # Lanes side by side, as the pixels of a tensor; or apart
    stride = n * o + (int(rng.integers(0, 4)) * o if rng.integers(2) else 0)
    offset = int(rng.integers(-64, 64)) * o
    script.op(Op.WAIT)
    script.load(content)
    script.set(k=k, n=n, dst_base=RAM_BASE + RESULTS + 512 + int(rng.integers(0, 64)) * 4, dst_stride=stride)
    script.op(Op.RUN, RAM_BASE + first, offset)
    script.check()
    if rng.integers(8) == 0:
        script.op(Op.RUN, RAM_BASE + first, offset)
        script.check()


def clear_buffers(script: Script) -> None:
    """Defined content for all lane buffers: after power-up or a GATHER that failed they have none."""
    script.set(config=0, error=0, rows=1, cols=1, len=32 * BUFFER_WORDS, y=0, height=0)
    for lane in range(script.model.lanes):
        script.op(Op.GATHER_LANE, 0, 0, funct3=lane)
    script.op(Op.GET, 0, Register.OPS)


def add_case(script: Script, config: Config, *, small: bool = True) -> None:
    """One random GATHER and RUN with *config*; the lanes in use, stalls, EXPAND and TAIL_ZERO are drawn."""
    rng = script.rng
    expand = config.a == 2 and not config.a_unsigned and bool(rng.integers(2))
    config = replace(config, expand=expand, tail_zero=bool(rng.integers(2)))
    script.random_timing()
    script.load()
    script.set(config=config.word, lanes_on=int(rng.integers(1, script.model.lanes + 1)))
    elements = add_window(script, config, small)
    if not script.model.error:
        add_run(script, config, elements)
        return
    # The window left the RAM: both must say so.
    script.check()
    clear_buffers(script)
