"""Random RUNs for the back end: registers, the chunks that the front end would deliver, and the bits of ``run_t``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import NO_SEMAPHORE, Mode, RunReg, Vector
from mico.codegen.bitfusion.loopnest import Loops
from mico.codegen.bitfusion.machine import Machine

__all__ = ["Run", "chunks", "fill_obuf", "random_params", "random_run", "run_bits", "tokens"]

# Fields of bf_pkg::run_t behind the mode, most significant first.
_FIELDS = (
    ("ibase", 32), ("x0", 32), ("y0", 32), ("xend", 32), ("yend", 32), ("seg", 16), ("j", 16), ("k", 16), ("px", 16),
    ("py", 16), ("ox", 16), ("oy", 16), ("b", 16), ("jstep", 32), ("kstep", 32), ("pxstep", 32), ("pystep", 32),
    ("oxstep", 32), ("oystep", 32), ("bstep", 32), ("nch", 16), ("noct", 16), ("gstep", 32), ("wbase", 16),
    ("wstep", 16), ("pbase", 16), ("abase", 16), ("ostep_x", 32), ("ostep_y", 32), ("ostep_b", 32), ("ostep_o", 32),
    ("olast", 16), ("po", 3),
)  # fmt: skip


@dataclass
class Run:
    """Registers, mode and destination (*loops*), and the semaphore for weights and parameters."""

    loops: Loops
    sem_weight: int = NO_SEMAPHORE


def run_bits(run: Run) -> int:
    """``run_t`` as a number."""
    loops = run.loops
    value = loops.mode.encode() & 0xFFFF
    for name, width in _FIELDS:
        value = value << width | getattr(loops, name) & ((1 << width) - 1)
    return (value << 32 | loops.offset) << 8 | NO_SEMAPHORE << 4 | run.sem_weight


def tokens(loops: Loops) -> int:
    """Chunks that the array takes for a run."""
    pixels = loops.b * loops.oy * loops.ox * loops.py * loops.px
    inner = loops.k * loops.j if loops.mode.vector is not None else loops.nch
    return pixels * loops.noct * inner


def _bytes(loops: Loops, ibuf: NDArray[np.uint8], x: int, y: int, b: int, count: int) -> tuple[bytes, list[bool]]:
    data, real = bytearray(), []
    for i in range(count):
        inside = 0 <= x + i < loops.xend and 0 <= y < loops.yend
        data.append(int(ibuf[(loops.ibase + x + i + y + b * loops.bstep) % len(ibuf)]) if inside else 0)
        real.append(inside)
    return bytes(data), real


def _number(data: bytes, real: list[bool]) -> tuple[int, int]:
    return int.from_bytes(data, "little"), sum(bit << i for i, bit in enumerate(real))


def chunks(loops: Loops, ibuf: NDArray[np.uint8], machine: Machine) -> Iterator[tuple[int, int]]:
    """Data and mask of every chunk, in order, as ``rtl/bitfusion/README.md`` has the loops."""
    mode = loops.mode
    size = machine.chunk_elements(mode.act_bits, mode.wgt_bits) * mode.act_bits // 8
    for b, oy, ox in np.ndindex(loops.b, loops.oy, loops.ox):
        x, y = loops.x0 + ox * loops.oxstep, loops.y0 + oy * loops.oystep
        if mode.vector is not None:
            for g, k, j in np.ndindex(loops.noct, loops.k, loops.j):
                at = x + g * loops.gstep + j * loops.jstep
                yield _number(*_bytes(loops, ibuf, at, y + k * loops.kstep, b, loops.seg))
            continue
        for py, px in np.ndindex(loops.py, loops.px):
            data, real = b"", []
            for k, j in np.ndindex(loops.k, loops.j):
                at = x + px * loops.pxstep + j * loops.jstep
                more, there = _bytes(loops, ibuf, at, y + py * loops.pystep + k * loops.kstep, b, loops.seg)
                data, real = data + more, real + there
            total = size * loops.nch
            data, real = data[:total].ljust(total, b"\0"), (real + [False] * total)[:total]
            parts = [_number(data[i : i + size], real[i : i + size]) for i in range(0, total, size)]
            for _ in range(loops.noct):
                yield from parts


def random_params(rng: random.Random, machine: Machine) -> NDArray[np.int32]:
    """Contents of PBUF ``(param_depth, 3, M)``: results over all of the outputs' ranges, and extremes."""
    params = np.zeros((machine.param_depth, 3, machine.cols), np.int32)
    for entry in np.ndindex(machine.param_depth, machine.cols):
        shift = rng.choice([0, 1, rng.randint(2, 40), 62])
        multiplier = int(2.0 ** (shift + rng.uniform(-14, 2)))
        if rng.random() < 0.05:
            multiplier = 2**31 - 1
        bias = rng.randint(-1, 1) * int(2.0 ** rng.uniform(0, 15))
        if rng.random() < 0.02:
            bias = rng.choice([-(2**31), 2**31 - 1])
        params[entry[0], :, entry[1]] = bias, min(multiplier, 2**31 - 1), shift
    return params


def _modes(rng: random.Random, machine: Machine) -> tuple[int, int]:
    while True:
        act, wgt = rng.choice([1, 2, 4, 8]), rng.choice([1, 2, 4, 8])
        if machine.chunk_elements(act, wgt) * act % 8 == 0:
            return act, wgt


def _out_bits(rng: random.Random, machine: Machine, choices: list[int]) -> int:
    return rng.choice([bits for bits in choices if machine.cols * bits % 8 == 0])


def _finish(rng: random.Random, registers: dict[RunReg, int], mode: Mode, machine: Machine, memory: int) -> Run:
    """Destination: dense or with gaps, any alignment, in the window."""
    r = registers
    full = machine.cols * mode.out_bits // 8
    slots = r[RunReg.NOCT] // r[RunReg.PO]
    r[RunReg.OLAST] = rng.choice([full, rng.randint(1, full)]) if mode.emit else 0
    gap = rng.choice([0, 0, rng.randint(1, 40)])
    r[RunReg.OSTEP_O] = full + (gap if rng.random() < 0.3 else 0)
    r[RunReg.OSTEP_X] = (slots - 1) * r[RunReg.OSTEP_O] + r[RunReg.OLAST] + gap
    r[RunReg.OSTEP_Y] = r[RunReg.OX] * r[RunReg.OSTEP_X] + rng.choice([0, gap])
    r[RunReg.OSTEP_B] = r[RunReg.OY] * r[RunReg.OSTEP_Y] + rng.choice([0, gap])
    size = r[RunReg.B] * r[RunReg.OSTEP_B]
    offset = rng.randint(0, memory - size)
    if rng.random() < 0.2:  # rows from the last to the first
        offset += (r[RunReg.OY] - 1) * r[RunReg.OSTEP_Y]
        r[RunReg.OSTEP_Y] = -r[RunReg.OSTEP_Y]
    masked = {register: value & 0xFFFFFFFF for register, value in r.items()}
    return Run(Loops(masked, mode, offset), rng.choice([NO_SEMAPHORE, rng.randrange(8)]))


def _common(rng: random.Random, machine: Machine) -> dict[RunReg, int]:
    r = dict.fromkeys(RunReg, 0)
    for name in ("J", "K", "PX", "PY", "OX", "OY", "B", "NCH", "NOCT", "PO"):
        r[RunReg[name]] = 1
    r[RunReg.IBASE] = rng.randrange(machine.ibuf_bytes)
    r[RunReg.X0], r[RunReg.Y0] = rng.randint(-9, 3), rng.choice([-100, 0])
    r[RunReg.XEND], r[RunReg.YEND] = rng.randint(8, 100), 100 * rng.randint(1, 4)
    r[RunReg.OXSTEP], r[RunReg.OYSTEP], r[RunReg.BSTEP] = rng.randint(1, 9), 100, 431
    r[RunReg.JSTEP], r[RunReg.KSTEP] = rng.randint(1, 5), 100
    r[RunReg.PXSTEP], r[RunReg.PYSTEP], r[RunReg.GSTEP] = rng.randint(1, 5), 100, rng.randint(1, 40)
    return r


def random_run(rng: random.Random, machine: Machine, memory: int, *, limit: int = 160) -> list[Run]:
    """A run, or several that add up partial sums; at most *limit* tokens each."""
    while True:
        runs = _vector(rng, machine, memory) if rng.random() < 0.3 else _array(rng, machine, memory)
        if max(tokens(run.loops) for run in runs) <= limit:
            return runs


def _vector(rng: random.Random, machine: Machine, memory: int) -> list[Run]:
    r = _common(rng, machine)
    operation = rng.choice(list(Vector))
    act = _out_bits(rng, machine, [1, 2, 4, 8])
    for name in ("J", "K", "OX", "OY", "B"):
        r[RunReg[name]] = rng.choice([1, 2, 3])
    r[RunReg.NOCT] = rng.choice([1, 1, 2, 3])
    r[RunReg.SEG] = machine.cols * act // 8
    r[RunReg.PBASE] = rng.randint(0, machine.param_depth - 9)
    mode = Mode(
        act_bits=act, act_signed=rng.random() < 0.5, out_bits=_out_bits(rng, machine, [1, 2, 4, 8, 32]),
        out_signed=rng.random() < 0.5, vector=operation, requant=operation is Vector.MAC or rng.random() < 0.5,
    )  # fmt: skip
    return [_finish(rng, r, mode, machine, memory)]


def _array(rng: random.Random, machine: Machine, memory: int) -> list[Run]:
    act, wgt = _modes(rng, machine)
    base = _common(rng, machine)
    subwords = machine.subwords(act, wgt)
    size = machine.chunk_elements(act, wgt) * act // 8
    pieces = rng.choice([1, 1, 1, 2, 3])
    r = dict(base)
    for name in ("OX", "OY"):
        r[RunReg[name]] = rng.randint(1, 4)
    r[RunReg.B] = rng.choice([1, 1, 2])
    r[RunReg.NOCT] = rng.choice([1, 1, 2, 3, 4])
    out_bits = _out_bits(rng, machine, [1, 2, 4, 8, 32])
    requant = out_bits != 32 or rng.random() < 0.5
    if out_bits != 32 and rng.random() < 0.4:  # with partial sums, the windows' positions have entries of their own
        r[RunReg.PX], r[RunReg.PY] = rng.randint(1, 3), rng.randint(1, 3)
        r[RunReg.PO] = rng.choice([po for po in (1, 2, 4) if r[RunReg.NOCT] % po == 0])
    pixels = r[RunReg.OX] * r[RunReg.OY] * r[RunReg.B] * r[RunReg.PX] * r[RunReg.PY]
    results = pixels * r[RunReg.NOCT]
    if pieces > 1 and results > machine.obuf_entries:
        return _array(rng, machine, memory)
    r[RunReg.ABASE] = rng.randint(0, max(0, machine.obuf_entries - results))
    runs = []
    for piece in range(pieces):
        r = dict(r)
        r[RunReg.NCH] = rng.choice([1, 1, 2, 3, rng.randint(1, 9)])
        rows = -(-r[RunReg.NCH] // subwords)
        r[RunReg.WSTEP] = rng.choice([0, rows])
        last = rows + (r[RunReg.NOCT] - 1) * r[RunReg.WSTEP]
        if last > machine.wbuf_rows:
            return _array(rng, machine, memory)
        r[RunReg.WBASE] = rng.randint(0, machine.wbuf_rows - last)
        r[RunReg.PBASE] = rng.randint(0, machine.param_depth - r[RunReg.NOCT])
        r[RunReg.J], r[RunReg.K] = rng.choice([1, 2]), rng.choice([1, 2])
        r[RunReg.SEG] = max(1, size * r[RunReg.NCH] // (r[RunReg.J] * r[RunReg.K]) - rng.randint(0, 3))
        mode = Mode(
            act, wgt, rng.random() < 0.5, rng.random() < 0.5, out_bits, rng.random() < 0.5,
            init=piece == 0 and (pieces > 1 or rng.random() < 0.8 or results > machine.obuf_entries),
            emit=piece == pieces - 1, requant=requant,
        )  # fmt: skip
        runs.append(_finish(rng, r, mode, machine, memory))
    return runs


def fill_obuf(rng: random.Random, machine: Machine) -> Run:
    """Gives every entry of OBUF a value."""
    r = _common(rng, machine)
    r[RunReg.OX], r[RunReg.SEG] = machine.obuf_entries, machine.rows
    return Run(Loops({k: v & 0xFFFFFFFF for k, v in r.items()}, Mode(emit=False), 0))
