"""How tensors, weights and parameters lie in memory (``rtl/bitfusion/README.md``, "Data in memory")."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.machine import Machine
from mico.quant.integer import Format

__all__ = ["Place", "element_values", "pack_codes", "pack_params", "pack_picture", "pack_weights", "unpack_picture"]


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: channel last, each pixel padded to whole bytes, images at multiples of a beat.

    Attributes
    ----------
    offset
        Bytes from the start of the memory window.
    channels, height, width
        A vector is a picture of one pixel; a flattened picture is still a picture.
    format
        Of the elements.
    pixel, image
        Bytes from one pixel, one image to the next. Rows are dense: *width* pixels.
    """

    offset: int
    channels: int
    height: int
    width: int
    format: Format
    pixel: int
    image: int

    @classmethod
    def of(cls, shape: tuple[int, ...], form: Format, beat: int) -> Place:
        """For *shape* (channel first) at offset 0."""
        channels, height, width = shape if len(shape) == 3 else (int(np.prod(shape)), 1, 1)
        pixel = -(-channels * form.bits // 8)
        return cls(0, channels, height, width, form, pixel, -(-pixel * height * width // beat) * beat)

    @property
    def row(self) -> int:
        """Bytes of a row of pixels."""
        return self.pixel * self.width

    @property
    def size(self) -> int:
        """Bytes of an image without the padding behind it."""
        return self.row * self.height

    @property
    def elements(self) -> int:
        """Elements of a pixel, padding included."""
        return self.pixel * 8 // self.format.bits

    @property
    def dense(self) -> bool:
        """Whether no bit between two pixels is padding."""
        return self.elements == self.channels

    def at(self, offset: int) -> Place:
        return replace(self, offset=offset)


def pack_codes(values: NDArray[np.int64], form: Format) -> NDArray[np.uint8]:
    """Values ``(..., n)`` as bytes ``(..., n * bits / 8)``; element 0 in the lowest bits, {-1, +1} as 1 and 0."""
    if form.bits == 32:
        wide = np.ascontiguousarray(values).astype("<i4")
        return wide.view(np.uint8).reshape(*values.shape[:-1], -1)
    codes = (values < 0 if form.binary else values & ((1 << form.bits) - 1)).astype(np.uint8)
    fields = codes.reshape(*values.shape[:-1], -1, 8 // form.bits) << np.arange(0, 8, form.bits, dtype=np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(fields, axis=-1).astype(np.uint8)
    return packed


def element_values(data: NDArray[np.uint8], form: Format) -> NDArray[np.int64]:
    """Inverse of :func:`pack_codes`: bytes ``(..., n)`` to values."""
    if form.bits == 32:
        return np.ascontiguousarray(data).view("<i4").astype(np.int64)
    fields = data[..., None] >> np.arange(0, 8, form.bits, dtype=np.uint8) & ((1 << form.bits) - 1)
    values = fields.astype(np.int64).reshape(*data.shape[:-1], -1)
    if form.binary:
        return 1 - 2 * values
    return values - (values >> (form.bits - 1) << form.bits) if form.signed else values


def pack_picture(values: NDArray[np.int64], place: Place) -> NDArray[np.uint8]:
    """Images ``(N, C, H, W)`` as bytes ``(N, place.image)``."""
    pixels = np.moveaxis(values.reshape(len(values), place.channels, place.height, place.width), 1, 3)
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, 0), (0, place.elements - place.channels)))
    data = pack_codes(pixels, place.format).reshape(len(values), -1)
    return np.pad(data, ((0, 0), (0, place.image - place.size)))


def unpack_picture(data: NDArray[np.uint8], place: Place) -> NDArray[np.int64]:
    """Inverse of :func:`pack_picture`: bytes ``(N, place.image)`` to ``(N, C, H, W)``."""
    pixels = data[:, : place.size].reshape(len(data), place.height, place.width, place.pixel)
    return np.moveaxis(element_values(pixels, place.format)[..., : place.channels], 3, 1)


def pack_weights(
    weights: NDArray[np.int8], form: Format, lanes: int, subwords: int, machine: Machine
) -> NDArray[np.uint8]:
    """Rows of the weight buffer of an octet.

    Parameters
    ----------
    weights
        ``(M, elements of the reduction)``; filled up with zeros (with +1 where *form* has no zero).
    form, lanes, subwords
        Format in memory, products of a unit (pf), chunks that share a row (R).

    Returns
    -------
    uint8 ``(rows, bytes of a padded row)``.
    """
    per_row = machine.rows * lanes * subwords
    rows = -(-weights.shape[1] // per_row)
    full = np.pad(weights.astype(np.int64), ((0, 0), (0, rows * per_row - weights.shape[1])))
    words = full.reshape(machine.cols, rows, subwords, machine.rows, lanes).transpose(1, 0, 3, 2, 4)
    packed = pack_codes(words.reshape(rows, -1), form)
    return np.pad(packed, ((0, 0), (0, machine.wbuf_row_beats * machine.beat - packed.shape[1])))


def pack_params(
    bias: NDArray[np.int64], multiplier: NDArray[np.int64], shift: NDArray[np.int64], machine: Machine
) -> NDArray[np.uint8]:
    """Entries of the parameter buffer: each argument ``(octets, M)``, result uint8 ``(octets, bytes of an entry)``."""
    rows = np.stack([bias, multiplier, shift], axis=1)
    padding = machine.param_row_beats * machine.beat // 4 - machine.cols
    return np.pad(rows, ((0, 0), (0, 0), (0, padding))).astype("<i4").view(np.uint8).reshape(len(bias), -1)
