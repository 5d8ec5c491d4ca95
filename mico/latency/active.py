"""Which bits to measure next: those that tell most of what is not known yet.

One program measures one pair of bits in every layer. Each layer's pair is the one whose measurement lowers the
uncertainty of the layer's other pairs most; layers of one shape choose one after another, so that they share the work.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.latency.correction import PairProcess
from mico.latency.features import shape_of
from mico.latency.network import NetworkLatency
from mico.quant.scheme import BITS, LayerBits, Scheme

__all__ = ["next_scheme", "spread_pairs"]

_PAIRS = [(w, a) for w in BITS for a in BITS]


def spread_pairs(process: PairProcess, count: int, pairs: Sequence[tuple[int, int]] = _PAIRS) -> list[tuple[int, int]]:
    """The *count* of *pairs* (weight, activation) after which least is left unknown, chosen one after another."""
    cells = np.array([(w, a, a) for w, a in pairs])
    chosen: list[int] = []
    for _ in range(count):
        left = [i for i in range(len(cells)) if i not in chosen]
        chosen.append(min(left, key=lambda i: _unknown(process, cells[[*chosen, i]], cells)))
    return [pairs[i] for i in chosen]


def _unknown(process: PairProcess, known: NDArray[np.int64], cells: NDArray[np.int64]) -> float:
    """Sum of the variances of *cells* once *known* are measured."""
    kernel = process.kernel(known, known) + process.noise * np.eye(len(known))
    cross = process.kernel(cells, known)
    return float(process.variances.sum() * len(cells) - (cross * np.linalg.solve(kernel, cross.T).T).sum())


def next_scheme(
    latency: NetworkLatency,
    weight_bits: Sequence[int] = BITS,
    activation_bits: Sequence[int] = BITS,
    *,
    process: PairProcess | None = None,
) -> Scheme | None:
    """The scheme to measure next; None where every layer was measured at all of its pairs.

    Parameters
    ----------
    weight_bits, activation_bits
        Widths that are of interest.
    process
        Of errors within a layer, by default the model's.

    Raises
    ------
    UsageError
        No widths.
    """
    if not weight_bits or not activation_bits:
        raise UsageError("no widths to choose from", where="active profiling")
    process = process or (latency.model.process if latency.model is not None else PairProcess())
    pairs = [(w, a) for w in weight_bits for a in activation_bits]
    cells = np.array([(w, a, a) for w, a in pairs])
    known: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    own: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for sample in latency.samples():
        known[sample.shape].append((sample.bits.weight, sample.bits.activation, sample.output_bits))
        own[sample.layer].add((sample.bits.weight, sample.bits.activation))
    chosen: dict[str, LayerBits] = {}
    fresh = False
    for layer in latency.graph.quantisable:
        before = known[shape_of(layer)]
        left = [i for i, pair in enumerate(pairs) if pair not in own[layer.name]]
        fresh = fresh or bool(left)
        best = min(
            left or range(len(pairs)),
            key=lambda i: _unknown(process, np.array([*before, tuple(cells[i])]), cells),
        )
        chosen[layer.name] = LayerBits(*pairs[best])
        before.append(tuple(cells[best].tolist()))
    if not fresh:
        return None
    return Scheme(chosen)
