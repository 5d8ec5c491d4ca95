"""Bayesian optimisation with a Gaussian process of scikit-learn: expected improvement among schemes that fit."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from mico.search.base import Searcher, Vectors
from mico.search.sampling import anything, random_fitting, spread

__all__ = ["GpSearch"]

_START = 8


class GpSearch(Searcher):
    """Matern 5/2 on the logarithms of the widths, one length; improvement over the best that met the limits.

    Eight random schemes that fit come first. Candidates are random schemes that fit, and changes of the best.
    """

    name = "gp"

    def _propose(self, rng: np.random.Generator) -> Vectors | None:
        fitting = random_fitting(self, rng, 1000)
        measured = [o for o in self.history if o.accuracy is not None]
        within = [o for o in measured if self.meets(o)]
        if not len(fitting):
            return anything(self, rng)
        if len(measured) < _START or not within:
            start: Vectors = fitting[rng.integers(len(fitting))]
            return start
        parents = sorted(within, key=lambda o: -(o.accuracy or 0.0))[:5]
        rows = np.array([o.vector for o in parents] * 60, dtype=np.int64)
        mutate = rng.uniform(size=rows.shape) < 2 / self.space.dimensions
        rows = np.where(mutate, spread(self.space, len(rows), rng), rows)
        rows = np.concatenate([fitting, rows[self.feasible(rows)]])
        rows = self.unknown(rows)
        x = np.log2(np.array([o.vector for o in measured], dtype=np.float64))
        y = np.array([o.accuracy for o in measured], dtype=np.float64)
        kernel = ConstantKernel(1.0) * Matern(2.0, (0.3, 30.0), nu=2.5) + WhiteKernel(1e-3, (1e-6, 1.0))
        model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=self.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        mean, sd = model.predict(np.log2(rows.astype(np.float64)), return_std=True)
        best = max(o.accuracy or 0.0 for o in within)
        z = (mean - best) / np.maximum(sd, 1e-12)
        improvement = (mean - best) * norm.cdf(z) + sd * norm.pdf(z)
        best_row: Vectors = rows[int(np.argmax(improvement))]
        return best_row
