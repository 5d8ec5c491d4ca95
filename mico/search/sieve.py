"""Our search: an additive prior, screening on the images that can change, and a model of what the prior gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mico.search.base import Cost, Searcher, Space, Vectors
from mico.search.candidates import ENUMERABLE, near_optimal, neighbours, raised
from mico.search.constraint import chances
from mico.search.prior import Prior, guessed, probed
from mico.search.residual import Residual
from mico.search.screen import Screen

__all__ = ["SieveSearch"]

Floats = NDArray[np.float64]
_EXACT = 0.3  # images: how well a whole evaluation is believed to know a scheme's errors
_UNPROBED = 10_000  # images that errors are counted of where no probe says how many there are


def _improvement(wrong: float, mean: Floats, spread: Floats) -> Floats:
    """Expected images fewer than *wrong* ``(N,)``."""
    z = (wrong - mean) / spread
    return np.asarray((wrong - mean) * norm.cdf(z) + spread * norm.pdf(z), dtype=np.float64)


class SieveSearch(Searcher):
    """Few schemes are evaluated wholly, many on the few images that decide between them.

    1. Every operand narrowed alone: the divergence on 128 calibration images is an additive prior.
    2. Candidates meet all limits, with the interval's high end where there is one, and lose least by the prior, later
       by a Gaussian process on all that is known (:class:`Residual`).
    3. The best by the prior is evaluated: its answers say which images are hard at this cost.
    4. Two schemes of like cost answer nearly all images alike. Candidates are screened on the images that can differ
       (:class:`Screen`), most on few of them, and the best of those on more. What then promises the largest improvement
       is evaluated.

    Without a probe the prior is a guess and the model learns from whole evaluations. Where the probe's answers are not
    those of an evaluation (QAT) the divergence is the prior, and nothing is screened.

    Parameters
    ----------
    first
        Candidates of the first screening, and images of each.
    spend
        Evaluations' worth of screening before an evaluation: if something promises to be better than the best
        evaluated, and at most, which is never more than the evaluation itself.
    dear
        Largest share of all images that the first stage of screening may take: where so many images can vary that
        screening is hardly cheaper than evaluating, there is none.
    shares
        Of all that can vary between schemes: how much of it the images of each stage of screening hold.
    sure
        Least probability of meeting the limits that a proposal must have: at first, and from half of the budget, or
        from the twelfth evaluation, on.
    worth
        Expected gain in accuracy that makes a closer look at a candidate worth its cost.
    optimism
        Standard deviations by which what is screened next is expected to be better than the model says.
    pool
        Candidates that are looked at, best by the prior; fewer where layers are many.
    """

    name = "sieve"
    walks = True

    def __init__(
        self,
        space: Space,
        cost: Cost,
        limit: float | None,
        *,
        first: tuple[int, int] = (32, 64),
        spend: tuple[float, float] = (0.6, 1.0),
        dear: float = 0.15,
        sure: tuple[float, float] = (0.15, 0.95),
        shares: tuple[float, ...] = (0.6, 0.85, 0.97),
        worth: float = 1e-6,
        optimism: float = 1.5,
        pool: int = 2000,
        **options: Any,
    ) -> None:
        super().__init__(space, cost, limit, **options)
        self.first, self.spend, self.dear, self.shares = first, spend, dear, shares
        self.sure, self.worth, self.optimism = sure, worth, optimism
        self.pool = int(np.clip(60_000 // space.dimensions, 300, pool)) if space.dimensions > 20 else pool
        self._prior: Prior | None = None
        self._images: Screen | None = None
        self._every: Vectors | None = None

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        prior = self._get_prior()
        candidates, chance = self._candidates(prior, rng)
        if not len(candidates):
            return None
        wrong = self._wrong()
        if wrong is not None and self.probe is not None and self.probe.faithful:
            self._screen(prior, candidates, chance, wrong)
        model = self._model(prior)
        if model is None:
            first: Vectors = candidates[int(np.argmax(chance > 0.5))]
            return first
        if self._images is not None:  # what was screened is known best, and there was a choice of what to screen
            begun = np.array([tuple(v) in self._images for v in candidates.tolist()])
            if begun.any():
                candidates, chance = candidates[begun], chance[begun]
        mean, spread = model.predict(candidates)
        if wrong is None:
            likely = chance > 0.5 if (chance > 0.5).any() else chance >= chance.max()
            chosen: Vectors = candidates[int(np.argmin(np.where(likely, mean, np.inf)))]
            return chosen
        better: Vectors = candidates[int(np.argmax(_improvement(wrong, mean, spread) * chance))]
        return better

    def _wrong(self) -> float | None:
        """Wrong images of the best evaluated; None while none within the limits is known."""
        best = self.best()
        return None if best is None else (1 - (best.accuracy or 0.0)) * (self.ledger.images or _UNPROBED)

    def _get_prior(self) -> Prior:
        if self._prior is None:
            if self.probe is None:
                self._prior = guessed(self.space)
            else:
                self._prior = probed(self.space, self.divergence, int(max(1, self.budget // 8) * self.probe.images))
        return self._prior

    def _candidates(self, prior: Prior, rng: np.random.Generator) -> tuple[Vectors, Floats]:
        """Unknown schemes within the limits, those that lose least by the prior first, and how probably they are."""
        if self.space.size <= ENUMERABLE:
            if self._every is None:
                every = self.space.every()
                self._every = every[np.argsort(prior(every), kind="stable")]
            found = self._every
        else:
            base = raised(self.space, near_optimal(self.space, prior, self.ratios, rng, 64), prior, self.ratios)
            best = self.best()
            centre = np.array(best.vector) if best is not None else base[0] if len(base) else self.space.corner(-1)
            found = np.concatenate([base, neighbours(self.space, centre, rng, self.pool // 2)])
            found = found[np.argsort(prior(found), kind="stable")]
        chance = chances(self.limits, found)
        late = self.ledger.cost >= min(12, self.budget / 2)
        for least in (self.sure[late], 0.5, 0.0):
            fitting = self.unknown(found[chance > least][: self.pool + len(self.history)])
            if len(fitting):
                break
        return fitting, chances(self.limits, fitting)

    def _look_at_told(self) -> Screen:
        """The screen, with the answers of every evaluated scheme: they come with its evaluation."""
        assert self.probe is not None
        if self._images is None:
            if tuple(self.space.corner(0).tolist()) not in self._known:
                self.ledger.forward_samples += self.probe.images  # the margins are those of its evaluation
            self._images = Screen(np.asarray(self.probe.margins(), dtype=np.float64))
        every = np.arange(self.probe.images)
        for o in self.history:
            if o.accuracy is not None and self.excess(o) < 0.2 and min(o.vector) < max(o.vector):
                missing = self._images.missing(o.vector, every)
                if len(missing):
                    self._images.add(o.vector, missing, self.answers(np.array([o.vector]), missing)[0])
        return self._images

    def _screen(self, prior: Prior, candidates: Vectors, chance: Floats, wrong: float) -> None:
        """Look closer at the best candidates begun, and at new ones, until one promises fewer than *wrong* images."""
        assert self.probe is not None
        screen = self._look_at_told()
        end = self.ledger.forward_samples
        if screen.stages(self.shares, 32)[0] > self.dear * self.probe.images:
            return
        enough, end = (end + int(share * self.probe.images) for share in self.spend)
        keys = [tuple(v) for v in candidates.tolist()]
        if not any(key in screen for key in keys):
            count, images = self.first
            self._ask(screen, candidates[:count], screen.order()[:images], end)
        idle, shares = 0, None
        for turn in range(24):
            model = self._model(prior, None if turn % 4 == 0 else shares)
            assert model is not None
            shares = model.shares_
            mean, spread = model.predict(candidates)
            begun = np.array([key in screen for key in keys])
            reference = min(wrong, mean[begun & (chance > 0.9)].min(initial=np.inf))
            stages, before = screen.stages(self.shares, 32), self.ledger.forward_samples
            if before >= enough and (mean[begun & (chance > 0.5)] < wrong - 0.5).any():
                return
            if turn % 2 == 0:
                gain = np.where(begun, _improvement(reference, mean, spread) * chance, 0.0)
                pick = np.argsort(-gain, kind="stable")[:12]
                pick = pick[gain[pick] > self.worth * self.probe.images]
                for stage in stages[1:]:
                    self._ask(screen, candidates[pick], screen.order()[:stage], end)
                    pick = pick[: max(1, len(pick) // 3)]
            else:
                score = np.where(begun | (chance < self.sure[0]), np.inf, mean - self.optimism * spread)
                pick = np.argsort(score, kind="stable")[: self.first[0] // 2]
                self._ask(screen, candidates[pick[np.isfinite(score[pick])]], screen.order()[: stages[0]], end)
            idle = idle + 1 if self.ledger.forward_samples == before else 0
            if idle == 2:
                return

    def _ask(self, screen: Screen, vectors: Vectors, images: NDArray[np.int64], end: int) -> None:
        """Answers of *images* that are missing, as long as all that was spent stays at most *end*."""
        for vector in vectors:
            key = tuple(vector.tolist())
            missing = screen.missing(key, images)
            if len(missing) and self.ledger.forward_samples + len(missing) <= end:
                screen.add(key, missing, self.answers(vector[None], missing)[0])

    def _model(self, prior: Prior, shares: tuple[float, ...] | None = None) -> Residual | None:
        """Of the errors of all schemes of which anything is known; None where that is fewer than two."""
        images = self.ledger.images or _UNPROBED
        known = {
            o.vector: ((1 - o.accuracy) * images, _EXACT if self.ledger.images else 1e-3 * images)
            for o in self.history
            if o.accuracy is not None
        }
        screened = [key for key in self._images if key not in known] if self._images is not None else []
        if screened:
            assert self._images is not None
            known |= dict(zip(screened, zip(*self._images.errors(screened), strict=True), strict=True))
        if len(known) < 2:
            return None
        errors, noise = np.array(list(known.values()), dtype=np.float64).T
        return Residual(self.space, prior).fit(np.array(list(known), dtype=np.int64), errors, noise, shares)
