"""Our search: an additive prior, screening on the images that can change, and a model of what the prior gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.search.base import Cost, Searcher, Space, Vectors
from mico.search.candidates import ENUMERABLE, near_optimal, neighbours, raised
from mico.search.prior import Prior, guessed, probed
from mico.search.residual import Residual

__all__ = ["SieveSearch"]

Key = tuple[int, ...]


@dataclass
class _Seen:
    """Answers known of one scheme: how many images of the order, and how many of those are wrong."""

    images: int
    wrong: int


class SieveSearch(Searcher):
    """Few schemes are evaluated wholly, many on the few images that decide between them.

    1. Every operand narrowed alone: the divergence on 128 calibration images is an additive prior.
    2. Candidates meet all limits, with the interval's high end where there is one, and lose least by the prior, later
       by a Gaussian process on all that is known.
    3. Two schemes of like cost differ in images whose margin is small; the rest is right, or wrong, with both. So
       candidates are screened on the images of smallest margin: most on few images, the best of those on more.
    4. What then looks best is evaluated.

    Without a probe the prior is a guess and the model learns from whole evaluations. Where the probe's answers are not
    those of an evaluation (QAT), the divergence alone is used.

    Parameters
    ----------
    sizes
        Images of the stages of screening.
    spend
        Evaluations' worth of screening before each evaluation.
    """

    name = "sieve"
    walks = True

    def __init__(
        self,
        space: Space,
        cost: Cost,
        limit: float | None,
        *,
        sizes: tuple[int, ...] = (128, 512),
        spend: float = 0.5,
        pool: int = 1500,
        **options: Any,
    ) -> None:
        super().__init__(space, cost, limit, **options)
        self.sizes, self.spend, self.pool = sizes, spend, pool
        self._prior: Prior | None = None
        self._order: NDArray[np.int64] | None = None
        self._seen: dict[Key, _Seen] = {}
        self._told_wrong: dict[Key, NDArray[np.int64]] = {}
        self._every: Vectors | None = None

    @property
    def screens(self) -> bool:
        return self.probe is not None and self.probe.faithful

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        prior = self._get_prior()
        candidates = self._candidates(prior, rng)
        if not len(candidates):
            return None
        if self.screens:
            self._screen(prior, candidates)
        mean, _ = self._estimate(prior, candidates)
        chosen: Vectors = candidates[int(np.argmin(mean))]
        return chosen

    def _get_prior(self) -> Prior:
        if self._prior is None:
            if self.probe is None:
                self._prior = guessed(self.space)
            else:
                self._prior = probed(self.space, self.divergence, int(max(1, self.budget // 8) * self.probe.images))
        return self._prior

    def _candidates(self, prior: Prior, rng: np.random.Generator) -> Vectors:
        """Unknown schemes within the limits, those that lose least by the prior first."""
        if self.space.size <= ENUMERABLE:
            if self._every is None:
                every = self.space.every()
                self._every = every[np.argsort(prior(every), kind="stable")]
            found = self._every
        else:
            base = near_optimal(self.space, prior, self.ratios, rng, 64)
            base = raised(self.space, base, prior, self.ratios)
            best = self.best()
            rows = [base]
            for centre in [np.array(best.vector)] if best is not None else list(base[:1]):
                around = neighbours(self.space, centre)
                rows.append(around[rng.permutation(len(around))[: self.pool]])
            found = np.concatenate(rows)
            found = found[np.argsort(prior(found), kind="stable")]
        for sure in (True, False):
            fitting = self.unknown(found[self.feasible(found, sure=sure)])
            if len(fitting):
                return fitting[: self.pool]
        return fitting

    def _images(self) -> NDArray[np.int64]:
        """Validation images, those that any change of bits may turn first."""
        if self._order is None:
            assert self.probe is not None
            if tuple(self.space.corner(0).tolist()) not in self._known:
                self.ledger.forward_samples += self.probe.images  # the margins are those of its evaluation
            self._margins = np.asarray(self.probe.margins())
            self._order = np.argsort(np.abs(self._margins), kind="stable").astype(np.int64)
        return self._order

    def _screen(self, prior: Prior, candidates: Vectors) -> None:
        order = self._images()
        assert self.probe is not None
        allowance = self.spend * self.probe.images
        first, last = (min(n, len(order)) for n in (self.sizes[0], self.sizes[-1]))
        batch = max(1, int(0.5 * allowance / first / 2))
        for _ in range(2):
            mean, spread = self._estimate(prior, candidates)
            score = mean - spread
            score[[tuple(v) in self._seen for v in candidates.tolist()]] = np.inf
            chosen = candidates[np.argsort(score, kind="stable")[:batch]]
            self._look(chosen, order, first)
        deep = max(1, int(0.5 * allowance / max(last - first, 1)))
        mean, _ = self._estimate(prior, candidates)
        mean[[self._seen.get(tuple(v), _Seen(0, 0)).images not in (first,) for v in candidates.tolist()]] = np.inf
        pick = np.argsort(mean, kind="stable")[:deep]
        self._look(candidates[pick[np.isfinite(mean[pick])]], order, last)

    def _look(self, vectors: Vectors, order: NDArray[np.int64], images: int) -> None:
        """Answer the images up to the *images*-th in order, as far as they are not known."""
        for vector in vectors:
            key = tuple(vector.tolist())
            seen = self._seen.setdefault(key, _Seen(0, 0))
            part = order[seen.images : images]
            if len(part):
                wrong = int((~self.answers(vector[None], part)).sum())
                self._seen[key] = _Seen(images, seen.wrong + wrong)

    def _estimate(self, prior: Prior, vectors: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected wrong images and spread ``(N,)``."""
        known, errors, noise = [], [], []
        images = self.ledger.images or 10_000
        rest = self._rest()
        for key, seen in self._seen.items():
            if key in self._known:
                continue
            known.append(key)
            share, sd = rest(seen.images)
            errors.append(seen.wrong + share)
            noise.append(sd)
        for o in self.history:
            if o.accuracy is not None:
                known.append(o.vector)
                errors.append((1 - o.accuracy) * images)
                noise.append(0.3)
        if len(known) < 2:
            loss = prior(vectors)
            return loss, loss
        rows = np.array(known, dtype=np.int64)
        model = Residual(self.space, prior).fit(rows, np.array(errors, dtype=np.float64), np.array(noise))
        return model.predict(vectors)

    def _rest(self) -> Any:
        """Wrong images beyond the first n of the order: mean and spread over the schemes that were evaluated."""
        if not self.screens or self._order is None:
            return lambda _: (0.0, 1.0)
        order = self._order
        for o in self.history:
            if o.accuracy is not None and o.vector not in self._told_wrong:
                answers = self.answers(np.array([o.vector]), order)[0]
                self._told_wrong[o.vector] = np.cumsum(~answers)
        feasible = [o.vector for o in self.history if self.meets(o)] or list(self._told_wrong)
        curves = np.array([self._told_wrong[v] for v in feasible if v in self._told_wrong])

        def rest(n: int) -> tuple[float, float]:
            if not len(curves):
                return 0.0, 1.0
            left = curves[:, -1] - curves[:, n - 1]
            return float(left.mean()), float(np.sqrt(left.var() + 1 + 0.3 * left.mean()))

        return rest
