"""Ask and tell: the interface of every searcher, and the space that it searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.graph import Graph
from mico.quant.scheme import BITS, Scheme

__all__ = ["Cost", "Observation", "Searcher", "Space", "SpaceExhaustedError"]

Vectors = NDArray[np.int64]
Cost = Callable[[Vectors], NDArray[np.float64]]
"""Predicted cycles ``(N,)`` of the schemes ``(N, 2 L)``. May change between asks, as measurements arrive."""


class SpaceExhaustedError(UsageError):
    """Every scheme that is predicted to meet the constraint was evaluated: the search is over before its budget."""


@dataclass(frozen=True)
class Space:
    """All schemes of a network: weight and activation bits of each layer, chosen separately.

    Attributes
    ----------
    names, macs
        Of the quantisable layers, in network order.
    weight_bits, activation_bits
        Widths to choose from, widest first.
    """

    names: tuple[str, ...]
    macs: tuple[int, ...]
    weight_bits: tuple[int, ...] = BITS
    activation_bits: tuple[int, ...] = BITS

    def __post_init__(self) -> None:
        if not self.names:
            raise UsageError("the network has no convolution or linear layer: there is nothing to search")
        for bits in (self.weight_bits, self.activation_bits):
            if not bits or set(bits) - set(BITS) or tuple(sorted(set(bits), reverse=True)) != tuple(bits):
                raise UsageError(f"bits to choose from must be of {BITS}, widest first, not {bits}")

    @classmethod
    def of(cls, graph: Graph, weight_bits: tuple[int, ...] = BITS, activation_bits: tuple[int, ...] = BITS) -> Space:
        return cls(graph.layer_names, tuple(layer.macs for layer in graph.quantisable), weight_bits, activation_bits)

    @property
    def dimensions(self) -> int:
        return 2 * len(self.names)

    @property
    def size(self) -> int:
        """Number of schemes."""
        return int((len(self.weight_bits) * len(self.activation_bits)) ** len(self.names))

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """Widths of every entry of a vector, widest first."""
        return (self.weight_bits,) * len(self.names) + (self.activation_bits,) * len(self.names)

    def corner(self, at: int) -> Vectors:
        """All entries at their widest (``at=0``) or narrowest (``at=-1``), ``(2 L,)``."""
        return np.array([bits[at] for bits in self.choices], dtype=np.int64)

    def decode(self, index: Vectors) -> Vectors:
        """Widths of the given positions in ``choices``, elementwise on ``(N, 2 L)``."""
        out = np.empty_like(index)
        for i, bits in enumerate(self.choices):
            out[:, i] = np.asarray(bits)[index[:, i]]
        return out

    def scheme(self, vector: Vectors) -> Scheme:
        return Scheme.from_vector(self.names, [int(v) for v in vector])


@dataclass(frozen=True)
class Observation:
    """What a searcher was told. Both numbers are None for a scheme that failed."""

    vector: tuple[int, ...]
    accuracy: float | None
    cycles: int | None


class Searcher(ABC):
    """Proposes schemes under a limit of cycles.

    ``ask`` is a function of the seed, the history and the cost function alone: the same history gives the same next
    scheme, however often it was asked and whatever process told it. That is how a campaign resumes by replay.

    Parameters
    ----------
    space
        What to choose from.
    cost
        Predicted cycles; the truth is what ``tell`` brings.
    limit
        Cycles that a scheme may take.
    seed
        Of everything random.
    budget
        Evaluations planned in all; schedules depend on it, nothing enforces it.
    """

    name: str

    def __init__(self, space: Space, cost: Cost, limit: float, *, seed: int = 0, budget: int = 24) -> None:
        if not np.isfinite(limit) or limit <= 0:
            raise UsageError(f"the limit must be a positive number of cycles, not {limit}")
        self.space, self.cost, self.limit, self.seed, self.budget = space, cost, float(limit), seed, budget
        self.history: list[Observation] = []
        self._known: set[tuple[int, ...]] = set()

    def tell(self, scheme: Scheme, accuracy: float, cycles: int) -> None:
        """Take in a measured scheme: accuracy 0..1, cycles of the whole inference."""
        self._add(Observation(scheme.vector(), float(accuracy), int(cycles)))

    def tell_failed(self, scheme: Scheme) -> None:
        """Take in that *scheme* could not be measured: it is not asked for again, and no number enters a model."""
        self._add(Observation(scheme.vector(), None, None))

    def _add(self, observation: Observation) -> None:
        if len(observation.vector) != self.space.dimensions:
            raise UsageError(
                f"a scheme of {len(observation.vector) // 2} layers, the network has {len(self.space.names)}"
            )
        self.history.append(observation)
        self._known.add(observation.vector)

    def best(self) -> Observation | None:
        """The most accurate within the limit, of equals the fastest; None if nothing is within it."""
        feasible = [o for o in self.history if o.cycles is not None and o.cycles <= self.limit]
        return max(feasible, key=lambda o: (o.accuracy or 0.0, -(o.cycles or 0)), default=None)

    def ask(self) -> Scheme:
        """The next scheme to evaluate, never one that was told.

        Raises
        ------
        SpaceExhaustedError
            All that is predicted to fit was evaluated.
        UsageError
            Nothing fits: says the least cycles that were predicted and measured.
        """
        rng = np.random.default_rng([self.seed, len(self.history)])
        vector = self._propose(rng)
        if vector is None:
            vector = self._last_resort(rng)
        return self.space.scheme(vector)

    @abstractmethod
    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        """An unknown scheme, or None if none that is predicted to fit was found."""

    def _last_resort(self, rng: np.random.Generator) -> Vectors:
        """Nothing unknown is predicted to fit. Try the least predicted: a prediction alone proves nothing."""
        least = self._least(rng)
        if tuple(least) not in self._known:
            return least
        best = self.best()
        if best is not None:
            raise SpaceExhaustedError(
                f"every scheme predicted to take at most {self.limit:.0f} cycles was evaluated",
                cure="raise the fraction, or allow more bit widths",
            )
        measured = [o.cycles for o in self.history if o.cycles is not None]
        predicted = float(self.cost(least[None])[0])
        told = f"; the least measured is {min(measured)}" if measured else ""
        raise UsageError(
            f"no scheme fits in {self.limit:.0f} cycles: the least predicted is {predicted:.0f}{told}",
            where="constraint",
            cure="raise the fraction: at least "
            f"{min([predicted, *measured]) / self.limit:.2f} times the present one is needed",
        )

    def _least(self, rng: np.random.Generator) -> Vectors:
        """Least predicted cycles found by coordinate descent from several starts: narrower is not always faster."""
        choices = self.space.choices
        starts = [self.space.corner(-1), self.space.corner(0)]
        starts += [np.array([rng.choice(bits) for bits in choices], dtype=np.int64) for _ in range(4)]
        best, best_cost = starts[0], np.inf
        for start in starts:
            vector, cost = start.copy(), float(self.cost(start[None])[0])
            improved = True
            while improved:
                improved = False
                for i, bits in enumerate(choices):
                    trial = np.repeat(vector[None], len(bits), axis=0)
                    trial[:, i] = bits
                    costs = self.cost(trial)
                    at = int(np.argmin(costs))
                    if costs[at] < cost - 1e-9 * abs(cost):
                        vector, cost, improved = trial[at], float(costs[at]), True
            if cost < best_cost - 1e-9 * abs(cost):
                best, best_cost = vector, cost
        return best

    def unknown(self, vectors: Vectors) -> Vectors:
        """Those of *vectors* that were not told, without duplicates, order kept."""
        seen = set(self._known)
        keep = []
        for i, vector in enumerate(map(tuple, vectors.tolist())):
            if vector not in seen:
                seen.add(vector)
                keep.append(i)
        return vectors[keep]
