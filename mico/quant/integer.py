"""IntegerModel: the network as integers only, the reference for all hardware.

The arithmetic is the one definition of the project (see README.md beside this file); ``IntegerModel.run`` computes it
in numpy, the C kernels and the RTL compute the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mico.graph import OpKind, Shape

__all__ = ["Format", "IntegerModel", "IntegerOp", "Requant", "Tensor"]


@dataclass(frozen=True)
class Format:
    """Number format of a tensor: *bits* in {32, 8, 4, 2, 1}; 1 signed bit is {-1, +1}, 1 unsigned bit is {0, 1}."""

    bits: int
    signed: bool

    @property
    def qmin(self) -> int:
        if not self.signed:
            return 0
        return -1 if self.bits == 1 else -(1 << (self.bits - 1))

    @property
    def qmax(self) -> int:
        if not self.signed:
            return (1 << self.bits) - 1
        return 1 if self.bits == 1 else (1 << (self.bits - 1)) - 1

    @property
    def binary(self) -> bool:
        """Whether the values are {-1, +1}."""
        return self.signed and self.bits == 1

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}"


@dataclass(frozen=True)
class Tensor:
    """A tensor between operations. Real value = scale * integer. Shape channel first, without batch."""

    name: str
    shape: Shape
    format: Format
    scale: float


@dataclass(frozen=True)
class Requant:
    """``y = clamp((acc * multiplier + 2^(shift-1)) >> shift)``: 64-bit product, arithmetic shift, half up.

    A {-1, +1} output takes the sign instead: +1 where ``acc * multiplier >= 0``.

    Attributes
    ----------
    multiplier
        int32, positive, below 2^31. Convolution and linear: one per output channel ``(OC,)``. Add, concat: one per input.
        Others: ``(1,)``.
    shift
        int32 in 1..62; one per output channel for convolution and linear, one per input for concat, else ``(1,)``: an add sums
        its 64-bit products before the one rounding.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]


@dataclass(frozen=True)
class IntegerOp:
    """One operation of the integer program, a layer of the firmware with its own cycle count.

    ``kind`` is an :class:`mico.graph.OpKind` or ``"requant"`` (a tensor rescaled to another format; also what a lone ReLU
    becomes). Tensors are named as in the Graph; the tensor that a requant makes for layer L is ``L__in``.
    ``weight`` is int8 with values of ``weight_format``; ``bias`` is int32. Max-pool and flatten have no ``requant`` and keep
    format and scale. Average pools put the division by the window's size into their multiplier.
    """

    name: str
    kind: OpKind | str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, tuple[int, int] | int] = field(default_factory=dict)
    weight: NDArray[np.int8] | None = None
    weight_format: Format | None = None
    bias: NDArray[np.int32] | None = None
    requant: Requant | None = None


@dataclass(frozen=True)
class IntegerModel:
    """A network of integers.

    Attributes
    ----------
    name
        Name of the graph.
    input, output
        Names of the input tensor (8 bits) and of the output tensor (int32 logits, one common scale).
    tensors
        All tensors by name.
    ops
        Operations in execution order.
    """

    name: str
    input: str
    output: str
    tensors: Mapping[str, Tensor]
    ops: tuple[IntegerOp, ...]
