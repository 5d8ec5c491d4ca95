"""Random POOLs and MAPs for the streaming engine, all settings drawn from one generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from hil.harness.stream_model import Config, Error, Op, Out, Register, Run
from mico.quant.scheme import BITS
from tests.rtl.simd_stream.random_ops import RESULTS, add_window, clear_buffers
from tests.rtl.simd_stream.script import BUFFER_WORDS, RAM_BASE, RAM_BYTES, Script

MULTIPLIERS = (Register.M0, Register.M1, Register.M2, Register.M3)
RESULT_BYTES = 3000  # that a case may write


def map_configs() -> Iterator[Config]:
    """Both signs, equal and mixed, of every width, in every output format of MAP: 4 x 4 x (8 + 1)."""
    for a, unsigned, mix in product(BITS, (False, True), (False, True)):
        base = Config(a, a_unsigned=unsigned, mix=mix, out=Out.LOGIT)
        yield base
        for o, o_unsigned in product(BITS, (False, True)):
            yield replace(base, out=Out.PACK, o=o, o_unsigned=o_unsigned)


def pool_configs() -> Iterator[Config]:
    """Both signs of every width, padding with zeros and with the least value."""
    for a, unsigned, pad_min in product(BITS, (False, True), (False, True)):
        yield Config(a, a_unsigned=unsigned, pad_min=pad_min)


def add_pieces(script: Script, config: Config, small: bool) -> int:
    """Any piece of the RAM in each lane, nothing of it padding; returns its elements."""
    rng = script.rng
    elements = int(rng.integers(1, 200 if small else 6000))
    elements = min(elements, 32 * BUFFER_WORDS // config.a)
    script.set(rows=1, cols=1, len=elements * config.a, y=0, height=1, width=(1 << 31) - 1, src_base=RAM_BASE)
    for lane in range(script.model.lanes):
        script.op(Op.GATHER_LANE, int(rng.integers(0, 8 * RESULTS)), 0, funct3=lane)
    return elements


def gather_somewhere(script: Script, config: Config, small: bool) -> int:
    """Random timing, RAM and lane buffers with *config*; elements gathered, 0 where the window left the RAM."""
    rng = script.rng
    script.random_timing()
    script.load()
    script.set(config=config.word, lanes_on=int(rng.integers(1, script.model.lanes + 1)))
    if rng.integers(3):
        return add_pieces(script, config, small)
    elements = add_window(script, config, small)
    if not script.model.error:
        return elements
    script.check()
    clear_buffers(script)
    return 0


def destination(script: Script, bits: int) -> int:
    """Sets DST_BASE; an offset that is a multiple of *bits*. Nothing that is read lies there."""
    script.set(dst_base=RAM_BASE + RESULTS + 512 + int(script.rng.integers(0, 256)))
    return int(script.rng.integers(-64, 64)) * bits if bits < 32 else 8 * (4 - script.model.get(Register.DST_BASE) % 4)


def add_pool(script: Script, config: Config, *, small: bool = True) -> None:
    """A POOL, now and then behind one or two POOL_KEEPs."""
    rng = script.rng
    config = replace(config, tail_zero=bool(rng.integers(2)))
    elements = gather_somewhere(script, config, small)
    if not elements:
        return
    # Beyond the string the buffers keep what they had.
    elements = int(rng.integers(1, elements + 40)) if rng.integers(2) else elements
    elements = min(elements, 8 * RESULT_BYTES // config.a, 32 * BUFFER_WORDS // config.a)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        script.op(Op.RUN, elements, int(rng.integers(1 << 32)), funct3=Run.POOL_KEEP)
        words = -(-elements * config.a // 32)
        for word in {0, words // 2, words - 1, words % BUFFER_WORDS}:
            script.op(Op.GET, word, 0, funct3=1)
        if rng.integers(2):
            script.op(Op.GATHER_LANE, 8 * int(rng.integers(100)), 0, funct3=script.model.lanes - 1)
    script.op(Op.RUN, elements, destination(script, config.a), funct3=Run.POOL)
    script.check()


def add_map(script: Script, config: Config, *, small: bool = True) -> None:
    """A MAP with sums that mostly spread over the output's range."""
    rng = script.rng
    config = replace(config, tail_zero=bool(rng.integers(2)))
    elements = gather_somewhere(script, config, small)
    if not elements:
        return
    k = int(rng.choice([1, 1, 2, 3, 4, 9, 49]))
    if rng.integers(20) == 0:
        k = elements
    elements = min(max(elements // k, 1), 8 * RESULT_BYTES // config.out_bits)
    k = min(k, 32 * BUFFER_WORDS // config.a // elements)
    multipliers = rng.integers(1, 1 << 31, 4)
    if rng.integers(4) == 0:
        multipliers = np.where(rng.integers(0, 2, 4), (1 << 31) - 1, multipliers)
    script.set(k=k, **{f"m{lane}": int(m) for lane, m in enumerate(multipliers)})
    largest = int(abs(script.model.sums(elements)).max()).bit_length()
    shift = int(np.clip(largest - config.out_bits + rng.integers(-1, 3), 1, 62))
    script.set(shift=shift if rng.integers(6) else int(rng.integers(1, 63)))
    script.op(Op.RUN, elements, destination(script, config.out_bits), funct3=Run.MAP)
    script.check()


END = RAM_BASE + RAM_BYTES
_POOL, _KEEP, _MAP = Run.POOL, Run.POOL_KEEP, Run.MAP
# Operation, elements, destination, registers that differ from a legal setting, error
ILLEGAL: list[tuple[Run, int, int, dict[str, int], Error]] = [
    (_POOL, 16, 0, {"lanes_on": 0}, Error.LANE),
    (_KEEP, 16, 0, {"lanes_on": 5}, Error.LANE),
    (_POOL, 0, 0, {}, Error.COUNT),
    (_KEEP, 4 * BUFFER_WORDS + 1, 0, {}, Error.COUNT),
    (_POOL, 65537, 0, {"config": Config(1).word}, Error.COUNT),
    (_POOL, 1 << 20, 0, {}, Error.COUNT),
    (_POOL, 16, 4, {}, Error.DESTINATION),
    (_POOL, 16, 0, {"dst_base": RAM_BASE - 4}, Error.DESTINATION),
    (_POOL, 16, 0, {"dst_base": END}, Error.DESTINATION),
    (_MAP, 16, 0, {"config": Config(8).word}, Error.CONFIG),
    (_MAP, 16, 0, {"config": 3 << 5}, Error.CONFIG),
    (_MAP, 16, 0, {"lanes_on": 5}, Error.LANE),
    (_MAP, 0, 0, {}, Error.COUNT),
    (_MAP, 4 * BUFFER_WORDS + 1, 0, {}, Error.COUNT),
    (_MAP, 16, 0, {"k": 0}, Error.COUNT),
    (_MAP, 16, 4, {}, Error.DESTINATION),
    (_MAP, 16, 0, {"dst_base": END}, Error.DESTINATION),
    (_MAP, 16, 0, {"shift": 0}, Error.REQUANT),
    (_MAP, 16, 0, {"shift": 63}, Error.REQUANT),
    (_MAP, 16, 0, {"m1": 0}, Error.REQUANT),
    (_MAP, 16, 0, {"k": 4 * BUFFER_WORDS // 16 + 1, "dst_base": END}, Error.BUFFER),
]


def add_illegal(script: Script) -> None:
    """Every way in which POOL, POOL_KEEP and MAP are refused, each with a legal operation behind it."""
    legal = {"config": Config(8, out=Out.PACK).word, "lanes_on": min(2, script.model.lanes), "k": 2, "shift": 40}
    legal |= {"m0": 3 << 28, "m1": 5 << 28, "dst_base": RAM_BASE + RESULTS, "len": 256, "height": 1, "width": 256}
    for kind, elements, offset, changes, error in ILLEGAL:
        script.op(Op.RESET)
        script.load()
        script.set(**legal, lane_step=0, src_base=RAM_BASE)
        script.op(Op.GATHER)
        script.set(**changes)
        before, buffers = script.memory.copy(), script.model.buffers.copy()
        script.op(Op.RUN, elements, offset, funct3=kind)
        assert script.model.error == error, (kind, changes)
        script.check()
        script.op(Op.RUN, 16, 0, funct3=Run.POOL)
        script.check()
        assert (script.memory == before).all()
        assert (script.model.buffers == buffers).all()
        script.op(Op.RESET)
        script.set(**legal)
        script.op(Op.RUN, 16, 0, funct3=kind)
        script.check()
        script.peek_all(5)
    script.op(Op.RESET)
