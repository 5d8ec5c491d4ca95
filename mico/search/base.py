"""Ask and tell: the interface of every searcher, what it may ask beside, and what all of that costs."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mico.errors import UsageError
from mico.quant.scheme import Scheme
from mico.search.constraint import Constraint, Cost, flash_bytes, least, ratios
from mico.search.front import front, widest_gap
from mico.search.space import Space, Vectors

__all__ = [
    "Constraint",
    "Cost",
    "Ledger",
    "Observation",
    "Probe",
    "Searcher",
    "Space",
    "SpaceExhaustedError",
    "Vectors",
    "flash_bytes",
]


class SpaceExhaustedError(UsageError):
    """Every scheme that is predicted to meet the constraints was evaluated: the search is over before its budget."""


class Probe(Protocol):
    """What a searcher may ask beside whole evaluations; *n* images of one scheme cost ``n / images`` evaluations.

    Attributes
    ----------
    images
        N of the validation split.
    faithful
        ``answers`` are those of the evaluation itself (PTQ); False where the evaluation trains first (QAT).
    """

    images: int
    faithful: bool

    def divergence(self, vectors: Vectors, images: int = 128) -> NDArray[np.float64]:
        """Mean KL to the float network ``(n,)`` on so many unlabelled calibration images."""

    def answers(self, vectors: Vectors, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Right or wrong ``(n, len(images))`` on these validation images."""

    def margins(self) -> NDArray[np.float64]:
        """Signed margin ``(N,)`` of the widest scheme on every validation image; free once that is evaluated."""


@dataclass
class Ledger:
    """What a search has cost.

    Attributes
    ----------
    images
        N of the validation split: a whole evaluation is so many forward samples. 0 where there is no probe.
    evaluations
        Schemes told, failures included.
    forward_samples
        Images of probes.
    epochs
        Of training, as far as it was told.
    device_runs
        Measurements on the target: one for every scheme that was told cycles.
    """

    images: int = 0
    evaluations: int = 0
    forward_samples: int = 0
    epochs: float = 0.0
    device_runs: int = 0

    @property
    def cost(self) -> float:
        """In evaluations: whole ones, and probes by their images."""
        return self.evaluations + (self.forward_samples / self.images if self.images else 0.0)

    def to_json(self) -> dict[str, float]:
        return {**vars(self), "cost": round(self.cost, 4)}


@dataclass(frozen=True)
class Observation:
    """What a searcher was told. Both numbers are None for a scheme that failed."""

    vector: tuple[int, ...]
    accuracy: float | None
    cycles: int | None
    measured: Mapping[str, float] = field(default_factory=dict)


class Searcher(ABC):
    """Proposes schemes under limits, or along the whole front where there is none.

    ``ask`` is a function of the seed, the history, the cost functions and the probe alone: the same history gives the
    same next scheme, however often it was asked and whatever process told it. That is how a campaign resumes by replay.
    A searcher that keeps what its probes said takes, when it is told without having been asked, the step of that ask
    first (``walks``); so tell it before the cost function learns from the same measurement. Only the widest scheme, of
    which limits are fractions, is no step where it is told first.

    Parameters
    ----------
    space
        What to choose from.
    cost
        Predicted cycles; the truth is what ``tell`` brings.
    limit
        Cycles that a scheme may take; None for the whole front of accuracy and cycles.
    seed
        Of everything random.
    budget
        Evaluations planned in all; schedules depend on it, nothing enforces it.
    probe
        What may be asked beside whole evaluations; None if nothing may.
    upper
        High end of the interval of *cost*.
    exact
        *cost* is the truth.
    constraints
        More limits: flash, peak RAM.
    """

    name: str
    walks = False

    def __init__(
        self,
        space: Space,
        cost: Cost,
        limit: float | None,
        *,
        seed: int = 0,
        budget: int = 24,
        probe: Probe | None = None,
        upper: Cost | None = None,
        exact: bool = False,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        if limit is not None and not np.isfinite(limit):
            raise UsageError(f"the limit must be a positive number of cycles, not {limit}")
        self.space, self.cost, self.seed, self.budget, self.probe = space, cost, seed, budget, probe
        self.constraints = (Constraint("cycles", cost, np.inf if limit is None else limit, upper, exact), *constraints)
        self.pareto = limit is None
        self.history: list[Observation] = []
        self.ledger = Ledger(images=probe.images if probe is not None else 0)
        self._known: set[tuple[int, ...]] = set()
        self._next: Vectors | None = None
        self._checked = False

    @property
    def limit(self) -> float:
        """Cycles allowed; without a limit, those under which the next scheme would widen the front most."""
        if not self.pareto:
            return self.constraints[0].limit
        return widest_gap([(o.cycles, o.accuracy) for o in self.history if o.cycles is not None], len(self.history))

    def tell(
        self,
        scheme: Scheme,
        accuracy: float,
        cycles: int,
        measured: Mapping[str, float] | None = None,
        epochs: float = 0.0,
    ) -> None:
        """Take in a measured scheme: accuracy 0..1, cycles of the whole inference.

        Parameters
        ----------
        measured
            True values of other constraints by name.
        epochs
            Of training that the evaluation took.
        """
        self._add(Observation(scheme.vector(), float(accuracy), int(cycles), dict(measured or {})))
        self.ledger.device_runs += 1
        self.ledger.epochs += epochs

    def tell_failed(self, scheme: Scheme) -> None:
        """Take in that *scheme* could not be measured: it is not asked for again, and no number enters a model."""
        self._add(Observation(scheme.vector(), None, None))

    def _add(self, observation: Observation) -> None:
        if len(observation.vector) != self.space.dimensions:
            raise UsageError(
                f"a scheme of {len(observation.vector) // 2} layers, the network has {len(self.space.names)}"
            )
        first = not self.history and observation.vector == tuple(self.space.corner(0).tolist())
        if self.walks and self._next is None and not first:
            with contextlib.suppress(UsageError):  # somebody else knew better: what is told counts
                self._next = self._step()
        self._next = None
        self.history.append(observation)
        self._known.add(observation.vector)
        self.ledger.evaluations += 1
        self._learn(observation)

    def _learn(self, observation: Observation) -> None:  # noqa: B027
        """Called after *observation* has joined the history; for searchers that keep a model."""

    def meets(self, observation: Observation) -> bool:
        """Whether what was measured is within every limit; a value that was not measured counts as predicted."""
        return self.excess(observation) <= 0

    def excess(self, observation: Observation) -> float:
        """By what share the limit that is missed most is exceeded, negative within all; infinite for a failure."""
        return np.inf if observation.cycles is None else max(self._of_limits(observation)) - 1

    def _of_limits(self, observation: Observation) -> list[float]:
        """What a told scheme costs as a share of every limit, 0 where there is none."""
        shares = []
        for c in self.constraints:
            value = observation.cycles if c is self.constraints[0] else observation.measured.get(c.name)
            if value is None:
                value = float(c.predict(np.array([observation.vector]))[0])
            shares.append(value / c.limit)
        return shares

    def best(self) -> Observation | None:
        """The most accurate within the limits, of equals the fastest; None if nothing is within them."""
        feasible = [o for o in self.history if self.meets(o)]
        return max(feasible, key=lambda o: (o.accuracy or 0.0, -(o.cycles or 0)), default=None)

    def front(self) -> list[Observation]:
        """What nothing else that was told, within the limits, beats in both accuracy and cycles; fastest first."""
        feasible = [o for o in self.history if self.meets(o)]
        return [feasible[i] for i in front([(o.cycles or 0, o.accuracy or 0.0) for o in feasible])]

    def feasible(self, vectors: Vectors, *, sure: bool = False) -> NDArray[np.bool_]:
        """Which schemes ``(N,)`` are predicted within all limits; *sure*: with the high ends of the intervals."""
        fits = self.ratios(vectors, sure=sure) <= 1
        return np.asarray(fits, dtype=np.bool_)

    @property
    def limits(self) -> tuple[Constraint, ...]:
        """The constraints, with the limit of cycles that counts now."""
        return (replace(self.constraints[0], limit=self.limit), *self.constraints[1:])

    def ratios(self, vectors: Vectors, *, sure: bool = False) -> NDArray[np.float64]:
        """The largest of predicted cost over limit ``(N,)``."""
        return ratios(self.limits, vectors, sure=sure)

    def ask(self) -> Scheme:
        """The next scheme to evaluate, never one that was told.

        Raises
        ------
        SpaceExhaustedError
            All that is predicted to fit was evaluated.
        UsageError
            Nothing fits: says the least that is possible, as predicted and as measured. Where the prediction is exact
            nothing is evaluated before; where it is not, the scheme that it calls least is, and nothing else.
        """
        if self._next is not None:
            return self.space.scheme(self._next)
        vector = self._step()
        if self.walks:
            self._next = vector
        return self.space.scheme(vector)

    def _step(self) -> Vectors:
        with threadpool_limits(1, "blas"):  # sums in the same order however many cores there are, and sooner
            return self._choose()

    def _choose(self) -> Vectors:
        rng = np.random.default_rng([self.seed, len(self.history)])
        ends = self._ends() if self.pareto else None
        if ends is not None:
            return ends
        if not self._checked and self._doubtful():
            return self._last_resort(rng)
        if not self.history and self.walks and self.feasible(self.space.corner(0)[None], sure=True)[0]:
            return self.space.corner(0)  # nothing is better by any prediction
        vector = self._propose(rng)
        return self._last_resort(rng) if vector is None else vector

    @abstractmethod
    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        """An unknown scheme, or None if none that is predicted to fit was found."""

    def _ends(self) -> Vectors | None:
        """The fastest and the widest scheme, where the front has neither."""
        for end in (self.space.corner(0), self.space.corner(-1)):
            fits = bool(np.all(ratios(self.constraints, end[None]) <= 1))
            if fits and tuple(end.tolist()) not in self._known and len(self.history) < 3:
                return end
        if not self.history:
            return self._last_resort(np.random.default_rng(self.seed))
        return None

    def _doubtful(self) -> bool:
        """Whether, as far as anybody can predict, nothing meets the limits."""
        ends = np.array([self.space.corner(-1), self.space.corner(0)])
        if self.feasible(ends).any() or any(self.meets(o) for o in self.history):
            self._checked = True
            return False
        _, ratio = least(self.space, self.ratios, np.random.default_rng(self.seed))
        return ratio > 1

    def _last_resort(self, rng: np.random.Generator) -> Vectors:
        """Nothing unknown is predicted to fit. Try the least predicted: a prediction alone proves nothing."""
        vector, ratio = least(self.space, self.ratios, rng)
        if ratio > 1:
            self._refuse(vector, rng)
        if tuple(vector.tolist()) not in self._known:
            return vector
        if self.best() is not None:
            raise SpaceExhaustedError(
                f"every scheme predicted to meet {self._limits()} was evaluated",
                cure="raise the limit, or allow more bit widths",
            )
        told = next(o for o in self.history if o.vector == tuple(vector.tolist()))
        raise self._impossible(self.constraints[int(np.argmax(self._of_limits(told)))], vector)

    def _refuse(self, vector: Vectors, rng: np.random.Generator) -> None:
        """Raise where exact predictions say that no scheme meets a limit, or all limits at once."""
        exact = [c for c in self.constraints if c.exact]
        for c in exact:
            at, value = least(self.space, c.predict, rng)
            if value > c.limit:
                raise self._impossible(c, at)
        over = ratios(exact, vector[None])[0]
        if over > 1:
            together = least(self.space, lambda v: ratios(exact, v), rng)[1]
            if together > 1:
                raise UsageError(
                    f"no scheme meets {self._limits()} at once: the least possible is {together:.3f} times them all",
                    where="constraint",
                    cure="raise one of them",
                )

    def _limits(self) -> str:
        return " and ".join(f"{c.limit:.0f} {c.name}" for c in self.constraints if np.isfinite(c.limit)) or "no limit"

    def _impossible(self, c: Constraint, vector: Vectors) -> UsageError:
        predicted = float(c.predict(vector[None])[0])
        measured = [o.cycles for o in self.history if o.cycles is not None] if c is self.constraints[0] else []
        said = "possible" if c.exact else "predicted"
        told = f"; the least measured is {min(measured)}" if measured and not c.exact else ""
        low = min([predicted, *([] if c.exact else measured)])
        return UsageError(
            f"no scheme fits in {c.limit:.0f} {c.name}: the least {said} is {predicted:.0f}{told}",
            where="constraint",
            cure=f"raise the limit: at least {low / c.limit:.2f} times the present one is needed",
        )

    def unknown(self, vectors: Vectors) -> Vectors:
        """Those of *vectors* that were not told, without duplicates, order kept."""
        seen = set(self._known)
        keep = []
        for i, vector in enumerate(map(tuple, vectors.tolist())):
            if vector not in seen:
                seen.add(vector)
                keep.append(i)
        return vectors[keep]

    def divergence(self, vectors: Vectors, images: int = 128) -> NDArray[np.float64]:
        """Ask the probe, and pay: KL ``(n,)`` on so many calibration images."""
        assert self.probe is not None
        self.ledger.forward_samples += len(vectors) * images
        return np.asarray(self.probe.divergence(vectors, images), dtype=np.float64)

    def answers(self, vectors: Vectors, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Ask the probe, and pay: right or wrong ``(n, len(images))``; free of schemes that were evaluated."""
        assert self.probe is not None
        unpaid = sum(tuple(v) not in self._known for v in vectors.tolist())
        self.ledger.forward_samples += unpaid * len(images)
        return np.asarray(self.probe.answers(vectors, images), dtype=np.bool_)
