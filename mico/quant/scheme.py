"""Bit widths of every quantisable layer: what a search chooses and everything else consumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mico.errors import UsageError

__all__ = ["BITS", "LayerBits", "Scheme"]

BITS: tuple[int, ...] = (8, 4, 2, 1)
"""Widths that weights and activations may have, widest first."""


@dataclass(frozen=True, order=True)
class LayerBits:
    """Bits of one layer's weights and of its *input* activations."""

    weight: int
    activation: int

    def __post_init__(self) -> None:
        for name, bits in (("weight", self.weight), ("activation", self.activation)):
            if bits not in BITS:
                raise UsageError(f"{name} bits must be one of {BITS}, not {bits!r}")

    def __str__(self) -> str:
        return f"w{self.weight}a{self.activation}"


class Scheme(Mapping[str, LayerBits]):
    """Weight and activation bits of every quantisable layer, in network order. Immutable and hashable."""

    def __init__(self, layers: Mapping[str, LayerBits]) -> None:
        self._layers = dict(layers)

    @classmethod
    def uniform(cls, names: list[str] | tuple[str, ...], weight: int, activation: int | None = None) -> Scheme:
        """The same bits for every layer of *names*; activations as weights unless given."""
        bits = LayerBits(weight, weight if activation is None else activation)
        return cls({name: bits for name in names})

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, int]]) -> Scheme:
        """Inverse of :meth:`to_json`: ``{"conv1": {"w": 8, "a": 4}, ...}``."""
        try:
            return cls({name: LayerBits(int(bits["w"]), int(bits["a"])) for name, bits in data.items()})
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"not a scheme: {error!r}", cure='expected {"layer": {"w": bits, "a": bits}, ...}'
            ) from error

    @classmethod
    def from_vector(cls, names: list[str] | tuple[str, ...], vector: list[int] | tuple[int, ...]) -> Scheme:
        """Inverse of :meth:`vector`."""
        n = len(names)
        if len(vector) != 2 * n:
            raise UsageError(f"a scheme of {n} layers has {2 * n} entries, not {len(vector)}")
        return cls({name: LayerBits(int(vector[i]), int(vector[n + i])) for i, name in enumerate(names)})

    def to_json(self) -> dict[str, dict[str, int]]:
        return {name: {"w": bits.weight, "a": bits.activation} for name, bits in self._layers.items()}

    def vector(self) -> tuple[int, ...]:
        """All weight bits, then all activation bits, in network order: length 2 L."""
        values = list(self._layers.values())
        return tuple(b.weight for b in values) + tuple(b.activation for b in values)

    @property
    def min_bits(self) -> int:
        return min(self.vector())

    def digest(self) -> str:
        """Hex SHA-256 over names and bits."""
        return hashlib.sha256(json.dumps(list(self.to_json().items())).encode()).hexdigest()

    def __getitem__(self, name: str) -> LayerBits:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __hash__(self) -> int:
        return hash(tuple(self._layers.items()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scheme):
            return NotImplemented
        return list(self._layers.items()) == list(other._layers.items())

    def __str__(self) -> str:
        return " ".join(f"{name}:{bits}" for name, bits in self._layers.items())

    def __repr__(self) -> str:
        return f"Scheme({self})"
