"""Static placement of buffers over their lifetimes: offsets in one arena, no two live buffers overlapping."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Buffer", "Plan", "plan"]

_ATTEMPTS = 400
_SEED = 1


@dataclass(frozen=True)
class Buffer:
    """A buffer of *size* bytes that is live in every step from *first* to *last*, both included."""

    name: str
    size: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are live in some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Offsets in bytes by name, the arena's size, and the bytes live in the fullest step: no arena can be smaller."""

    offsets: dict[str, int]
    peak: int
    lower_bound: int


def plan(buffers: Sequence[Buffer], *, align: int = 4) -> Plan:
    """Place *buffers*, each at a multiple of *align*, sizes rounded up to it.

    Best fit in several fixed orders (size, size times lifetime, first use), then in up to 400 seeded random swaps of
    the best order, stopping as soon as the lower bound is reached. Deterministic.
    """
    rounded = [Buffer(b.name, -(-b.size // align) * align, b.first, b.last) for b in buffers]
    if len({b.name for b in rounded}) != len(rounded):
        raise ValueError("two buffers have the same name")
    steps = range(max((b.last for b in rounded), default=-1) + 1)
    bound = max((sum(b.size for b in rounded if b.first <= step <= b.last) for step in steps), default=0)
    orders = [
        sorted(rounded, key=lambda b: (-b.size, b.first, b.name)),
        sorted(rounded, key=lambda b: (-b.size * (b.last - b.first + 1), b.first, b.name)),
        sorted(rounded, key=lambda b: (b.first, -b.size, b.name)),
    ]
    best: tuple[int, dict[str, int]] | None = None
    order = orders[0]
    for candidate in orders:
        peak, offsets = _place(candidate)
        if best is None or peak < best[0]:
            best, order = (peak, offsets), candidate
    assert best is not None
    chance = random.Random(_SEED)
    for _ in range(_ATTEMPTS):
        if best[0] == bound or len(order) < 2:
            break
        candidate = list(order)
        i, j = chance.sample(range(len(candidate)), 2)
        candidate[i], candidate[j] = candidate[j], candidate[i]
        peak, offsets = _place(candidate)
        if peak <= best[0]:
            best, order = (peak, offsets), candidate
    return Plan({b.name: best[1][b.name] for b in buffers}, best[0], bound)


def _place(order: Sequence[Buffer]) -> tuple[int, dict[str, int]]:
    """Best fit: each buffer into the smallest gap between placed buffers that it conflicts with, else on top."""
    placed: list[tuple[int, Buffer]] = []
    for buffer in order:
        best_gap: int | None = None
        offset = top = 0
        for start, other in sorted(((s, o) for s, o in placed if o.overlaps(buffer)), key=lambda item: item[0]):
            gap = start - top
            if gap >= buffer.size and (best_gap is None or gap < best_gap):
                best_gap, offset = gap, top
            top = max(top, start + other.size)
        placed.append((top if best_gap is None else offset, buffer))
    return max((s + b.size for s, b in placed), default=0), {b.name: s for s, b in placed}
