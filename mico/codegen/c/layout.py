"""How tensors and weights lie in the memory of the firmware, as firmware/README.md and firmware/kernels/README.md say.

Activations: channel last, packed densely, element 0 in the least significant bits of the lowest byte, padded with zeros
to 4 bytes. Weights: rows padded to a whole step and interleaved in blocks of four, two and one rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.graph import Shape
from mico.quant.integer import Format, Tensor

__all__ = [
    "ModelLayouts",
    "TensorLayout",
    "load_layouts",
    "pack_tensor",
    "pack_weights",
    "pack_words",
    "save_layouts",
    "tensor_bytes",
    "unpack_tensor",
    "weight_row_steps",
    "weight_row_words",
]


@dataclass(frozen=True)
class TensorLayout:
    """Where each element of a tensor lies.

    Attributes
    ----------
    shape, format
        Of the tensor, channel first.
    order
        For a vector that is a flattened picture: ``order[i]`` is the channel-first index of the element at place *i* in
        memory. None where memory order is the vector's own, and for pictures, which are always channel last.
    """

    shape: Shape
    format: Format
    order: tuple[int, ...] | None = None

    @classmethod
    def of(cls, tensor: Tensor) -> TensorLayout:
        """Layout of a tensor that is no flattened picture."""
        return cls(tensor.shape, tensor.format)

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape))


def tensor_bytes(tensor: Tensor | TensorLayout) -> int:
    """Bytes that hold the elements, without the padding to 4."""
    return (int(np.prod(tensor.shape)) * tensor.format.bits + 7) // 8


def _codes(values: NDArray[Any], form: Format) -> NDArray[np.uint32]:
    """Stored codes of integers: two's complement in the format's width; {-1, +1} as 1 and 0."""
    if form.binary:
        return (values < 0).astype(np.uint32)
    mask = (1 << form.bits) - 1
    return (values.astype(np.int64) & mask).astype(np.uint32)


def _values(codes: NDArray[np.uint32], form: Format) -> NDArray[np.int32]:
    """Inverse of :func:`_codes`."""
    if form.binary:
        return (1 - 2 * codes.astype(np.int64)).astype(np.int32)
    values = codes.astype(np.int64)
    if form.signed:
        values = np.where(values >> (form.bits - 1), values - (1 << form.bits), values)
    return values.astype(np.int32)


def _pack(codes: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    """Words of *bits*-wide codes ``(..., n)``; n is padded with zeros to whole words."""
    per_word = 32 // bits
    pad = -codes.shape[-1] % per_word
    padded = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, pad)])
    fields = padded.reshape(*codes.shape[:-1], -1, per_word).astype(np.uint64)
    shifts = np.arange(per_word, dtype=np.uint64) * np.uint64(bits)
    words: NDArray[np.uint32] = np.bitwise_or.reduce(fields << shifts, axis=-1).astype(np.uint32)
    return words


def pack_tensor(values: NDArray[Any], tensor: Tensor | TensorLayout) -> bytes:
    """Memory of *values* (``tensor.shape``, channel first): little-endian words, so padded to 4 bytes."""
    if values.shape != tensor.shape:
        raise UsageError(f"values of shape {values.shape} do not fit {tensor.shape}")
    form = tensor.format
    if values.size and (int(values.min()) < form.qmin or int(values.max()) > form.qmax):
        raise UsageError(f"values within {int(values.min())}..{int(values.max())} do not fit {form}")
    order = tensor.order if isinstance(tensor, TensorLayout) else None
    flat = values.transpose(1, 2, 0).reshape(-1) if values.ndim == 3 else values.reshape(-1)
    if order is not None:
        flat = flat[np.asarray(order)]
    return _pack(_codes(flat, form), form.bits).astype("<u4").tobytes()


def unpack_tensor(data: bytes, tensor: Tensor | TensorLayout) -> NDArray[np.int32]:
    """Integers ``tensor.shape``, channel first, of the packed *data* (padding may be missing)."""
    size = tensor_bytes(tensor)
    if len(data) < size:
        raise UsageError(f"{len(data)} bytes cannot hold a tensor {tensor.shape} of {tensor.format}: {size} bytes")
    count, bits = int(np.prod(tensor.shape)), tensor.format.bits
    whole = np.frombuffer(data[:size] + bytes(-size % 4), dtype="<u4").astype(np.uint64)
    shifts = np.arange(32 // bits, dtype=np.uint64) * np.uint64(bits)
    codes = (whole[:, None] >> shifts & np.uint64((1 << bits) - 1)).reshape(-1)[:count].astype(np.uint32)
    values = _values(codes, tensor.format)
    order = tensor.order if isinstance(tensor, TensorLayout) else None
    if order is not None:
        logical = np.empty_like(values)
        logical[np.asarray(order)] = values
        values = logical
    if len(tensor.shape) == 3:
        channels, height, width = tensor.shape
        return np.ascontiguousarray(values.reshape(height, width, channels).transpose(2, 0, 1))
    return values.reshape(tensor.shape)


def pack_words(matrix: NDArray[Any], form: Format) -> NDArray[np.uint32]:
    """Words ``(rows, words)`` of *matrix* ``(rows, columns)``, each row padded with zeros to whole words."""
    return _pack(_codes(matrix, form), form.bits)


def weight_row_steps(columns: int, activation_bits: int, weight_bits: int) -> int:
    """Steps of a row of *columns* weights: a step is the elements in one word of the narrower operand."""
    return -(-columns // (32 // min(activation_bits, weight_bits)))


def weight_row_words(columns: int, activation_bits: int, weight_bits: int) -> int:
    """Words of weights in a padded row."""
    return weight_row_steps(columns, activation_bits, weight_bits) * max(1, weight_bits // activation_bits)


def pack_weights(matrix: NDArray[Any], form: Format, activation_bits: int) -> NDArray[np.uint32]:
    """Words of a weight matrix ``(rows, columns)`` as the kernels read them: blocks of 4, 2, 1 rows, interleaved."""
    rows, columns = matrix.shape
    words = pack_words(matrix, form)
    words = np.pad(words, [(0, 0), (0, weight_row_words(columns, activation_bits, form.bits) - words.shape[1])])
    blocks, start = [], 0
    while start < rows:
        lanes = next(n for n in (4, 2, 1) if start + n <= rows)
        blocks.append(words[start : start + lanes].T.reshape(-1))
        start += lanes
    return np.concatenate(blocks)


@dataclass(frozen=True)
class ModelLayouts:
    """Layouts of a generated model: its input, its output, and the output of every layer by layer name, in order."""

    input: TensorLayout
    output: TensorLayout
    layers: dict[str, TensorLayout]


def save_layouts(path: Path, layouts: ModelLayouts) -> None:
    """Write *layouts* as JSON."""
    layers = {name: _to_json(layout) for name, layout in layouts.layers.items()}
    data = {"input": _to_json(layouts.input), "output": _to_json(layouts.output), "layers": layers}
    path.write_text(json.dumps(data) + "\n")


def load_layouts(path: str | Path) -> ModelLayouts:
    """Inverse of :func:`save_layouts`; reads ``layout.json`` of a generated model."""
    try:
        data = json.loads(Path(path).read_text())
        layers = {name: _from_json(entry) for name, entry in data["layers"].items()}
        return ModelLayouts(_from_json(data["input"]), _from_json(data["output"]), layers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"no layouts: {error!r}", where=str(path), cure="generate the model again") from error


def _to_json(layout: TensorLayout) -> dict[str, Any]:
    order = None if layout.order is None else list(layout.order)
    return {"shape": list(layout.shape), "bits": layout.format.bits, "signed": layout.format.signed, "order": order}


def _from_json(entry: dict[str, Any]) -> TensorLayout:
    order = None if entry["order"] is None else tuple(entry["order"])
    return TensorLayout(tuple(entry["shape"]), Format(entry["bits"], entry["signed"]), order)
