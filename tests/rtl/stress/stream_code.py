"""Operations of the streaming engine for random programs, and its model behind the golden simulator's custom port.

The engine works on a region of its own. In it, a RUN whose result lands on its own bias adds to it: what it leaves
behind tells how often it ran. A load or store of the core in there waits for the engine first and goes around the
data cache, or flushes it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hil.harness import simd_model
from hil.harness.stream_model import Config, Op, Out, Register, Run, StreamModel, function_id
from tests.rtl.soc_isa.iss import Machine
from tests.rtl.stress.random_code import Generator, custom, simd_operation

__all__ = ["HANDLER_OPS", "INSIDE", "SETUP", "WAIT", "machine_with_unit", "mixed_operation"]

SOURCE, STREAMS, RESULTS, END = 0, 256, 512, 1024  # byte offsets in the region
MAX_BITS = 512  # of a window
BUFFER_BITS = 4096  # of a lane buffer that are used: by MAP, which reads up to 32 terms of 16 elements
GATHER, GATHER_LANE = function_id(Op.GATHER), Op.GATHER_LANE
RUN, WAIT_ID, GET = function_id(Op.RUN), function_id(Op.WAIT), function_id(Op.GET)
EXPAND, PAD_MIN = Config(expand=True).word, Config(pad_min=True).word
QUIET = [r for r in Register if r not in (Register.STATUS, Register.BUSY, Register.STALL)]  # the same on any hardware

WAIT = f"    {custom(WAIT_ID, 0, 0, 0)}\n    .word 0x0000500F"

# Inside the interrupt handler, which may not change state: a dot product and INFO, both known
HANDLER_OPS = 2
INSIDE = f"""
    li t0, 0x01020304
    li t1, 0x01010101
    {custom(simd_model.function_id(8, 8), 7, 5, 6)}
    addi t2, t2, -10
    li t0, {int(Register.INFO)}
    {custom(GET, 5, 0, 5)}
    andi t0, t0, 0xff
    addi t0, t0, -2
    or t2, t2, t0
    lw t0, 20(tp)
    or t0, t0, t2
    sw t0, 20(tp)
"""


def _set(register: Register, value: int, scratch: tuple[int, int] = (5, 6)) -> list[str]:
    a, b = scratch
    return [f"li x{a}, {value:#x}", f"li x{b}, {int(register)}", custom(function_id(Op.SET), 0, a, b)]


def _setup() -> str:
    """Engine in its reset state, lane buffers cleared as far as they are used, a defined region."""
    lines = [custom(function_id(Op.RESET), 0, 0, 0)]
    for register, value in ((Register.LEN, BUFFER_BITS), (Register.HEIGHT, 0), (Register.LANES_ON, 4)):
        lines += _set(register, value)
    lines += [custom(GATHER, 0, 0, 0), "la x5, engine", f"li x6, {int(Register.SRC_BASE)}"]
    lines += [custom(function_id(Op.SET), 0, 5, 6), custom(WAIT_ID, 0, 0, 0)]
    window = {Register.HEIGHT: 4, Register.WIDTH: 2048, Register.ROW_STRIDE: 64, Register.LEN: MAX_BITS}
    factors = {Register.M0: 3 << 29, Register.M1: 1 << 30, Register.M2: 12345, Register.M3: 7, Register.SHIFT: 33}
    for register, value in {**window, **factors}.items():
        lines += _set(register, value)
    lines += ["addi x7, x5, 1020", "li x6, 0x12345", "1: slli x8, x6, 13", "xor x6, x6, x8", "srli x8, x6, 17"]
    lines += ["xor x6, x6, x8", "slli x8, x6, 5", "xor x6, x6, x8", "sw x6, 0(x5)", "addi x5, x5, 4"]
    lines += ["bgeu x7, x5, 1b", "li x31, 0x80000000", "la x5, engine", "add x31, x31, x5", "lw x0, 0(x31)"]
    return "\n".join(f"    {line}" for line in lines)


SETUP = _setup()


def _pair(generator: Generator) -> tuple[int, int]:
    """Two registers for operands, which the next instructions may find changed."""
    generator.target()
    a, b = generator.rng.sample([r for r in range(5, 30)], 2)
    return a, b


def _settle(generator: Generator, pair: tuple[int, int]) -> list[str]:
    """Mostly, an error of before is cleared, so that what comes is not refused."""
    return _set(Register.ERROR, 0, pair) if generator.rng.random() < 0.8 else []


def _configure_run(generator: Generator) -> list[str]:
    """Another kind of RUN: mostly one that adds to its own bias, else rows of results for several lanes."""
    rng = generator.rng
    a, w = rng.choice([8, 4, 2, 1]), rng.choice([8, 4, 2, 1])
    config = Config(a=a, w=w, a_unsigned=bool(rng.getrandbits(1)), bias=True)
    lanes, n, place = 1, 1, STREAMS + 4 * rng.randrange(24)
    if rng.random() < 0.4:
        lanes, n = rng.randrange(1, 5), rng.randrange(1, 4)
        place = RESULTS + 4 * rng.randrange(64)
        if rng.random() < 0.3:
            n = 1
            config = Config(a=a, w=w, out=Out.PACK, o=rng.choice([8, 4, 2, 1]), o_unsigned=bool(rng.getrandbits(1)))
    pair = _pair(generator)
    lines = _settle(generator, pair) + _set(Register.CONFIG, config.word, pair)
    lines += (
        _set(Register.K, rng.randrange(1, 33), pair) + _set(Register.N, n, pair) + _set(Register.LANES_ON, lanes, pair)
    )
    lines += _set(Register.DST_STRIDE, 32 * n, pair)
    lines += [f"la x{pair[0]}, engine + {place}", f"li x{pair[1]}, {int(Register.DST_BASE)}"]
    lines += [custom(function_id(Op.SET), 0, *pair)]
    if config.out == Out.PACK:  # a header that is legal
        stream = STREAMS + 4 * rng.randrange(24)
        for offset, value in ((4, rng.randrange(1, 1 << 31)), (8, rng.randrange(1, 50))):
            lines += [custom(WAIT_ID, 0, 0, 0), f"li x{pair[1]}, {value:#x}", f"sw x{pair[1]}, {stream + offset}(x31)"]
        lines += [f"la x{pair[0]}, engine + {stream}", f"li x{pair[1]}, {8 * rng.randrange(16)}"]
        lines += [custom(RUN, generator.target(), *pair)]
    if lanes == 1 and n == 1:
        lines += [f"la x{pair[0]}, engine + {place}", custom(RUN, generator.target(), pair[0], 0)]
    return lines


def _configure_gather(generator: Generator) -> list[str]:
    rng, pair = generator.rng, _pair(generator)
    rows = rng.randrange(1, 4)
    lines = (
        _settle(generator, pair)
        + _set(Register.ROWS, rows, pair)
        + _set(Register.LEN, rng.randrange(1, MAX_BITS // rows + 1), pair)
    )
    lines += _set(Register.LANE_STEP, rng.randrange(0, 256), pair)
    lines += _set(Register.Y, rng.choice([0, 0, 1, 0xFFFFFFFF]), pair)
    return lines


def _configure_elementwise(generator: Generator) -> list[str]:
    """Another kind of MAP or POOL, whose results may be the source of later GATHERs."""
    rng, pair = generator.rng, _pair(generator)
    bits = [bool(rng.getrandbits(1)) for _ in range(4)]
    config = Config(rng.choice([8, 4, 2, 1]), a_unsigned=bits[0], o_unsigned=bits[1], mix=bits[2], tail_zero=bits[3])
    config = replace(config, out=rng.choice([Out.PACK, Out.PACK, Out.LOGIT]), o=rng.choice([8, 4, 2, 1]))
    place = rng.choice([RESULTS + 4 * rng.randrange(64), SOURCE + 4 * rng.randrange(32)])
    lines = _settle(generator, pair) + _set(Register.CONFIG, config.word, pair)
    lines += _set(Register.K, rng.choice([1, 1, 2, 3, 9]), pair)
    lines += _set(Register.LANES_ON, rng.randrange(1, 5), pair)
    lines += _set(Register.M0 + rng.randrange(4), rng.randrange(1, 1 << rng.randrange(1, 32)), pair)
    lines += _set(Register.SHIFT, rng.randrange(1, 50), pair)
    lines += [f"la x{pair[0]}, engine + {place}", f"li x{pair[1]}, {int(Register.DST_BASE)}"]
    lines += [custom(function_id(Op.SET), 0, *pair)]
    lines += [line for _ in range(rng.randrange(1, 4)) for line in rng.choice([_map, _pool])(generator)]
    return lines + (_configure_run(generator) if rng.random() < 0.6 else [])


def _elementwise(generator: Generator, kind: Run, highest: int) -> list[str]:
    a, b = _pair(generator)
    offset = 32 * generator.rng.randrange(16) if generator.rng.random() < 0.97 else 3
    lines = [f"andi x{a}, x{generator.source()}, {highest}", f"addi x{a}, x{a}, 1", f"li x{b}, {offset}"]
    return [*lines, custom(function_id(Op.RUN, kind), generator.target(), a, b)]


def _pool(generator: Generator) -> list[str]:
    """The greatest of up to 64 elements of each lane, to memory or back into lane 0."""
    return _elementwise(generator, generator.rng.choice([Run.POOL, Run.POOL, Run.POOL_KEEP]), 63)


def _map(generator: Generator) -> list[str]:
    """Up to 16 requantised sums."""
    return _elementwise(generator, Run.MAP, 15)


def _toggle(generator: Generator) -> list[str]:
    """GATHERs with another EXPAND or PAD_MIN in CONFIG, whatever else is in there."""
    a, b = _pair(generator)
    config, mask = f"li x{b}, {int(Register.CONFIG)}", generator.rng.choice([EXPAND, EXPAND, PAD_MIN])
    lines = [config, custom(GET, a, 0, b), f"li x{b}, {mask:#x}", f"xor x{a}, x{a}, x{b}", config]
    lines += [custom(function_id(Op.SET), generator.target(), a, b)]
    return lines + [line for _ in range(generator.rng.randrange(1, 3)) for line in _gather(generator)]


def _gather(generator: Generator) -> list[str]:
    a, b = _pair(generator)
    function = GATHER if generator.rng.random() < 0.8 else function_id(GATHER_LANE, generator.rng.randrange(4))
    lines = [f"andi x{a}, x{generator.source()}, 0x3ff", f"addi x{b}, x{a}, {generator.rng.randrange(-200, 100)}"]
    return [*lines, custom(function, generator.target(), a, b)]


def _run(generator: Generator) -> list[str]:
    a, _ = _pair(generator)
    place = STREAMS + 4 * generator.rng.randrange(24)
    lines = [f"la x{a}, engine + {place}"]
    for _ in range(generator.rng.choice([1, 1, 2, 3])):
        rd = generator.target()
        lines.append(custom(RUN, rd, a, 0))
        if rd == a:
            break
    return lines


def _wait(generator: Generator) -> list[str]:
    return [custom(WAIT_ID, generator.target(), generator.source(), generator.source())]


def _get(generator: Generator) -> list[str]:
    a, _ = _pair(generator)
    lines = [] if generator.rng.random() < 0.5 else [custom(WAIT_ID, 0, 0, 0)]
    register = generator.rng.choice(QUIET)
    if register == Register.ERROR:
        lines = [custom(WAIT_ID, 0, 0, 0)]  # of the operation before
    return [*lines, f"li x{a}, {int(register)}", custom(GET, generator.target(), generator.source(), a)]


def _peek(generator: Generator) -> list[str]:
    a, b = _pair(generator)
    lines = [f"andi x{a}, x{generator.source()}, 31", f"andi x{b}, x{generator.source()}, 3"]
    return [*lines, custom(GET | 1, generator.target(), a, b)]


def _set_any(generator: Generator) -> list[str]:
    """OPS, which any operation counts on; or a register that cannot be set."""
    b, _ = _pair(generator)
    register = Register.OPS if generator.rng.random() < 0.8 else Register.STATUS
    return [f"li x{b}, {int(register)}", custom(function_id(Op.SET), generator.target(), generator.source(), b)]


def _clear(generator: Generator) -> list[str]:
    return _set(Register.ERROR, generator.rng.getrandbits(8), _pair(generator))


def _store(generator: Generator) -> list[str]:
    """The core changes the source of later GATHERs: past the cache, or through it."""
    a, _ = _pair(generator)
    offset = 4 * generator.rng.randrange((STREAMS - SOURCE) // 4)
    if generator.rng.random() < 0.5:
        return [custom(WAIT_ID, 0, 0, 0), f"sw x{generator.source()}, {offset}(x31)"]
    lines = [custom(WAIT_ID, 0, 0, 0), f"la x{a}, engine", f"sw x{generator.source()}, {offset}(x{a})"]
    return [*lines, f"lw x{generator.target()}, {offset}(x31)"]


def _load(generator: Generator) -> list[str]:
    a, _ = _pair(generator)
    offset = STREAMS + 4 * generator.rng.randrange((END - STREAMS) // 4)
    if generator.rng.random() < 0.7:
        return [custom(WAIT_ID, 0, 0, 0), f"lw x{generator.target()}, {offset}(x31)"]
    lines = [custom(WAIT_ID, 0, 0, 0), ".word 0x0000500F", f"la x{a}, engine"]
    return [*lines, f"lw x{generator.target()}, {offset}(x{a})"]


OPERATIONS = {
    _configure_run: 2,
    _configure_gather: 1,
    _configure_elementwise: 3,
    _toggle: 1,
    _gather: 4,
    _run: 6,
    _pool: 2,
    _wait: 2,
    _get: 4,
    _peek: 2,
    _set_any: 2,
    _clear: 2,
    _store: 2,
    _load: 3,
}


def mixed_operation(generator: Generator) -> list[str]:
    """A dot product or, in three cases out of ten, something with the engine."""
    if generator.rng.random() < 0.7:
        return simd_operation(generator)
    operation = generator.rng.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
    return operation(generator)


def machine_with_unit(rom: bytes) -> tuple[Machine, StreamModel]:
    """A golden simulator with both versions of the unit."""
    machine = Machine(rom)
    engine = StreamModel(np.frombuffer(machine.ram, dtype=np.uint8))

    def unit(function: int, rs1: int, rs2: int) -> int:
        if function >> 3 & 0xF:
            return simd_model.dot(function, rs1, rs2)
        return engine.execute(function, rs1, rs2)

    machine.cfu = unit
    return machine, engine
