"""Tree-structured Parzen estimator of Optuna, with its treatment of constraints."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna

from mico.search.base import Searcher, Vectors
from mico.search.sampling import anything, repaired

__all__ = ["TpeSearch", "distributions", "trial_of"]

_TRIES = 10


def distributions(searcher: Searcher) -> dict[str, Any]:
    """An Optuna parameter for every entry: the position of its width, in order."""
    return {
        f"e{i}": optuna.distributions.IntDistribution(0, len(bits) - 1) for i, bits in enumerate(searcher.space.choices)
    }


def trial_of(searcher: Searcher, vector: Vectors, accuracy: float, excess: float) -> Any:
    """A finished Optuna trial: its value is the accuracy, its one constraint by how much the limits are exceeded."""
    index = searcher.space.encode(np.asarray(vector)[None])[0]
    return optuna.trial.create_trial(
        params={f"e{i}": int(k) for i, k in enumerate(index)},
        distributions=distributions(searcher),
        value=accuracy,
        constraints={"limits": excess},
    )


class TpeSearch(Searcher):
    """Multivariate TPE, seeded; what does not fit by prediction is drawn again, then narrowed until it does."""

    name = "tpe"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=int(rng.integers(2**31)),
            multivariate=True,
            n_startup_trials=8,
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for o in self.history:
            if o.accuracy is not None and o.cycles is not None:
                study.add_trial(trial_of(self, np.array(o.vector), o.accuracy, self.excess(o)))
        space = distributions(self)
        for attempt in range(_TRIES + 20):
            trial = study.ask(space)
            index = np.array([[trial.params[f"e{i}"] for i in range(self.space.dimensions)]], dtype=np.int64)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            vector: Vectors = self.space.decode(index)[0]
            if not self.feasible(vector[None])[0]:
                if attempt < _TRIES:
                    continue
                vector = repaired(self, vector, rng)
            if tuple(vector.tolist()) not in self._known and self.feasible(vector[None])[0]:
                return vector
        return anything(self, rng)
