"""IntegerModel: the network as integers only, the reference for all hardware.

The arithmetic is the one definition of the project (see README.md beside this file); ``IntegerModel.run`` computes it
in numpy, the C kernels and the RTL compute the same bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
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
    def max_abs(self) -> int:
        """Largest magnitude of a value."""
        return max(-self.qmin, self.qmax)

    @property
    def dtype(self) -> type[np.uint8] | type[np.int8] | type[np.int32]:
        """The numpy type that holds unpacked values."""
        if self.bits == 32:
            return np.int32
        return np.int8 if self.signed else np.uint8

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
        int32, positive, below 2^31. Convolution and linear: one per output channel ``(OC,)``. Add, concat: one per
        input. Others: ``(1,)``.
    shift
        int32 in 1..62; one per output channel for convolution and linear, one per input for concat, else ``(1,)``: an
        add sums its 64-bit products before the one rounding.
    """

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]


@dataclass(frozen=True)
class IntegerOp:
    """One operation of the integer program, a layer of the firmware with its own cycle count.

    ``kind`` is an :class:`mico.graph.OpKind` or ``"requant"`` (a tensor rescaled to another format; also what a lone
    ReLU becomes). Tensors are named as in the Graph; the tensor that a requant makes for layer L is ``L__in``.
    ``weight`` is int8 with values of ``weight_format``; ``bias`` is int32. Max-pool and flatten have no ``requant`` and
    keep format and scale. Average pools put the division by the window's size into their multiplier.
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

    def pair(self, name: str) -> tuple[int, int]:
        """Attribute *name* as (H, W)."""
        value = self.attrs[name]
        return (value, value) if isinstance(value, int) else value

    def number(self, name: str) -> int:
        """Attribute *name* as one integer."""
        value = self.attrs[name]
        if not isinstance(value, int):
            raise TypeError(f"attribute {name!r} of {self.name!r} is {value!r}, not one integer")
        return value


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

    def run(self, x: NDArray[Any], *, batch: int = 256) -> NDArray[np.int32]:
        """Logits int32 ``(N, outputs)`` of raw 8-bit inputs *x* ``(N, C, H, W)``: :func:`mico.quant.execute.run`."""
        from mico.quant.execute import run

        return run(self, x, batch=batch)

    def digest(self) -> str:
        """Hex SHA-256 over everything: the same digest, the same integers everywhere."""
        description, arrays = _flatten(self)
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
        for key in sorted(arrays):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(arrays[key]).astype(arrays[key].dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write to *path* as npz: arrays and a JSON description, no pickle."""
        description, arrays = _flatten(self)
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, description=np.array(json.dumps(description)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> IntegerModel:
        """Inverse of :meth:`save`; UsageError if the file is not one, QuantError if its program breaks the contract."""
        from mico.quant.check import check

        try:
            with np.load(Path(path), allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            model = _unflatten(json.loads(str(arrays.pop("description"))), arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            raise UsageError(f"not a saved IntegerModel: {error}", where=str(path)) from error
        check(model)
        return model


_VERSION = 1


def _flatten(model: IntegerModel) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Description in JSON types, and the arrays that it refers to by position: ``ops.3.weight``."""
    arrays: dict[str, NDArray[Any]] = {}
    ops = []
    for index, op in enumerate(model.ops):
        parts = {"weight": op.weight, "bias": op.bias}
        if op.requant is not None:
            parts |= {"multiplier": op.requant.multiplier, "shift": op.requant.shift}
        arrays |= {f"ops.{index}.{key}": array for key, array in parts.items() if array is not None}
        ops.append(
            {
                "name": op.name,
                "kind": str(op.kind),
                "inputs": list(op.inputs),
                "output": op.output,
                "attrs": {key: list(v) if isinstance(v, tuple) else v for key, v in sorted(op.attrs.items())},
                "weight_format": None if op.weight_format is None else [op.weight_format.bits, op.weight_format.signed],
            }
        )
    tensors = [
        {
            "name": t.name,
            "shape": list(t.shape),
            "bits": t.format.bits,
            "signed": t.format.signed,
            "scale": float(t.scale).hex(),
        }
        for t in model.tensors.values()
    ]
    description = {
        "version": _VERSION,
        "name": model.name,
        "input": model.input,
        "output": model.output,
        "tensors": tensors,
        "ops": ops,
    }
    return description, arrays


def _unflatten(description: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> IntegerModel:
    if description["version"] != _VERSION:
        raise ValueError(f"version {description['version']}, expected {_VERSION}")
    tensors = {
        t["name"]: Tensor(t["name"], tuple(t["shape"]), Format(t["bits"], t["signed"]), float.fromhex(t["scale"]))
        for t in description["tensors"]
    }
    ops = []
    for index, op in enumerate(description["ops"]):
        own = {key: arrays.get(f"ops.{index}.{key}") for key in ("weight", "bias", "multiplier", "shift")}
        requant = None
        if own["multiplier"] is not None and own["shift"] is not None:
            requant = Requant(own["multiplier"], own["shift"])
        kinds = [kind.value for kind in OpKind]
        ops.append(
            IntegerOp(
                name=op["name"],
                kind=OpKind(op["kind"]) if op["kind"] in kinds else op["kind"],
                inputs=tuple(op["inputs"]),
                output=op["output"],
                attrs={key: tuple(v) if isinstance(v, list) else v for key, v in op["attrs"].items()},
                weight=own["weight"],
                weight_format=None if op["weight_format"] is None else Format(*op["weight_format"]),
                bias=own["bias"],
                requant=requant,
            )
        )
    return IntegerModel(description["name"], description["input"], description["output"], tensors, tuple(ops))
