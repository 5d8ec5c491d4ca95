"""How much every operand's narrowing hurts by itself: the additive prior of ILP, AMP and the sieve."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mico.search.space import Space, Vectors

__all__ = ["Prior", "guessed", "probed"]

_IMAGES = 128
_FEWEST = 16
Divergence = Callable[[Vectors, int], NDArray[np.float64]]


class Prior:
    """Sum over the entries of what each loses at its width, ``loss`` ``(2 L, choices)``; 0 at the widest."""

    def __init__(self, space: Space, loss: NDArray[np.float64]) -> None:
        self.space, self.loss = space, loss

    def __call__(self, vectors: Vectors) -> NDArray[np.float64]:
        """Loss ``(N,)`` of the schemes ``(N, 2 L)``."""
        return np.asarray(self.terms(vectors).sum(axis=1), dtype=np.float64)

    def terms(self, vectors: Vectors) -> NDArray[np.float64]:
        """Of every entry, ``(N, 2 L)``."""
        index = self.space.encode(np.asarray(vectors, dtype=np.int64))
        return np.asarray(self.loss[np.arange(index.shape[1]), index], dtype=np.float64)


def _filled(space: Space, known: dict[tuple[int, int], float]) -> NDArray[np.float64]:
    """From ``(entry, bits) -> loss`` to a table in which narrower never loses less."""
    width = max(len(bits) for bits in space.choices)
    loss = np.zeros((space.dimensions, width))
    for i, bits in enumerate(space.choices):
        for k, b in enumerate(bits[1:], start=1):
            loss[i, k] = max(known.get((i, b), 0.0), loss[i, k - 1])
    return loss


def probed(space: Space, divergence: Divergence, allowance: int) -> Prior:
    """Every entry narrowed alone, on 128 calibration images.

    Where that takes more than *allowance* forward samples fewer images are used, and then neighbouring layers are
    narrowed together and share the loss.
    """
    moves = space.singles()
    images = int(np.clip(allowance // max(len(moves), 1), _FEWEST, _IMAGES))
    if len(moves) * images <= allowance or len(moves) <= 64:
        rows = space.lowered(moves)
        values = divergence(np.concatenate([space.corner(0)[None], rows]), images)
        gained = np.maximum(values[1:] - values[0], 0.0)
        return Prior(space, _filled(space, {move: float(v) for move, v in zip(moves, gained, strict=True)}))
    count = len(space.names)
    kinds = ((0, space.weight_bits[1:]), (count, space.activation_bits[1:]))
    widths = sum(len(bits) for _, bits in kinds)
    groups = np.array_split(np.arange(count), max(1, min(count, allowance // (images * max(widths, 1)))))
    rows_, owners = [space.corner(0)], []
    for offset, bits in kinds:
        for b in bits:
            for group in groups:
                row = space.corner(0)
                row[group + offset] = b
                rows_.append(row)
                owners.append((group + offset, b))
    values = divergence(np.array(rows_), images)
    known = {}
    for (entries, b), value in zip(owners, np.maximum(values[1:] - values[0], 0.0), strict=True):
        known.update({(int(i), b): float(value) / len(entries) for i in entries})
    return Prior(space, _filled(space, known))


def guessed(space: Space) -> Prior:
    """Without a probe: noise falls fourfold a bit, and both ends of the network lose twice as much."""
    ends = {0, len(space.names) - 1}
    known = {}
    for i, bits in enumerate(space.choices):
        for b in bits[1:]:
            noise = 4.0 ** -(b - 1) - 4.0 ** -(bits[0] - 1)
            known[i, b] = noise * (2.0 if i % len(space.names) in ends else 1.0)
    return Prior(space, _filled(space, known))
