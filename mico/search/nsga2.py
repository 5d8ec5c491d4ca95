"""NSGA-II of Optuna: evolution with constrained dominance."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna

from mico.search.base import Cost, Observation, Searcher, Space, Vectors
from mico.search.sampling import anything
from mico.search.tpe import distributions, trial_of

__all__ = ["NsgaSearch"]


class NsgaSearch(Searcher):
    """What is predicted not to fit is no evaluation: it is told to the evolution with its excess, and another is drawn.

    Parameters
    ----------
    population
        Of a generation.
    tries
        Schemes drawn for one proposal; then a random one that fits is taken.
    """

    name = "nsga2"
    walks = True

    def __init__(
        self,
        space: Space,
        cost: Cost,
        limit: float | None,
        *,
        population: int = 12,
        tries: int = 20,
        **options: Any,
    ) -> None:
        super().__init__(space, cost, limit, **options)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=self.seed)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._space = distributions(self)
        self._trial: Any = None
        self._tries = tries

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        told = {o.vector: o.accuracy for o in self.history}
        for _ in range(self._tries):
            trial = self._study.ask(self._space)
            index = np.array([[trial.params[f"e{i}"] for i in range(self.space.dimensions)]], dtype=np.int64)
            vector: Vectors = self.space.decode(index)[0]
            key = tuple(vector.tolist())
            excess = float(self.ratios(vector[None])[0]) - 1
            if excess <= 0 and key not in told:
                self._trial = (trial, key)
                return vector
            self._tell(trial, (told.get(key) or 0.0) if excess <= 0 else 0.0, excess)
        self._trial = None
        return anything(self, rng)

    def _tell(self, trial: Any, value: float, excess: float) -> None:
        trial.set_constraint("limits", excess)
        self._study.tell(trial, value)

    def _learn(self, observation: Observation) -> None:
        value = observation.accuracy or 0.0
        excess = min(self.excess(observation), 1.0)
        asked, self._trial = self._trial, None
        if asked is not None and asked[1] == observation.vector:
            self._tell(asked[0], value, excess)
            return
        if asked is not None:
            self._study.tell(asked[0], state=optuna.trial.TrialState.FAIL)
        self._study.add_trial(trial_of(self, np.array(observation.vector), value, excess))
