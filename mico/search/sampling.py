"""Where candidates come from: an orthogonal start, uniform samples, and a genetic sampler near the constraint."""

from __future__ import annotations

import numpy as np

from mico.search.base import Cost, Searcher, Space, Vectors
from mico.search.candidates import ENUMERABLE

__all__ = ["anything", "near_constraint", "orthogonal", "random_fitting", "repaired", "spread"]


def orthogonal(space: Space, n: int, rng: np.random.Generator) -> Vectors:
    """MiCo's start: all widest, all narrowest, then all widest with a few shuffled layers lowered at a time.

    Every layer is lowered equally often: a shuffled list of all layers is dealt out in groups of a third of the layers,
    and dealt again when it is used up. Weights and activations of a lowered layer get narrower widths independently.

    Returns
    -------
    ``(m, 2 L)`` distinct vectors, ``m <= n``.
    """
    count = len(space.names)
    group = max(1, (count + 2) // 3)
    rows = [space.corner(0), space.corner(-1)]
    known = {tuple(row) for row in rows}
    deck: list[int] = []
    for _ in range(20 * n):  # ends also where the space has fewer schemes than asked for
        if len(rows) >= n:
            break
        if len(deck) < group:
            deck += [int(i) for i in rng.permutation(count)]
        lowered, deck = deck[:group], deck[group:]
        row = space.corner(0)
        for layer in lowered:
            for i in (layer, count + layer):
                bits = space.choices[i]
                row[i] = rng.choice(bits[1:] or bits)
        if tuple(row) not in known:
            known.add(tuple(row))
            rows.append(row)
    return np.array(rows[:n])


def spread(space: Space, n: int, rng: np.random.Generator) -> Vectors:
    """``(n, 2 L)`` random schemes over the whole range of costs.

    Uniform widths give costs around the middle alone; here each scheme leans to wide or narrow by its own exponent.
    """
    exponent = np.exp(rng.normal(0.0, 1.0, size=(n, 1)))
    lean = rng.uniform(size=(n, space.dimensions)) ** exponent
    sizes = np.array([len(bits) for bits in space.choices])
    return space.decode(np.minimum((lean * sizes).astype(np.int64), sizes - 1))


def random_fitting(searcher: Searcher, rng: np.random.Generator, size: int = 500) -> Vectors:
    """Some unknown schemes ``(m, 2 L)`` that are predicted within the limits, of *size* drawn until there is one."""
    for _ in range(20):
        candidates = searcher.unknown(spread(searcher.space, size, rng))
        fitting = candidates[searcher.feasible(candidates)]
        if len(fitting):
            return fitting
    return fitting


def anything(searcher: Searcher, rng: np.random.Generator) -> Vectors | None:
    """A random unknown scheme that is predicted within the limits; None if there is none, or none was found."""
    fitting = random_fitting(searcher, rng)
    if not len(fitting) and searcher.space.size <= ENUMERABLE:
        every = searcher.space.every()
        fitting = searcher.unknown(every[searcher.feasible(every)])
    return fitting[rng.integers(len(fitting))] if len(fitting) else None


def repaired(searcher: Searcher, vector: Vectors, rng: np.random.Generator) -> Vectors:
    """*vector* with random operands narrowed until it is predicted within the limits, or all are at their narrowest."""
    space = searcher.space
    index = space.encode(vector[None])[0]
    last = np.array([len(bits) - 1 for bits in space.choices])
    while not searcher.feasible(space.decode(index[None]))[0]:
        narrower = np.flatnonzero(index < last)
        if not len(narrower):
            break
        index[rng.choice(narrower)] += 1
    return np.asarray(space.decode(index[None])[0], dtype=np.int64)


def near_constraint(
    space: Space,
    cost: Cost,
    limit: float,
    width: float,
    rng: np.random.Generator,
    *,
    parents: Vectors | None = None,
    size: int = 1000,
    generations: int = 10,
) -> Vectors:
    """Grow schemes whose predicted cycles lie in the band ``limit - width .. limit``.

    A genetic algorithm: uniform crossover, mutation of one entry in ``2 L``, and the *size* nearest the band survive.
    Half of the first generation has its first and last layer at the widest, where accuracy is most often lost.

    Parameters
    ----------
    limit, width
        Cycles.
    parents
        Schemes to start from besides random ones, ``(k, 2 L)``.

    Returns
    -------
    ``(m, 2 L)``, ``m <= size``, distinct, all predicted within the limit; nearest the band first. May be empty.
    """
    count = len(space.names)
    ends = [0, count - 1, count, 2 * count - 1]
    population = spread(space, size, rng)
    population[: size // 2, ends] = space.corner(0)[ends]
    if parents is not None and len(parents):
        population = np.concatenate([parents, population])
    population = _nearest(population, cost, limit, width, size, rng)
    for _ in range(generations):
        pairs = rng.integers(len(population), size=(2, size))
        take = rng.uniform(size=(size, space.dimensions)) < 0.5
        children = np.where(take, population[pairs[0]], population[pairs[1]])
        mutate = rng.uniform(size=children.shape) < 1 / space.dimensions
        children = np.where(mutate, spread(space, size, rng), children)
        population = _nearest(np.concatenate([population, children]), cost, limit, width, size, rng)
    return population[cost(population) <= limit]


def _nearest(vectors: Vectors, cost: Cost, limit: float, width: float, size: int, rng: np.random.Generator) -> Vectors:
    vectors = _distinct(vectors)
    vectors = vectors[rng.permutation(len(vectors))]  # those in the band are equals: keep any of them
    cycles = cost(vectors)
    over, under = np.maximum(cycles - limit, 0), np.maximum(limit - width - cycles, 0)
    return vectors[np.argsort(2 * over + under, kind="stable")[:size]]


def _distinct(vectors: Vectors) -> Vectors:
    """Each scheme once, in a fixed order."""
    if vectors.shape[1] > 15:  # widths are at most 8: four bits an entry
        return np.unique(vectors, axis=0)
    keys = vectors @ (np.int64(16) ** np.arange(vectors.shape[1] - 1, -1, -1, dtype=np.int64))
    return vectors[np.unique(keys, return_index=True)[1]]
