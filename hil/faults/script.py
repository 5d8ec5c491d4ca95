"""What goes wrong on a line, and when: drawn from a seed, so that every scenario can be run again alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from mico.errors import UsageError

__all__ = ["DEVICE_KINDS", "LINE_KINDS", "Event", "Noise", "Script", "draw"]

LINE_KINDS = ("none", "flip", "drop", "double", "silence", "mixture", "delay", "garbage", "cut", "disconnect")
"""Faults that need nothing but the line."""
DEVICE_KINDS = ("reset", "kill", "stop", "hang")
"""Faults of the device itself: a reset, its death, a pause (stopped and continued), a stop for good."""


@dataclass(frozen=True)
class Noise:
    """Probabilities for each byte, in each direction.

    Attributes
    ----------
    flip, drop, double
        One bit inverted; the byte lost; the byte sent twice.
    silence, silent_s
        A silence begins, and swallows everything in this direction for so long.
    delay, delay_s
        The line stands still, and loses nothing.
    """

    flip: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    silence: float = 0.0
    silent_s: float = 0.3
    delay: float = 0.0
    delay_s: float = 0.05


@dataclass(frozen=True)
class Event:
    """Something that happens once: when *after* bytes have passed, both directions together.

    ``kind`` is ``garbage`` (random bytes to the host), ``cut`` (nothing passes any more), ``disconnect`` (the port goes
    away), or one of DEVICE_KINDS; ``seconds`` is the length of a ``stop``, ``size`` that of the garbage.
    """

    kind: str
    after: int
    seconds: float = 0.0
    size: int = 0


@dataclass(frozen=True)
class Script:
    """The faults of one scenario."""

    seed: int
    kind: str
    noise: Noise = field(default_factory=Noise)
    events: tuple[Event, ...] = ()


def draw(seed: int, kinds: Sequence[str] = LINE_KINDS, *, span: int = 8000) -> Script:
    """The script of *seed*: one of *kinds*.

    Parameters
    ----------
    span
        Bytes that a measurement moves, roughly: events happen within it.

    Raises
    ------
    UsageError
        A kind that does not exist.
    """
    unknown = set(kinds) - {*LINE_KINDS, *DEVICE_KINDS}
    if unknown or not kinds:
        raise UsageError(f"no such faults: {sorted(unknown)}", cure=f"of {', '.join((*LINE_KINDS, *DEVICE_KINDS))}")
    rng = random.Random(seed)
    kind = rng.choice(list(kinds))
    rate = 10 ** rng.uniform(-4.5, -2.5)
    after = rng.randrange(span)
    if kind in ("flip", "drop", "double"):
        return Script(seed, kind, Noise(**{kind: rate}))
    if kind == "silence":
        return Script(seed, kind, Noise(silence=rate / 4, silent_s=rng.uniform(0.02, 0.5)))
    if kind == "delay":
        return Script(seed, kind, Noise(delay=rate, delay_s=rng.uniform(0.01, 0.1)))
    if kind == "mixture":
        noise = Noise(flip=rate / 3, drop=rate / 3, double=rate / 3, silence=rate / 20, delay=rate / 3, delay_s=0.02)
        return Script(seed, kind, noise)
    if kind == "none":
        return Script(seed, kind)
    if kind == "garbage":  # half of it at the start, where a device that boots makes noise
        after = 0 if rng.random() < 0.5 else after
        return Script(seed, kind, events=(Event(kind, after, size=rng.randrange(1, 3000)),))
    return Script(seed, kind, events=(Event(kind, after, seconds=rng.uniform(0.01, 0.6)),))
