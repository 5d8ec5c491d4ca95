"""Chunks that bf_front delivers for a run, in numpy, from the README's definition; random runs; the run's bits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Fields of bf_pkg::run_t from the highest bit down; mode first.
_FIELDS = (
    [("ibase", 32), ("x0", 32), ("y0", 32), ("xend", 32), ("yend", 32), ("seg", 16)]
    + [(name, 16) for name in ("j", "k", "px", "py", "ox", "oy", "b")]
    + [(f"{name}step", 32) for name in ("j", "k", "px", "py", "ox", "oy", "b")]
    + [("nch", 16), ("noct", 16), ("gstep", 32)]
)
_BEHIND = 16 * 4 + 32 * 4 + 16 + 3 + 32  # wbase .. obase: other parts use them
NO_SEMAPHORE = 15


@dataclass(kw_only=True)
class Run:
    """Registers of a RUN that the input side uses; names as in the README."""

    act_bits: int = 8
    wgt_bits: int = 8
    vector: bool = False
    ibase: int = 0
    x0: int = 0
    y0: int = 0
    xend: int = 1 << 20
    yend: int = 1 << 20
    seg: int = 1
    j: int = 1
    k: int = 1
    px: int = 1
    py: int = 1
    ox: int = 1
    oy: int = 1
    b: int = 1
    jstep: int = 0
    kstep: int = 0
    pxstep: int = 0
    pystep: int = 0
    oxstep: int = 0
    oystep: int = 0
    bstep: int = 0
    nch: int = 1
    noct: int = 1
    gstep: int = 0
    sem: int = NO_SEMAPHORE

    def bits(self) -> int:
        """As ``bf_pkg::run_t``."""
        mode = (self.act_bits.bit_length() - 1) | (self.wgt_bits.bit_length() - 1) << 2 | self.vector << 10
        value = mode
        for name, width in _FIELDS:
            value = value << width | (getattr(self, name) & ((1 << width) - 1))
        return (value << _BEHIND) << 8 | self.sem << 4 | NO_SEMAPHORE

    def chunk_bytes(self, rows: int) -> int:
        """CB, or the bytes that a vector's chunk may have."""
        if self.vector:
            return 4 * rows
        lanes = (8 // max(self.act_bits, 2)) * (8 // max(self.wgt_bits, 2))
        assert rows * lanes * self.act_bits % 8 == 0
        return rows * lanes * self.act_bits // 8

    def natural_nch(self, rows: int) -> int:
        return -(-self.k * self.j * self.seg // self.chunk_bytes(rows))

    def reads(self, rows: int) -> int:
        """Of IBUF, for a patch (a vector: for a group)."""
        return self.k * self.j * -(-self.seg // (4 * rows))

    @property
    def pixels(self) -> int:
        return self.b * self.oy * self.ox * self.py * self.px

    def chunks(self) -> int:
        """That the array takes."""
        return self.pixels * self.noct * (self.k * self.j if self.vector else self.nch)


def chunk_stream(run: Run, ibuf: NDArray[np.uint8], rows: int) -> Iterator[int]:
    """Mask and data of one chunk after the other, as bf_front_bench's ``chunk_o``."""
    for b, oy, ox, py, px in np.ndindex(run.b, run.oy, run.ox, run.py, run.px):
        x = run.x0 + ox * run.oxstep + px * run.pxstep
        y = run.y0 + oy * run.oystep + py * run.pystep
        for group in range(run.noct if run.vector else 1):
            segments = [
                _segment(run, ibuf, x + group * run.gstep + j * run.jstep, y + k * run.kstep, b * run.bstep)
                for k in range(run.k)
                for j in range(run.j)
            ]
            if run.vector:
                yield from (_chunk(data, mask, rows) for data, mask in segments)
                continue
            size = run.chunk_bytes(rows)
            data, mask = (np.concatenate(part) for part in zip(*segments, strict=True))
            pad = max(run.nch * size - len(data), 0)
            data, mask = np.pad(data, (0, pad)), np.pad(mask, (0, pad))
            patch = [_chunk(data[i * size :][:size], mask[i * size :][:size], rows) for i in range(run.nch)]
            yield from patch * run.noct


def _segment(run: Run, ibuf: NDArray[np.uint8], x: int, y: int, z: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    xs = x + np.arange(run.seg, dtype=np.int64)
    inside = (xs >= 0) & (xs < run.xend) & (0 <= y < run.yend)
    return np.where(inside, ibuf[(run.ibase + xs + y + z) % len(ibuf)], np.uint8(0)), inside


def _chunk(data: NDArray[np.uint8], mask: NDArray[np.bool_], rows: int) -> int:
    bits = int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")
    return bits << 32 * rows | int.from_bytes(data.tobytes(), "little")


def random_run(rng: random.Random, rows: int, depth: int, ibuf_bytes: int, limit: int = 300) -> Run:
    """Any kind of legal run, of at most *limit* chunks and reads."""
    while True:
        run = Run(vector=rng.random() < 0.25, sem=rng.choice([0, 3, 7, NO_SEMAPHORE]))
        run.act_bits, run.wgt_bits = rng.choice((1, 2, 4, 8)), rng.choice((1, 2, 4, 8))
        if rows % 2 and run.act_bits == 1 and run.wgt_bits == 8 and not run.vector:
            continue
        small = rng.random() < 0.5
        for name in ("j", "k", "px", "py", "ox", "oy", "b"):
            setattr(run, name, rng.choice((1, 1, 1, 2, 3) if small else (1, 1, 2, 3, 5)))
        if run.vector:
            run.px = run.py = 1
            run.seg = rng.randint(1, 4 * rows)
            run.noct = rng.choice((1, 2, 3, 5))
        else:
            run.seg = rng.choice((rng.randint(1, 8), rng.randint(1, 4 * rows), rng.randint(1, 20 * rows)))
            run.nch = run.natural_nch(rows)
            if rng.random() < 0.1:  # a program that disagrees with itself
                run.nch = rng.randint(1, 2 * run.nch)
            run.noct = rng.choice((1, 1, 2, 3, 7)) if run.nch <= depth else 1
        if max(run.chunks(), run.pixels * run.reads(rows) * (run.noct if run.vector else 1)) > limit:
            continue
        span = rng.choice((2 * run.seg, 8 * rows, 300))
        run.ibase = rng.choice((rng.randrange(ibuf_bytes), -rng.randrange(100), ibuf_bytes - rng.randrange(1, 100)))
        for name in ("jstep", "kstep", "pxstep", "pystep", "oxstep", "oystep", "bstep", "gstep"):
            setattr(
                run, name, rng.choice((run.seg, rng.randint(-span, span), rng.randint(0, span), 1 << rng.randint(0, 9)))
            )
        run.x0, run.y0 = rng.choice((0, rng.randint(-span, span))), rng.choice((0, rng.randint(-span, span)))
        run.xend = rng.choice((1 << 20, rng.randint(0, 3 * span), rng.randint(1, run.seg + 4)))
        run.yend = rng.choice((1 << 20, rng.randint(0, 4 * span)))
        return run
