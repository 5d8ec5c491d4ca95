"""Active profiling: measure what tells most of a network's latency, until it is known well enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hil.store import Measurement
from mico.latency.active import next_scheme
from mico.latency.network import NetworkLatency
from mico.quant.scheme import BITS, Scheme

__all__ = ["Step", "believed_error", "profile"]

_SCHEMES = 512


@dataclass(frozen=True)
class Step:
    """One measurement: what was predicted of it, and how far off the others are believed to be after it.

    *error* is the mean half width of the 90 % intervals of random schemes, over their cycles.
    """

    scheme: Scheme
    predicted: float | None
    measured: int
    cached: bool
    error: float


def profile(
    latency: NetworkLatency,
    measure: Callable[[Scheme], Measurement],
    *,
    runs: int,
    weight_bits: Sequence[int] = BITS,
    activation_bits: Sequence[int] = BITS,
    until: float = 0.0,
) -> Iterator[Step]:
    """Measure and observe up to *runs* schemes, each the one that tells most (:func:`mico.latency.active.next_scheme`).

    Parameters
    ----------
    measure
        Measures a scheme, or looks it up.
    weight_bits, activation_bits
        Widths that are of interest.
    until
        Stop once :func:`believed_error` is below.
    """
    for _ in range(runs):
        scheme = next_scheme(latency, weight_bits, activation_bits)
        if scheme is None:
            return
        known = latency.model is not None or bool(latency.samples())
        predicted = float(latency.predict(np.array([scheme.vector()]))[0]) if known else None
        found = measure(scheme)
        latency.observe(scheme, [(layer.name, layer.cycles) for layer in found.layers])
        error = believed_error(latency, weight_bits, activation_bits)
        yield Step(scheme, predicted, found.cycles, found.cached, error)
        if error < until:
            return


def believed_error(
    latency: NetworkLatency, weight_bits: Sequence[int] = BITS, activation_bits: Sequence[int] = BITS, *, seed: int = 0
) -> float:
    """Mean half width of the 90 % intervals of random schemes, over their cycles."""
    rng, half = np.random.default_rng(seed), len(latency.graph.quantisable)
    weights = rng.choice(list(weight_bits), (_SCHEMES, half))
    vectors = np.column_stack([weights, rng.choice(list(activation_bits), (_SCHEMES, half))])
    low, high = latency.predict_interval(vectors)
    return float(np.mean((high - low) / 2 / latency.predict(vectors)))
