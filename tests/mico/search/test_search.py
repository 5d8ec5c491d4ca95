"""Searchers on a synthetic network of which every scheme's accuracy and cost, and so the optimum, is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.quant.scheme import Scheme
from mico.search.base import Searcher, Space, SpaceExhaustedError
from mico.search.mico import MicoSearch
from mico.search.random import RandomSearch
from mico.search.sampling import near_constraint, orthogonal

MACS = (120_000, 240_000, 48_000, 10_000)
SENSITIVITY = np.array([0.05, 0.02, 0.015, 0.06, 0.06, 0.01, 0.02, 0.03])
SPACE = Space(("c1", "c2", "f1", "f2"), MACS)


def accuracy_of(vectors: NDArray[np.int64]) -> NDArray[np.float64]:
    """Falls with the noise of each operand, and more where a layer has both narrow."""
    noise = SENSITIVITY * (2.0 ** -(vectors - 1))
    both = noise[:, :4] * noise[:, 4:]
    return np.asarray(0.99 - noise.sum(axis=1) - 20 * both.sum(axis=1), dtype=np.float64)


def cycles_of(vectors: NDArray[np.int64]) -> NDArray[np.float64]:
    w, a = vectors[:, :4], vectors[:, 4:]
    return np.asarray(5000 + (np.array(MACS) * (np.maximum(w, a) / 32 + 0.03 * w + 0.01 * a)).sum(axis=1), dtype=float)


WIDEST = float(cycles_of(SPACE.corner(0)[None])[0])
EVERY = np.array(list(itertools.product(*SPACE.choices)), dtype=np.int64)


def optimum(limit: float) -> float:
    return float(accuracy_of(EVERY)[cycles_of(EVERY) <= limit].max())


def play(searcher: Searcher, n: int) -> list[Scheme]:
    asked = []
    for _ in range(n):
        scheme = searcher.ask()
        vector = np.array([scheme.vector()])
        searcher.tell(scheme, float(accuracy_of(vector)[0]), int(cycles_of(vector)[0]))
        asked.append(scheme)
    return asked


def regret(searcher: Searcher, n: int) -> float:
    play(searcher, n)
    best = searcher.best()
    assert best is not None
    assert best.accuracy is not None
    return optimum(searcher.limit) - best.accuracy


def test_forest_beats_random_on_median_regret() -> None:
    """24 evaluations under half of the widest scheme's cycles, seeds 0 to 4."""
    limit = 0.5 * WIDEST
    forest = [regret(MicoSearch(SPACE, cycles_of, limit, seed=s), 24) for s in range(5)]
    random = [regret(RandomSearch(SPACE, cycles_of, limit, seed=s), 24) for s in range(5)]
    assert min(forest) >= 0
    assert np.median(forest) < 0.5 * np.median(random)


@pytest.mark.parametrize("kind", [MicoSearch, RandomSearch])
def test_same_history_gives_the_same_next_ask(kind: type[Searcher]) -> None:
    """Replay in a new searcher, asked twice, never asked before: the same scheme."""
    first = kind(SPACE, cycles_of, 0.5 * WIDEST, seed=3, budget=16)
    asked = play(first, 8)
    again = kind(SPACE, cycles_of, 0.5 * WIDEST, seed=3, budget=16)
    for observation in first.history[:7]:
        assert observation.accuracy is not None
        assert observation.cycles is not None
        again.tell(SPACE.scheme(np.array(observation.vector)), observation.accuracy, observation.cycles)
    assert again.ask() == again.ask() == asked[7]
    other = kind(SPACE, cycles_of, 0.5 * WIDEST, seed=4, budget=16)
    assert play(other, 8) != asked


@pytest.mark.parametrize("kind", [MicoSearch, RandomSearch])
def test_nothing_is_asked_twice(kind: type[Searcher]) -> None:
    asked = play(kind(SPACE, cycles_of, 0.4 * WIDEST, seed=1, budget=12), 14)
    assert len(set(asked)) == 14


@pytest.mark.parametrize("fraction", [0.16, 0.2, 0.3, 0.8, 1.0, 5.0])
def test_tight_and_loose_constraints_end_with_a_feasible_scheme(fraction: float) -> None:
    searcher = MicoSearch(SPACE, cycles_of, fraction * WIDEST, seed=2, budget=8)
    play(searcher, 8)
    best = searcher.best()
    assert best is not None
    assert best.cycles is not None
    assert best.cycles <= fraction * WIDEST


@pytest.mark.parametrize("kind", [MicoSearch, RandomSearch])
def test_impossible_constraint_says_the_least_that_is_possible(kind: type[Searcher]) -> None:
    least = float(cycles_of(EVERY).min())
    searcher = kind(SPACE, cycles_of, 0.9 * least, seed=1, budget=12)
    with pytest.raises(UsageError, match=f"least predicted is {least:.0f}; the least measured is {int(least)}"):
        play(searcher, 24)
    assert len(searcher.history) <= 9  # the start, and the least predicted: a prediction alone proves nothing


def test_impossible_by_prediction_is_tried_before_it_is_believed() -> None:
    """The model overestimates threefold: the scheme that it calls least is measured, and fits."""
    limit = 1.5 * float(cycles_of(EVERY).min())
    searcher = RandomSearch(SPACE, lambda v: 3 * cycles_of(v), limit, seed=1)
    play(searcher, 1)
    assert searcher.best() is not None
    with pytest.raises(SpaceExhaustedError):
        searcher.ask()


def test_small_space_is_exhausted_with_an_error_of_its_own() -> None:
    space = Space(("only",), (1000,), (8, 4), (8,))
    searcher = MicoSearch(space, lambda v: v.sum(axis=1) * 1.0, 100, seed=1)
    for _ in range(2):
        searcher.tell(searcher.ask(), 0.5, 10)
    with pytest.raises(SpaceExhaustedError):
        searcher.ask()


def test_failures_are_skipped_and_give_no_number() -> None:
    searcher = MicoSearch(SPACE, cycles_of, 0.5 * WIDEST, seed=1, budget=10)
    failed = []
    for i in range(9):
        scheme = searcher.ask()
        assert scheme not in failed
        vector = np.array([scheme.vector()])
        if i % 3 == 1:
            searcher.tell_failed(scheme)
            failed.append(scheme)
        else:
            searcher.tell(scheme, float(accuracy_of(vector)[0]), int(cycles_of(vector)[0]))
    assert all(
        o.accuracy is None and o.cycles is None for o in searcher.history if SPACE.scheme(np.array(o.vector)) in failed
    )
    assert searcher.best() is not None


def test_everything_failed_still_asks() -> None:
    searcher = MicoSearch(SPACE, cycles_of, 0.5 * WIDEST, seed=1, budget=8)
    for _ in range(8):
        searcher.tell_failed(searcher.ask())
    assert searcher.best() is None


def test_orthogonal_start_has_both_corners_and_lowers_every_layer() -> None:
    start = orthogonal(SPACE, 16, np.random.default_rng(5))
    assert len(np.unique(start, axis=0)) == 16
    np.testing.assert_array_equal(start[0], SPACE.corner(0))
    np.testing.assert_array_equal(start[1], SPACE.corner(-1))
    lowered = (start[2:] < SPACE.corner(0)).sum(axis=1)
    assert lowered.min() >= 1
    assert lowered.max() <= 4
    assert ((start[2:] < SPACE.corner(0)).sum(axis=0) >= 2).all()


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_candidates_lie_in_the_band_under_the_limit(fraction: float) -> None:
    limit, width = fraction * WIDEST, 0.1 * WIDEST
    found = near_constraint(SPACE, cycles_of, limit, width, np.random.default_rng(6))
    cycles = cycles_of(found)
    assert len(np.unique(found, axis=0)) == len(found) >= 200
    assert cycles.max() <= limit
    assert np.mean(cycles >= limit - width) > 0.9


def test_free_bits_are_raised() -> None:
    """Cycles depend on the wider operand alone: the narrower is raised to it."""

    def cost(v: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray((np.array(MACS) * np.maximum(v[:, :4], v[:, 4:])).sum(axis=1), dtype=float)

    searcher = MicoSearch(SPACE, cost, 0.5 * 8 * sum(MACS), seed=1, budget=9)
    for _ in range(9):
        scheme = searcher.ask()
        vector = np.array([scheme.vector()])
        searcher.tell(scheme, float(accuracy_of(vector)[0]), int(cost(vector)[0]))
    for observation in searcher.history[searcher.initial :]:
        v = np.array(observation.vector)
        raised = np.concatenate([np.maximum(v[:4], v[4:])] * 2)
        assert tuple(v) == tuple(raised) or tuple(raised) in {o.vector for o in searcher.history}


def test_bits_to_choose_from_are_respected() -> None:
    space = Space(SPACE.names, MACS, weight_bits=(8, 4, 2), activation_bits=(8, 4))
    for scheme in play(MicoSearch(space, cycles_of, 0.6 * WIDEST, seed=1, budget=9), 9):
        assert set(scheme.vector()[:4]) <= {8, 4, 2}
        assert set(scheme.vector()[4:]) <= {8, 4}


@pytest.mark.parametrize("bits", [(), (4, 8), (8, 8), (8, 3)])
def test_bad_bits_are_refused(bits: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="widest first"):
        Space(SPACE.names, MACS, weight_bits=bits)


def test_scheme_of_another_network_is_refused() -> None:
    with pytest.raises(UsageError, match="layers"):
        MicoSearch(SPACE, cycles_of, WIDEST).tell(Scheme.uniform(["a"], 8), 0.5, 10)
