"""What the calibration images taught about the weights of a layer, beside its float weights."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError

__all__ = ["Refined"]

Pair = tuple[int, int]
"""Bits of the weights, bits of the activations."""


@dataclass(frozen=True)
class Refined:
    """Integers of one layer's weights at every width, with the scales and bias shifts that fit its own inputs.

    Attributes
    ----------
    integers
        int8, in the shape of the weights, by bits of the weights.
    scales
        float32 ``(OC,)`` by bits of weights and activations.
    shifts
        float32 ``(OC,)``, added to the bias, by bits of weights and activations.
    """

    integers: Mapping[int, NDArray[np.int8]]
    scales: Mapping[Pair, NDArray[np.float32]]
    shifts: Mapping[Pair, NDArray[np.float32]]

    def digest(self) -> str:
        """Hex SHA-256 of all numbers."""
        digest = hashlib.sha256()
        for key, array in self._arrays().items():
            digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON types only: every array as shape and little-endian bytes in base 64."""
        return {
            key: [list(array.shape), base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()]
            for key, array in self._arrays().items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Refined:
        """Inverse of :meth:`to_json`."""
        integers: dict[int, NDArray[np.int8]] = {}
        parts: dict[str, dict[Pair, NDArray[np.float32]]] = {"scale": {}, "shift": {}}
        try:
            for key, (shape, text) in data.items():
                kind, *bits = key.split(" ")
                raw = base64.b64decode(text, validate=True)
                if kind == "integers":
                    integers[int(bits[0])] = np.frombuffer(raw, "<i1").reshape(shape)
                else:
                    parts[kind][int(bits[0]), int(bits[1])] = np.frombuffer(raw, "<f4").reshape(shape)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UsageError(f"no refined weights: {error!r}", cure="write them with Calibration.to_json") from error
        return cls(integers, parts["scale"], parts["shift"])

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {
            **{f"integers {bits}": array for bits, array in sorted(self.integers.items())},
            **{f"scale {w} {a}": array for (w, a), array in sorted(self.scales.items())},
            **{f"shift {w} {a}": array for (w, a), array in sorted(self.shifts.items())},
        }
