"""Good schemes within the limits: all of a small space, near-optimal ones of a large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mico.search.prior import Prior
from mico.search.space import Space, Vectors

__all__ = ["ENUMERABLE", "near_optimal", "neighbours", "pair_ratios", "raised"]

ENUMERABLE = 1 << 17
"""Schemes that are looked at one by one; in a larger space they are constructed."""

_CHUNK = 4_000_000  # entries of a batch of schemes
Ratios = Callable[[Vectors], NDArray[np.float64]]


def pair_ratios(space: Space, ratios: Ratios) -> NDArray[np.float64]:
    """What each layer's pair of widths saves ``(L, W, A)``, in limits: the widest scheme with that pair, less it."""
    count, wide = len(space.names), space.corner(0)
    rows, w_bits, a_bits = [], space.weight_bits, space.activation_bits
    per_layer = len(w_bits) * len(a_bits)
    step = max(1, _CHUNK // (per_layer * space.dimensions))
    for start in range(0, count, step):
        layers = range(start, min(start + step, count))
        batch = np.repeat(wide[None], len(layers) * per_layer, axis=0)
        at = 0
        for layer in layers:
            for w in w_bits:
                for a in a_bits:
                    batch[at, layer], batch[at, count + layer] = w, a
                    at += 1
        rows.append(ratios(batch))
    base = float(ratios(wide[None])[0])
    return np.asarray(np.concatenate(rows).reshape(count, len(w_bits), len(a_bits)) - base, dtype=np.float64)


def near_optimal(
    space: Space, prior: Prior, ratios: Ratios, rng: np.random.Generator, size: int, spread: float = 0.5
) -> Vectors:
    """Schemes within the limits ``(m, 2 L)``, ``m <= size``, that lose least by *prior*, and by priors like it.

    Lagrangian relaxation: a price of cost is found by bisection at which the cheapest choice of every layer fits. The
    first row uses the prior as it is, each other one the prior with its terms changed by a lognormal factor of
    *spread*; so the rows differ where the prior hardly decides.
    """
    count = len(space.names)
    pairs = pair_ratios(space, ratios)[None]  # (1, L, W, A)
    factors = np.exp(spread * rng.normal(size=(size, space.dimensions, 1)))
    factors[0] = 1.0
    loss = prior.loss[None] * factors
    weights = loss[:, :count, : len(space.weight_bits)]
    activations = loss[:, count:, : len(space.activation_bits)]
    both = weights[:, :, :, None] + activations[:, :, None, :]
    unit = float(np.median(both)) / max(float(np.abs(pairs).mean()), 1e-12) + 1e-12
    low, high = np.full(size, -12.0), np.full(size, 12.0)  # decades around the unit
    best = np.repeat(space.corner(-1)[None], size, axis=0)
    for _ in range(18):
        middle = (low + high) / 2
        price = unit * 10.0**middle
        flat = (both + price[:, None, None, None] * pairs).reshape(size, count, -1)
        choice = flat.argmin(axis=2)
        index = np.concatenate([choice // len(space.activation_bits), choice % len(space.activation_bits)], axis=1)
        vectors = space.decode(index)
        fits = ratios(vectors) <= 1
        best[fits] = vectors[fits]
        high, low = np.where(fits, middle, high), np.where(fits, low, middle)
    found = best[ratios(best) <= 1]
    _, first = np.unique(found, axis=0, return_index=True)
    return found[np.sort(first)]


def raised(
    space: Space, vectors: Vectors, prior: Prior, ratios: Ratios, rows: int = 64, rounds: int | None = None
) -> Vectors:
    """The same schemes with operands raised for as long as all limits are met, that of most loss first.

    Only the first *rows* are raised, and as many as one batch holds.
    """
    out = vectors.copy()
    rows = max(1, min(rows, len(out), _CHUNK // space.dimensions**2))
    rounds = space.dimensions if rounds is None else rounds
    sizes = np.arange(space.dimensions)
    active = np.arange(min(rows, len(out)))
    for _ in range(rounds):
        if not len(active):
            break
        index = space.encode(out[active])
        trials = np.repeat(index, space.dimensions, axis=0)
        trials[np.arange(len(trials)), np.tile(sizes, len(active))] -= 1
        possible = trials[np.arange(len(trials)), np.tile(sizes, len(active))] >= 0
        decoded = space.decode(np.maximum(trials, 0))
        possible[possible] = ratios(decoded[possible]) <= 1
        gain = prior.loss[sizes, index] - prior.loss[sizes, np.maximum(index - 1, 0)]
        score = np.where(possible.reshape(len(active), -1), gain + 1e-15, -1.0)
        chosen = score.argmax(axis=1)
        moved = score[np.arange(len(active)), chosen] > 0
        out[active[moved]] = decoded.reshape(len(active), space.dimensions, -1)[moved, chosen[moved]]
        active = active[moved]
    return out


def neighbours(space: Space, vector: Vectors, rng: np.random.Generator | None = None, most: int = 100_000) -> Vectors:
    """All schemes one or two steps of width away, ``(m, 2 L)``; two only where one is a step up and one a step down.

    Of more than *most*, those of two steps are drawn at random.
    """
    index = space.encode(vector[None])[0]
    sizes = np.array([len(bits) for bits in space.choices])
    downs, ups = np.flatnonzero(index + 1 < sizes), np.flatnonzero(index > 0)
    up, down = (grid.ravel() for grid in np.meshgrid(ups, downs, indexing="ij"))
    up, down = up[up != down], down[up != down]
    if len(up) > most:
        draw = (rng or np.random.default_rng(0)).choice(len(up), most, replace=False)
        up, down = up[draw], down[draw]
    moves = np.zeros((len(downs) + len(ups) + len(up), len(index)), dtype=np.int64)
    moves[np.arange(len(downs)), downs] = 1
    moves[len(downs) + np.arange(len(ups)), ups] = -1
    rows = len(downs) + len(ups) + np.arange(len(up))
    moves[rows, up] = -1
    moves[rows, down] = 1
    return space.decode(index + moves)
