"""What a layer's measured pairs of bits say of the pairs that were not measured: a Gaussian process over bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

__all__ = ["Belief", "Cells", "PairProcess"]

_LENGTH = 1.5  # of the kernels, in powers of two of the bits
_FLOOR = 1e-8  # of variances: relative errors of 0.01 %
_MOST_LAYERS = 120
_CHUNK = 512  # cells at a time, for the sake of memory
_ACROSS = (
    0.5  # variance that layers of different shapes share where an engine does alike for both, of that within a shape
)
_FREEDOM = 4.0  # of Student's t: how freely a layer may differ from the others in how far off it is


@dataclass(frozen=True)
class Cells:
    """Layers at bits.

    Attributes
    ----------
    shape
        ``(n,)``: a number for each shape of layer.
    bits
        ``(n, 3)``: weight, activation, output.
    work
        ``(n, F)``: what an engine does there, in units in which a difference of one is much; None where nothing is
        known of that, so that layers of different shapes say nothing of each other.
    """

    shape: NDArray[np.int64]
    bits: NDArray[np.int64]
    work: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, keep: NDArray[Any] | slice) -> Cells:
        return Cells(self.shape[keep], self.bits[keep], None if self.work is None else self.work[keep])


class Belief(NamedTuple):
    """Mean and scale ``(n,)`` of errors."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]


@dataclass(frozen=True)
class PairProcess:
    """Logarithm of measured over predicted cycles, by layer and bits.

    In units of how far off predictions of a layer are believed to be. Errors have a part that all pairs of bits share,
    parts that neighbouring widths of weights, of activations and of outputs share, one that neighbouring pairs share,
    and noise; and one that layers of other shapes share, as far as an engine does alike for both. The errors of a layer
    follow Student's t, so that a few bad layers do not set the scale of all.

    Attributes
    ----------
    shared, weight, activation, output, pair, noise
        Variances of these parts.
    """

    shared: float = 0.04
    weight: float = 0.01
    activation: float = 0.01
    output: float = 0.002
    pair: float = 0.005
    noise: float = 1e-6
    _names: tuple[str, ...] = field(
        default=("shared", "weight", "activation", "output", "pair", "noise"), repr=False, init=False, compare=False
    )

    @property
    def variances(self) -> NDArray[np.float64]:
        return np.array([getattr(self, name) for name in self._names])

    def kernel(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
        """Covariance ``(n, m)`` of the errors of cells *a* ``(n, 3)`` and *b* ``(m, 3)``, noise left out."""
        return np.tensordot(self.variances[:5], _parts(a, b), axes=1)

    def prior_sd(self) -> float:
        """Standard deviation of the error of a cell of which nothing was measured."""
        return float(np.sqrt((1 + _ACROSS) * self.variances.sum()))

    def posterior(self, known: Cells, errors: NDArray[np.float64], at: Cells) -> Belief:
        """What is believed of cells *at*, after cells *known* turned out to be *errors* ``(n,)`` off."""
        prior = (1.0 if at.work is None else 1 + _ACROSS) * float(self.variances.sum())
        if len(known) == 0:
            return Belief(np.zeros(len(at)), np.full(len(at), np.sqrt(prior)))
        if at.work is None:  # shapes say nothing of each other
            mean, sd = np.zeros(len(at)), np.full(len(at), np.sqrt(prior))
            for shape in np.unique(known.shape):
                own, there = known.shape == shape, np.flatnonzero(at.shape == shape)
                mean[there], sd[there] = self._solved(known[own], errors[own], at[there], prior)
            return Belief(mean, sd)
        return self._solved(known, errors, at, prior)

    def _solved(self, known: Cells, errors: NDArray[np.float64], at: Cells, prior: float) -> Belief:
        among = self._between(known, known) + self.noise * np.eye(len(known))
        factor = cho_factor(among)
        weights = cho_solve(factor, errors)
        mean, variance, scale = np.empty(len(at)), np.empty(len(at)), np.ones(len(at))
        for start in range(0, len(at), _CHUNK):
            part = slice(start, start + _CHUNK)
            cross = self._between(at[part], known)
            mean[part] = cross @ weights
            variance[part] = np.maximum(prior - (cho_solve(factor, cross.T).T * cross).sum(axis=1), self.noise)
        for shape in np.unique(known.shape):
            own = known.shape == shape
            surprise = float(errors[own] @ np.linalg.solve(among[np.ix_(own, own)], errors[own]))
            scale[at.shape == shape] = (_FREEDOM + surprise) / (_FREEDOM + own.sum())
        return Belief(mean, np.sqrt(scale * variance))

    def _between(self, a: Cells, b: Cells) -> NDArray[np.float64]:
        """Covariance ``(n, m)``: within a shape, and across shapes where an engine does alike for both."""
        parts = _parts(a.bits, b.bits)
        within = np.tensordot(self.variances[:5], parts, axes=1) * (a.shape[:, None] == b.shape[None, :])
        if a.work is None or b.work is None:
            return np.asarray(within)
        squares = (a.work**2).sum(axis=1)[:, None] + (b.work**2).sum(axis=1)[None, :] - 2 * a.work @ b.work.T
        alike = np.exp(-0.5 * np.maximum(squares, 0)) * parts[1] * parts[2] * parts[3]
        return np.asarray(within + _ACROSS * self.variances.sum() * alike)

    @classmethod
    def fit(
        cls, bits: Sequence[NDArray[np.int64]], errors: Sequence[NDArray[np.float64]], *, seed: int = 0
    ) -> PairProcess:
        """The variances under which the errors of many layers are likeliest.

        Parameters
        ----------
        bits, errors
            Of each layer ``(n_i, 3)`` and ``(n_i,)``; errors are of predictions that saw nothing of the layer's shape.
        """
        order = np.random.default_rng(seed).permutation(len(bits))[:_MOST_LAYERS]
        layers = [(_parts(bits[i], bits[i]), np.asarray(errors[i], float)) for i in order]
        alike: dict[bytes, tuple[NDArray[np.float64], list[NDArray[np.float64]]]] = {}
        for parts, error in layers:  # layers that were measured at the same bits share their decomposition
            alike.setdefault(parts.tobytes(), (parts, []))[1].append(error)
        groups = [(parts, np.array(rows)) for parts, rows in alike.values()]

        def cost(log: NDArray[np.float64]) -> float:
            variances, total = np.exp(log), 0.0
            for parts, rows in groups:
                matrix = np.tensordot(variances[:5], parts, axes=1) + variances[5] * np.eye(rows.shape[1])
                factor = np.linalg.cholesky(matrix + 1e-12 * np.eye(len(matrix)))
                half = np.linalg.solve(factor, rows.T)
                size = rows.shape[1]
                surprise = (half * half).sum(axis=0)
                total += float(((_FREEDOM + size) / 2 * np.log1p(surprise / _FREEDOM)).sum())
                total += len(rows) * float(np.log(np.diag(factor)).sum())
            return total

        size = max(float(np.mean(np.concatenate([np.square(error) for error in errors]))), 100 * _FLOOR)
        start = np.log(size * np.array([0.4, 0.2, 0.2, 0.05, 0.1, 0.05]))
        bounds = [(np.log(_FLOOR * size), np.log(10 * size))] * len(start)
        found = minimize(cost, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
        return cls(*np.exp(found.x).tolist())

    def to_json(self) -> dict[str, float]:
        return {name: float(getattr(self, name)) for name in self._names}


def _parts(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Correlations ``(5, n, m)``: shared, weight, activation, output, pair."""
    distance = np.log2(np.asarray(a, float))[:, None, :] - np.log2(np.asarray(b, float))[None, :, :]
    near = np.exp(-0.5 * (distance / _LENGTH) ** 2)
    same = np.ones(near.shape[:2])
    return np.stack([same, near[..., 0], near[..., 1], near[..., 2], near[..., 0] * near[..., 1]])
