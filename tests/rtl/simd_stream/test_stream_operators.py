"""Pools, add and requant as the README programs them: their values by numpy, their cycles in Verilator."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hil.harness.packing import pack, unpack
from hil.harness.stream_model import Config, Op, Out, Register, Run, function_id
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.script import RAM_BASE, Script

Ints = NDArray[np.int64]
SOURCE, SECOND, RESULTS, USED = 0, 0x4000, 0xC000, 0x10000
NO_EDGE = (1 << 31) - 1
HEIGHT, WIDTH, CHANNELS = 28, 28, 6


def values(rng: np.random.Generator, bits: int, unsigned: bool, shape: tuple[int, ...]) -> Ints:
    if bits == 1:
        return rng.integers(0, 2, shape) if unsigned else 1 - 2 * rng.integers(0, 2, shape)
    low = 0 if unsigned else -(1 << (bits - 1))
    return rng.integers(low, low + (1 << bits), shape)


def put(content: NDArray[np.uint8], byte: int, x: Ints, bits: int, unsigned: bool) -> None:
    packed = np.packbits(pack(x.reshape(-1), bits, binary=not unsigned), bitorder="little")
    content[byte : byte + len(packed)] = packed


def result(script: Script, shape: tuple[int, ...], bits: int, unsigned: bool) -> Ints:
    size = int(np.prod(shape)) * bits
    string = np.unpackbits(script.memory[RESULTS:USED], bitorder="little")[:size]
    return unpack(string, bits, unsigned).reshape(shape)


def measured(script: Script) -> None:
    """Waits; the engine's cycles since BUSY was set to 0 go to the answers."""
    script.check()
    assert script.model.error == 0
    script.command(function_id(Op.GET), 0, Register.BUSY, check=False)


def add_max_pool(script: Script, a: int, unsigned: bool, kernel: int, stride: int, pad: int) -> None:
    """A max-pool of HEIGHT x WIDTH x CHANNELS, a row of results at a time; compared with numpy."""
    rng = script.rng
    image = values(rng, a, unsigned, (HEIGHT, WIDTH, CHANNELS))
    content = rng.integers(0, 256, USED, dtype=np.uint8)
    put(content, SOURCE, image, a, unsigned)
    script.load(content)
    pixel = CHANNELS * a
    oh, ow = (HEIGHT + 2 * pad - kernel) // stride + 1, (WIDTH + 2 * pad - kernel) // stride + 1
    script.set(config=Config(a, a_unsigned=unsigned, pad_min=True, tail_zero=True).word, rows=1, cols=ow, len=pixel)
    script.set(col_stride=stride * pixel, width=WIDTH * pixel, height=HEIGHT, src_base=RAM_BASE + SOURCE)
    script.set(dst_base=RAM_BASE + RESULTS, busy=0)
    positions = [(ky, kx) for ky in range(kernel) for kx in range(kernel)]
    for y in range(oh):
        lane = 0
        for index, (ky, kx) in enumerate(positions):
            top, left = y * stride - pad + ky, (kx - pad) * pixel
            script.set(y=top)
            script.op(Op.GATHER_LANE, top * WIDTH * pixel + left, left, funct3=lane)
            lane += 1
            if index + 1 == len(positions):
                script.set(lanes_on=lane)
                script.op(Op.RUN, ow * CHANNELS, y * ow * pixel, funct3=Run.POOL)
            elif lane == script.model.lanes:
                script.set(lanes_on=lane)
                script.op(Op.RUN, ow * CHANNELS, 0, funct3=Run.POOL_KEEP)
                lane = 1
    measured(script)
    lowest = int(image.min()) if image.size and not unsigned else 0
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), constant_values=lowest)
    windows = [padded[ky:, kx:][: oh * stride : stride, : ow * stride : stride] for ky, kx in positions]
    expected = np.max([window[:oh, :ow] for window in windows], axis=0)
    assert (result(script, expected.shape, a, unsigned) == expected).all()


def requantised(total: Ints, shift: int, bits: int, unsigned: bool) -> Ints:
    if bits == 1 and not unsigned:
        return np.where(total >= 0, 1, -1)
    low = 0 if unsigned else -(1 << (bits - 1))
    return np.clip((total + (1 << (shift - 1))) >> shift, low, low + (1 << bits) - 1)


def add_sum(script: Script, config: Config, multipliers: tuple[int, ...], shift: int, elements: int) -> None:
    """Requant (one multiplier) or add (two) of vectors, in pieces that fill a lane buffer; compared with numpy."""
    rng = script.rng
    signs = (config.a_unsigned, config.a_unsigned ^ config.mix)[: len(multipliers)]
    operands = [values(rng, config.a, unsigned, (elements,)) for unsigned in signs]
    content = rng.integers(0, 256, USED, dtype=np.uint8)
    for byte, x, unsigned in zip((SOURCE, SECOND), operands, signs, strict=False):
        put(content, byte, x, config.a, unsigned)
    script.load(content)
    script.set(config=config.word, lanes_on=len(multipliers), k=1, shift=shift, rows=1, cols=1, y=0, height=1)
    script.set(width=NO_EDGE, src_base=RAM_BASE, dst_base=RAM_BASE + RESULTS, busy=0)
    script.set(**{f"m{lane}": m for lane, m in enumerate(multipliers)})
    piece = 32 * script.model.buffers.shape[1] // config.a
    for first in range(0, elements, piece):
        count = min(piece, elements - first)
        script.set(len=count * config.a)
        for lane, byte in zip(range(len(multipliers)), (SOURCE, SECOND), strict=False):
            script.op(Op.GATHER_LANE, 8 * byte + first * config.a, 0, funct3=lane)
        script.op(Op.RUN, count, first * config.o, funct3=Run.MAP)
    measured(script)
    total = sum((x * m for x, m in zip(operands, multipliers, strict=True)), np.zeros(elements, dtype=np.int64))
    expected = requantised(total, shift, config.o, config.o_unsigned)
    assert (result(script, (elements,), config.o, config.o_unsigned) == expected).all()


def add_average_pool(script: Script, kernel: int, stride: int) -> None:
    """Average pool of 8 x 8 x 16 signed bytes, a window in lane 0; compared with numpy."""
    side, channels = 8, 16
    image = values(script.rng, 8, False, (side, side, channels))
    content = script.rng.integers(0, 256, USED, dtype=np.uint8)
    put(content, SOURCE, image, 8, False)
    script.load(content)
    pixel, shift = 8 * channels, 40
    multiplier = (1 << shift) // kernel**2
    while multiplier >> 31:
        multiplier, shift = multiplier >> 1, shift - 1
    script.set(config=Config(8, out=Out.PACK).word, lanes_on=1, k=kernel**2, m0=multiplier, shift=shift)
    script.set(rows=kernel, cols=1, len=kernel * pixel, row_stride=side * pixel, width=side * pixel, height=side)
    script.set(src_base=RAM_BASE + SOURCE, dst_base=RAM_BASE + RESULTS, busy=0)
    out = (side - kernel) // stride + 1
    expected = np.zeros((out, out, channels), dtype=np.int64)
    for y in range(out):
        script.set(y=y * stride)
        for x in range(out):
            script.op(Op.GATHER, (y * side + x) * stride * pixel, x * stride * pixel)
            script.op(Op.RUN, channels, (y * out + x) * pixel, funct3=Run.MAP)
            window = image[y * stride :, x * stride :][:kernel, :kernel]
            expected[y, x] = requantised(window.sum(axis=(0, 1)) * multiplier, shift, 8, False)
    measured(script)
    assert (result(script, expected.shape, 8, False) == expected).all()


def test_pools_adds_and_requants_equal_numpy_and_take_the_cycles_promised(
    record_property: pytest.RecordProperty,
) -> None:
    script = Script(np.random.default_rng(24), used_bytes=USED)
    for lane in range(4):
        script.op(Op.SET, 32 * 2048, Register.LEN)
        script.op(Op.GATHER_LANE, 0, 0, funct3=lane)
    limits = {}
    for a in BITS:
        add_max_pool(script, a, True, kernel=2, stride=2, pad=0)
        limits[f"max-pool 2x2, {a} bits"] = {8: 2700, 4: 2200, 2: 2100, 1: 2000}[a]
    for a in BITS:
        add_max_pool(script, a, False, kernel=3, stride=2, pad=1)
        limits[f"max-pool 3x3 stride 2 padding 1, signed {a} bits"] = 7000
    for o in BITS:
        config = Config(8, a_unsigned=True, out=Out.PACK, o=o, o_unsigned=True)
        add_sum(script, config, (0x7FFF_FFFF,), 31 + 8 - o, 784)
        limits[f"requant of 784 elements, 8 to {o} bits"] = 2400
    add_sum(script, Config(8, out=Out.PACK, mix=True), (0x6000_0001, 0x1234_5678), 31, 10000)
    limits["add of 10000 elements, signed + unsigned, 8 bits"] = 36000
    add_average_pool(script, 8, 1)
    limits["average pool 8x8x16, whole image"] = 1400
    add_average_pool(script, 2, 2)
    limits["average pool 2x2 of 8x8x16"] = 2200
    answers = script.run("operators")
    cycles = dict(zip(limits, answers, strict=True))
    for name, count in cycles.items():
        print(f"{name}: {count}")
    record_property("cycles", cycles)
    for name, limit in limits.items():
        assert cycles[name] <= limit, name
