"""The schemes that a search chooses from."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.graph import Graph
from mico.quant.scheme import BITS, Scheme

__all__ = ["Space", "Vectors"]

Vectors = NDArray[np.int64]
"""Schemes ``(N, 2 L)``: weight bits of every layer, then activation bits."""


@dataclass(frozen=True)
class Space:
    """All schemes of a network: weight and activation bits of each layer, chosen separately.

    Attributes
    ----------
    names, macs
        Of the quantisable layers, in network order.
    weight_bits, activation_bits
        Widths to choose from, widest first.
    """

    names: tuple[str, ...]
    macs: tuple[int, ...]
    weight_bits: tuple[int, ...] = BITS
    activation_bits: tuple[int, ...] = BITS

    def __post_init__(self) -> None:
        if not self.names:
            raise UsageError("the network has no convolution or linear layer: there is nothing to search")
        for bits in (self.weight_bits, self.activation_bits):
            if not bits or set(bits) - set(BITS) or tuple(sorted(set(bits), reverse=True)) != tuple(bits):
                raise UsageError(f"bits to choose from must be of {BITS}, widest first, not {bits}")

    @classmethod
    def of(cls, graph: Graph, weight_bits: tuple[int, ...] = BITS, activation_bits: tuple[int, ...] = BITS) -> Space:
        return cls(graph.layer_names, tuple(layer.macs for layer in graph.quantisable), weight_bits, activation_bits)

    @property
    def dimensions(self) -> int:
        return 2 * len(self.names)

    @property
    def size(self) -> int:
        """Number of schemes."""
        return int((len(self.weight_bits) * len(self.activation_bits)) ** len(self.names))

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """Widths of every entry of a vector, widest first."""
        return (self.weight_bits,) * len(self.names) + (self.activation_bits,) * len(self.names)

    def corner(self, at: int) -> Vectors:
        """All entries at their widest (``at=0``) or narrowest (``at=-1``), ``(2 L,)``."""
        return np.array([bits[at] for bits in self.choices], dtype=np.int64)

    def decode(self, index: Vectors) -> Vectors:
        """Widths of the given positions in ``choices``, elementwise on ``(N, 2 L)``."""
        out = np.empty_like(index)
        for i, bits in enumerate(self.choices):
            out[:, i] = np.asarray(bits)[index[:, i]]
        return out

    def encode(self, vectors: Vectors) -> Vectors:
        """Positions in ``choices`` of the widths, elementwise on ``(N, 2 L)``: the inverse of :meth:`decode`."""
        table = np.zeros(max(BITS) + 1, dtype=np.int64)
        out = np.empty_like(vectors)
        half = len(self.names)
        for part, bits in ((slice(0, half), self.weight_bits), (slice(half, None), self.activation_bits)):
            table[list(bits)] = np.arange(len(bits))
            out[:, part] = table[vectors[:, part]]
        return out

    def every(self) -> Vectors:
        """All schemes, ``(size, 2 L)``, in C order of ``choices``: for a space known to be small."""
        sizes = [len(bits) for bits in self.choices]
        return self.decode(np.indices(sizes, dtype=np.int64).reshape(len(sizes), -1).T.copy())

    def singles(self) -> list[tuple[int, int]]:
        """``(entry, bits)`` of every way to narrow a single entry of the widest scheme."""
        return list(itertools.chain.from_iterable(((i, b) for b in bits[1:]) for i, bits in enumerate(self.choices)))

    def lowered(self, moves: list[tuple[int, int]]) -> Vectors:
        """The widest scheme with one entry changed, a row for each of *moves* ``(entry, bits)``."""
        rows = np.repeat(self.corner(0)[None], len(moves), axis=0)
        for row, (entry, bits) in zip(rows, moves, strict=True):
            row[entry] = bits
        return rows

    def scheme(self, vector: Vectors) -> Scheme:
        return Scheme.from_vector(self.names, [int(v) for v in vector])
