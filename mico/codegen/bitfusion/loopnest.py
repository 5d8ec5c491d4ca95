"""What one RUN computes, in numpy: the loops of ``rtl/bitfusion/README.md``, vectorised over pixels.

The executable form of the README, written for being right and readable; :mod:`mico.codegen.bitfusion.model` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Mode, RunReg, Vector
from mico.codegen.bitfusion.machine import Machine

__all__ = ["Buffers", "Loops", "Write", "run_array", "run_vector"]

_BLOCK_BYTES = 1 << 22

Write = Callable[[NDArray[np.int64], NDArray[np.uint8]], None]
"""``write(offsets (V,), bytes (V, n))``: vector v goes to memory at ``offsets[v]``, in order."""


@dataclass
class Buffers:
    """Contents of the accelerator's buffers.

    Attributes
    ----------
    ibuf
        uint8 ``(ibuf_bytes,)``.
    wbuf
        uint8 ``(wbuf_rows, bytes of a padded row)``.
    pbuf
        int32 ``(param_depth, 3, words of a padded row)``: bias, multiplier, shift.
    obuf
        int32 ``(obuf_entries, M)``.
    """

    ibuf: NDArray[np.uint8]
    wbuf: NDArray[np.uint8]
    pbuf: NDArray[np.int32]
    obuf: NDArray[np.int32]

    @classmethod
    def empty(cls, machine: Machine) -> Buffers:
        return cls(
            np.zeros(machine.ibuf_bytes, np.uint8),
            np.zeros((machine.wbuf_rows, machine.wbuf_row_beats * machine.beat), np.uint8),
            np.zeros((machine.param_depth, 3, machine.param_row_beats * machine.beat // 4), np.int32),
            np.zeros((machine.obuf_entries, machine.cols), np.int32),
        )


@dataclass(frozen=True)
class Loops:
    """A RUN's registers with its mode and destination."""

    registers: Mapping[RunReg, int]
    mode: Mode
    offset: int

    def __getattr__(self, name: str) -> int:
        """``loops.ox``: register OX, signed."""
        try:
            value = self.registers[RunReg[name.upper()]]
        except KeyError:
            raise AttributeError(name) from None
        return value - (1 << 32) if value >> 31 else value

    def grid(self, *axes: tuple[int, int]) -> NDArray[np.int64]:
        """Sum of ``index * step`` over the (count, step) of *axes*, outermost first, flattened."""
        total = np.zeros(1, np.int64)
        for count, step in axes:
            total = (total[:, None] + np.arange(count, dtype=np.int64) * step).reshape(-1)
        return total


def elements(codes: NDArray[np.uint8], bits: int, signed: bool) -> NDArray[np.int64]:
    """Values in bytes ``(..., n)``: ``(..., n * 8 / bits)``; 1 signed bit is +1 for code 0, -1 for code 1."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    fields = (codes[..., None] >> shifts & ((1 << bits) - 1)).astype(np.int64)
    values = fields.reshape(*codes.shape[:-1], -1)
    if not signed:
        return values
    return 1 - 2 * values if bits == 1 else values - (values >> (bits - 1) << bits)


def requantise(acc: NDArray[np.int64], params: NDArray[np.int32], mode: Mode) -> NDArray[np.int64]:
    """*acc* ``(..., M)`` with *params* ``(3, M)``: bias, multiplier, shift."""
    bias, multiplier, shift = params.astype(np.int64)
    return _round((acc + bias) * multiplier, shift, mode)


def _round(product: NDArray[np.int64], shift: NDArray[np.int64], mode: Mode) -> NDArray[np.int64]:
    if mode.out_bits == 1 and mode.out_signed:
        return np.where(product >= 0, 1, -1)
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    low = -(1 << (mode.out_bits - 1)) if mode.out_signed else 0
    high = (1 << (mode.out_bits - (1 if mode.out_signed else 0))) - 1
    clipped: NDArray[np.int64] = np.clip((product + half) >> shift, low, high)
    return clipped


def pack(values: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.uint8]:
    """Values ``(V, M)`` as bytes ``(V, M * bits / 8)``."""
    if bits == 32:
        return np.ascontiguousarray(values.astype("<i4")).view(np.uint8).reshape(len(values), -1)
    codes = (values < 0).astype(np.uint8) if bits == 1 and signed else (values & ((1 << bits) - 1)).astype(np.uint8)
    fields = codes.reshape(len(values), -1, 8 // bits) << np.arange(0, 8, bits, dtype=np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(fields, axis=-1).astype(np.uint8)
    return packed


def _gather(
    loops: Loops, ibuf: NDArray[np.uint8], x: NDArray[np.int64], y: NDArray[np.int64], z: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Bytes at coordinates (x, y) of images at z, and which of them lie inside the image; the others are 0."""
    inside = (x >= 0) & (x < loops.xend) & (y >= 0) & (y < loops.yend)
    data = ibuf[(loops.ibase + x + y + z) % len(ibuf)]
    return np.where(inside, data, np.uint8(0)), inside


def _chunk_bytes(loops: Loops, machine: Machine) -> tuple[int, int]:
    """Elements of a chunk, and of a whole patch."""
    count = machine.chunk_elements(loops.mode.act_bits, loops.mode.wgt_bits)
    return count, count * loops.nch


def _patches(loops: Loops, ibuf: NDArray[np.uint8], machine: Machine) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Blocks of pixels with the elements of their patches ``(pixels, NCH * N * pf)``."""
    mode = loops.mode
    x = loops.x0 + loops.grid((loops.b, 0), (loops.oy, 0), (loops.ox, loops.oxstep), (loops.py, 0),
                              (loops.px, loops.pxstep))  # fmt: skip
    y = loops.y0 + loops.grid((loops.b, 0), (loops.oy, loops.oystep), (loops.ox, 0), (loops.py, loops.pystep),
                              (loops.px, 0))  # fmt: skip
    z = loops.grid((loops.b, loops.bstep), (loops.oy, 0), (loops.ox, 0), (loops.py, 0), (loops.px, 0))
    dx = loops.grid((loops.k, 0), (loops.j, loops.jstep), (loops.seg, 1))
    dy = loops.grid((loops.k, loops.kstep), (loops.j, 0), (loops.seg, 0))
    _, total = _chunk_bytes(loops, machine)
    step = max(1, _BLOCK_BYTES // max(len(dx), total))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        data, inside = _gather(loops, ibuf, x[part, None] + dx, y[part, None] + dy, z[part, None])
        values = elements(data, mode.act_bits, mode.act_signed)
        values = np.where(np.repeat(inside, 8 // mode.act_bits, axis=1), values, 0)[:, :total]
        yield part, np.pad(values, ((0, 0), (0, total - values.shape[1])))


def _weights(loops: Loops, wbuf: NDArray[np.uint8], octet: int, machine: Machine) -> NDArray[np.int64]:
    """Weights of an octet as ``(NCH * N * pf, M)``."""
    mode = loops.mode
    lanes = machine.lanes(mode.act_bits, mode.wgt_bits)
    subwords = machine.subwords(mode.act_bits, mode.wgt_bits)
    first = loops.wbase + octet * loops.wstep
    rows = wbuf[first : first + -(-loops.nch // subwords), : 4 * machine.rows * machine.cols]
    values = elements(rows, mode.wgt_bits, mode.wgt_signed)
    values = values.reshape(len(rows), machine.cols, machine.rows, subwords, lanes)
    return values.transpose(0, 3, 2, 4, 1).reshape(-1, machine.cols)[: loops.nch * machine.rows * lanes]


def run_array(loops: Loops, buffers: Buffers, machine: Machine, write: Write) -> None:
    """A RUN with VECTOR = 0."""
    mode = loops.mode
    pixels = loops.b * loops.oy * loops.ox * loops.py * loops.px
    acc = np.zeros((pixels, loops.noct, machine.cols), np.int64)
    stacked = [_weights(loops, buffers.wbuf, octet, machine) for octet in range(loops.noct)]
    weights = np.concatenate(stacked, axis=1).astype(np.float64)  # exact: sums stay far below 2^53
    for part, patch in _patches(loops, buffers.ibuf, machine):
        acc[part] = (patch.astype(np.float64) @ weights).astype(np.int64).reshape(-1, loops.noct, machine.cols)
    entries = slice(loops.abase, loops.abase + pixels * loops.noct)
    if not mode.init:
        acc += buffers.obuf[entries].reshape(acc.shape)
    acc = acc.astype(np.int32).astype(np.int64)
    if not mode.emit:
        buffers.obuf[entries] = acc.reshape(-1, machine.cols)
        return
    if mode.requant:
        for octet in range(loops.noct):
            params = buffers.pbuf[loops.pbase + octet, :, : machine.cols]
            acc[:, octet] = requantise(acc[:, octet], params, mode)
    pooled = acc.reshape(-1, loops.py * loops.px, loops.noct // loops.po, loops.po, machine.cols).max(axis=(1, 3))
    _write(loops, pooled.reshape(-1, machine.cols), loops.noct // loops.po, write)


def run_vector(loops: Loops, buffers: Buffers, machine: Machine, write: Write) -> None:
    """A RUN with VECTOR = 1."""
    mode = loops.mode
    outer = ((loops.b, 0), (loops.oy, 0), (loops.ox, loops.oxstep), (loops.noct, loops.gstep))
    x = loops.x0 + loops.grid(*outer)
    y = loops.y0 + loops.grid((loops.b, 0), (loops.oy, loops.oystep), (loops.ox, 0), (loops.noct, 0))
    z = loops.grid((loops.b, loops.bstep), (loops.oy, 0), (loops.ox, 0), (loops.noct, 0))
    dx = loops.grid((loops.k, 0), (loops.j, loops.jstep), (loops.seg, 1))
    dy = loops.grid((loops.k, loops.kstep), (loops.j, 0), (loops.seg, 0))
    data, inside = _gather(loops, buffers.ibuf, x[:, None] + dx, y[:, None] + dy, z[:, None])
    shape = (len(x), loops.k * loops.j, machine.cols)
    values = elements(data, mode.act_bits, mode.act_signed).reshape(shape)
    if mode.vector is Vector.MAC:  # operands behind the first have a signedness of their own
        values[:, loops.j :] = elements(data, mode.act_bits, mode.wgt_signed).reshape(shape)[:, loops.j :]
    real = np.repeat(inside, 8 // mode.act_bits, axis=1).reshape(shape)
    params = buffers.pbuf[loops.pbase : loops.pbase + loops.k * loops.j, :, : machine.cols].astype(np.int64)
    if mode.vector is Vector.MAC:
        result = _round((np.where(real, values, 0) * params[:, 1]).sum(axis=1), params[0, 2], mode)
    else:
        if mode.vector is Vector.MAX:
            acc = np.where(real, values, -(1 << 31)).max(axis=1)
        else:
            acc = np.where(real, values, 0).sum(axis=1)
        result = requantise(acc, buffers.pbuf[loops.pbase, :, : machine.cols], mode) if mode.requant else acc
    _write(loops, result, loops.noct, write)


def _write(loops: Loops, values: NDArray[np.int64], slots: int, write: Write) -> None:
    """Vectors ``(B * OY * OX * slots, M)`` to memory; the last slot's vectors are cut to OLAST bytes."""
    mode = loops.mode
    offsets = loops.offset + loops.grid(
        (loops.b, loops.ostep_b), (loops.oy, loops.ostep_y), (loops.ox, loops.ostep_x), (slots, loops.ostep_o)
    )
    data = pack(values, mode.out_bits, mode.out_signed)
    last = np.arange(len(values)) % slots == slots - 1
    if loops.olast == data.shape[1]:
        write(offsets, data)
        return
    write(offsets[~last], data[~last])
    write(offsets[last], data[last, : loops.olast])
