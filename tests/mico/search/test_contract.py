"""Every searcher behind one interface, on a synthetic network that answers image by image (landscape.py)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from mico.errors import UsageError
from mico.search.base import Constraint, Searcher, Space, SpaceExhaustedError, Vectors, flash_bytes
from mico.search.registry import NAMES, searcher_class
from tests.mico.search.landscape import Landscape

LAND = Landscape(images=400, seed=3)
HALF = 0.5 * LAND.widest


def make(name: str, limit: float | None = HALF, probe: bool = True, **options: Any) -> Searcher:
    options = {"seed": 2, "budget": 10, "probe": LAND if probe else None} | options
    if name == "mico":
        options["trees"] = 20
    return searcher_class(name)(LAND.space, LAND.cycles, limit, **options)


@pytest.mark.parametrize(
    ("name", "length"),
    [(name, 4 if name == "sieve" else 7) for name in NAMES] + [pytest.param("sieve", 7, marks=pytest.mark.slow)],
)
def test_replay_gives_the_same_schemes_and_the_same_bill(name: str, length: int) -> None:
    """Told the history by another process, without an ask between: the next ask and the ledger are the same."""
    first = make(name)
    asked = LAND.play(first, length)
    again = make(name)
    for o in first.history[: length - 1]:
        assert o.accuracy is not None
        assert o.cycles is not None
        again.tell(LAND.space.scheme(np.array(o.vector)), o.accuracy, o.cycles)
    assert again.ask().vector() == again.ask().vector() == asked[-1]
    o = first.history[length - 1]
    assert o.accuracy is not None
    assert o.cycles is not None
    again.tell(LAND.space.scheme(np.array(o.vector)), o.accuracy, o.cycles)
    assert again.ledger == first.ledger


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_made_on_one_core_so_that_the_machine_does_not_matter(name: str) -> None:
    """With two threads BLAS adds in another order, and a close decision may fall the other way."""
    searcher = make(name)
    predict = searcher.cost
    seen: set[int] = set()

    def cost(vectors: Vectors) -> np.ndarray[Any, np.dtype[np.float64]]:
        seen.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return predict(vectors)

    searcher.constraints = (Constraint("cycles", cost, searcher.limit),)
    with threadpool_limits(2, "blas"):
        searcher.ask()
    assert seen == {1}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_twice_and_within_the_limit(name: str) -> None:
    """An exact cost, 0.4 of the widest: MiCo's orthogonal start knows no limit, everything else keeps it."""
    searcher = make(name, 0.4 * LAND.widest, exact=True)
    LAND.play(searcher, 9)
    vectors = [o.vector for o in searcher.history]
    assert len(set(vectors)) == len(vectors) == 9
    start = getattr(searcher, "initial", 0)
    cycles = LAND.cycles(np.array(vectors[start:]))
    assert (cycles <= searcher.limit).all()
    assert searcher.best() is not None


@pytest.mark.parametrize("name", NAMES)
def test_impossible_is_refused_before_anything_is_spent(name: str) -> None:
    """Under the least of all schemes, with a cost that is known exactly."""
    least = float(LAND.cycles(LAND.space.every()).min())
    searcher = make(name, 0.9 * least, exact=True)
    with pytest.raises(UsageError, match=f"the least possible is {least:.0f}"):
        searcher.ask()
    assert searcher.ledger.cost == 0


@pytest.mark.parametrize("name", NAMES)
def test_impossible_by_a_prediction_costs_one_evaluation(name: str) -> None:
    """The scheme that the prediction calls least is measured first, and nothing else."""
    least = float(LAND.cycles(LAND.space.every()).min())
    searcher = make(name, 0.9 * least)
    LAND.play(searcher, 1)
    with pytest.raises(UsageError, match=f"least predicted is {least:.0f}; the least measured is {int(least)}"):
        searcher.ask()
    assert searcher.ledger.cost == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_tiny_space_ends_with_an_error_of_its_own(name: str) -> None:
    space = Space(("only",), (1000,), (8, 4), (8, 4))
    options: dict[str, Any] = {"trees": 10} if name == "mico" else {}
    searcher = searcher_class(name)(space, lambda v: v.sum(axis=1) * 1.0, 100, seed=1, budget=8, **options)
    for _ in range(4):
        searcher.tell(searcher.ask(), 0.5, 10)
    with pytest.raises(SpaceExhaustedError):
        searcher.ask()


@pytest.mark.parametrize("name", NAMES)
def test_failures_are_not_asked_again_and_give_no_number(name: str) -> None:
    searcher = make(name, 0.6 * LAND.widest)
    failed = set()
    for i in range(6):
        scheme = searcher.ask()
        assert scheme not in failed
        vector = np.array([scheme.vector()])
        if i % 2 == 0:
            searcher.tell_failed(scheme)
            failed.add(scheme)
        else:
            searcher.tell(scheme, float(LAND.accuracy(vector)[0]), int(LAND.cycles(vector)[0]))
    assert sum(o.accuracy is None and o.cycles is None for o in searcher.history) == 3
    assert searcher.ledger.evaluations == 6
    assert searcher.ledger.device_runs == 3


@pytest.mark.parametrize("name", NAMES)
def test_without_a_probe_nothing_is_probed(name: str) -> None:
    searcher = make(name, probe=False)
    LAND.play(searcher, 4)
    assert searcher.ledger.forward_samples == 0
    assert searcher.ledger.cost == 4


@pytest.mark.parametrize("name", NAMES)
def test_several_limits_hold_at_once(name: str) -> None:
    """Cycles, flash and peak RAM (activations of the widest layer): every proposal after a start meets all three."""
    flash = flash_bytes([400, 2_000, 30_000, 5_000])

    def ram(vectors: Vectors) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray((vectors[:, 4:] * np.array([800, 400, 100, 50]) / 8).max(axis=1), dtype=np.float64)

    limits = (Constraint("flash bytes", flash, 20_000, exact=True), Constraint("RAM bytes", ram, 450, exact=True))
    searcher = make(name, 0.7 * LAND.widest, exact=True, constraints=limits)
    LAND.play(searcher, 8)
    rows = np.array([o.vector for o in searcher.history[getattr(searcher, "initial", 0) :]])
    if len(rows):
        assert flash(rows).max() <= 20_000
        assert ram(rows).max() <= 450
    best = searcher.best()
    assert best is None or searcher.feasible(np.array([best.vector]))[0]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_limit_the_front_is_searched(name: str) -> None:
    searcher = make(name, None)
    LAND.play(searcher, 8)
    front = searcher.front()
    cycles = [o.cycles for o in front]
    accuracies = [o.accuracy for o in front]
    assert len(front) >= 3
    assert cycles == sorted(cycles)  # type: ignore[type-var]
    assert accuracies == sorted(accuracies)  # type: ignore[type-var]


def test_limits_that_exclude_each_other_are_refused_with_both_named() -> None:
    """Cycles that fall with the bits, and a cost that grows as they fall: each limit is possible, both are not."""

    def waste(vectors: Vectors) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(100.0 - vectors.sum(axis=1), dtype=np.float64)

    searcher = make(
        "sieve", 0.35 * LAND.widest, exact=True, constraints=(Constraint("waste", waste, 40.0, exact=True),)
    )
    with pytest.raises(UsageError, match="cycles and 40 waste at once"):
        searcher.ask()
    assert searcher.ledger.cost == 0


def test_flash_is_named_where_it_is_flash_that_nothing_meets() -> None:
    flash = flash_bytes([400, 2_000, 30_000, 5_000], other=1000)
    searcher = make("sieve", constraints=(Constraint("flash bytes", flash, 5_000, exact=True),))
    with pytest.raises(UsageError, match="no scheme fits in 5000 flash bytes: the least possible is 10350"):
        searcher.ask()


def test_a_predicted_flash_is_named_once_it_was_tried() -> None:
    """The least scheme is within the cycles and was measured to miss the flash: cycles are not what is to be raised."""
    flash = flash_bytes([400, 2_000, 30_000, 5_000], other=1000)
    searcher = make("sieve", constraints=(Constraint("flash bytes", flash, 5_000),))
    scheme = searcher.ask()
    vector = np.array([scheme.vector()])
    searcher.tell(scheme, 0.5, int(LAND.cycles(vector)[0]), measured={"flash bytes": float(flash(vector)[0])})
    with pytest.raises(UsageError, match="no scheme fits in 5000 flash bytes: the least predicted is 10350"):
        searcher.ask()


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(UsageError, match="positive number"):
        make("random", limit)
