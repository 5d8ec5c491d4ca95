"""The integer program computed on the host: exact, vectorised, batched. The reference for C kernels and RTL.

Activations travel as float32 holding small integers, so that convolutions and matrix products run at the speed of a
BLAS. That is exact where every partial sum stays within 2^24 (``sum |w| * max |a|`` proves it per layer); float64 is
used otherwise, which is exact for every int32 accumulator. Everything after the accumulator is int64.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mico.errors import UsageError
from mico.graph import OpKind
from mico.quant.check import accumulator_bound, check
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant

__all__ = ["Step", "Values", "accumulator", "exact_arithmetic", "prepare", "requantiser", "run"]

_FLOAT32_EXACT = 1 << 24
_SETTINGS = threading.Lock()
Values = dict[str, torch.Tensor]
"""Tensors by name, ``(N, ...)``, channel first: small integers as float32, or int32."""
Step = Callable[[Values], torch.Tensor]
"""One operation, with everything that does not depend on data done once."""


@overload
def run(
    model: IntegerModel, x: NDArray[Any], *, keep: Literal[False] | None = None, batch: int = 256
) -> NDArray[np.int32]: ...


@overload
def run(
    model: IntegerModel, x: NDArray[Any], *, keep: Literal[True], batch: int = 256
) -> tuple[NDArray[np.int32], dict[str, NDArray[Any]]]: ...


def run(
    model: IntegerModel, x: NDArray[Any], *, keep: bool | None = None, batch: int = 256
) -> NDArray[np.int32] | tuple[NDArray[np.int32], dict[str, NDArray[Any]]]:
    """Compute *model* on *x*.

    Parameters
    ----------
    model
        The integer program.
    x
        ``(N, C, H, W)`` (or ``(N, F)``), uint8 or int8 as ``model.tensors[model.input]`` says.
    keep
        If true, also return the output of every operation.
    batch
        Samples computed at a time; no influence on the result.

    Returns
    -------
    int32 ``(N, outputs)``: logits, channel first where the output has three axes. With *keep* also a dict from the
    name of every tensor that an operation writes to its integers ``(N, ...)``, channel first: uint8, int8 or int32.

    Raises
    ------
    UsageError
        *x* has another shape or type than the network's input.
    QuantError
        *model* breaks the contract (:func:`mico.quant.check.check`), for instance an accumulator could overflow.
    """
    check(model)
    _check_input(model, x)
    if batch < 1:
        raise UsageError(f"batch must be at least 1, not {batch}")
    tensors = [op.output for op in model.ops] if keep else [model.output]
    results: dict[str, NDArray[Any]] = {
        name: np.empty((len(x), *model.tensors[name].shape), dtype=model.tensors[name].format.dtype) for name in tensors
    }
    steps = [(op, prepare(model, op)) for op in model.ops]
    last_use = {name: index for index, op in enumerate(model.ops) for name in op.inputs}

    def compute(start: int) -> None:
        part = slice(start, start + batch)
        values: Values = {model.input: torch.from_numpy(x[part].astype(np.float32))}
        with torch.no_grad():
            for index, (op, step) in enumerate(steps):
                result = step(values)
                values[op.output] = result.reshape(len(result), *model.tensors[op.output].shape)
                if op.output in results:
                    results[op.output][part] = values[op.output].numpy()
                for name in [name for name in values if last_use.get(name, -1) <= index]:
                    del values[name]

    with exact_arithmetic() as threads, ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(compute, range(0, len(x), batch)):
            pass
    output = results[model.output]
    logits = output.reshape(len(x), prod(output.shape[1:]))
    return (logits, results) if keep else logits


def _check_input(model: IntegerModel, x: NDArray[Any]) -> None:
    tensor = model.tensors[model.input]
    if x.dtype != tensor.format.dtype:
        raise UsageError(
            f"the input of {model.name!r} is {np.dtype(tensor.format.dtype)}, not {x.dtype}",
            cure="pass the raw 8-bit values, not scaled floats",
        )
    if x.shape[1:] != tensor.shape:
        expected = "(N, " + ", ".join(map(str, tensor.shape)) + ")"
        raise UsageError(f"the input of {model.name!r} has shape {expected}, not {x.shape}")


@contextmanager
def exact_arithmetic() -> Iterator[int]:
    """Keep torch on plain sums of products: no reduced-precision products, no NNPACK (Winograd, FFT), no autocast.

    Yields the number of threads to use, each of which computes whole batches by itself: on a busy machine that is many
    times faster than threads that wait for each other within every operation. The settings are torch's global ones, so
    one run at a time holds them.
    """
    mkldnn: Any = torch.backends.mkldnn  # its attributes are made at run time
    with _SETTINGS:
        threads = torch.get_num_threads()
        precisions = mkldnn.conv.fp32_precision, mkldnn.matmul.fp32_precision
        nnpack = torch.backends.nnpack.set_flags(False)  # type: ignore[no-untyped-call]
        torch.set_num_threads(1)
        mkldnn.conv.fp32_precision = mkldnn.matmul.fp32_precision = "ieee"
        try:
            yield threads  # autocast is a setting of the thread that asks for it: new threads start without
        finally:
            torch.set_num_threads(threads)
            mkldnn.conv.fp32_precision, mkldnn.matmul.fp32_precision = precisions
            torch.backends.nnpack.set_flags(*nnpack)  # type: ignore[no-untyped-call]


def prepare(model: IntegerModel, op: IntegerOp) -> Step:
    """A function from the tensors so far to *op*'s output, with everything that does not depend on data done once."""
    formats = [model.tensors[name].format for name in op.inputs]
    out = model.tensors[op.output].format
    match op.kind:
        case OpKind.CONV2D | OpKind.LINEAR:
            return _prepare_weighted(op, formats[0], out)
        case OpKind.MAX_POOL:
            kernel, stride, padding = op.pair("kernel"), op.pair("stride"), op.pair("padding")
            return lambda v: functional.max_pool2d(v[op.inputs[0]], kernel, stride, padding)
        case OpKind.FLATTEN:
            return lambda v: v[op.inputs[0]]
        case OpKind.AVG_POOL:
            kernel, stride, padding = op.pair("kernel"), op.pair("stride"), op.pair("padding")
            finish = requantiser(op, out)
            return lambda v: finish(
                functional.avg_pool2d(
                    v[op.inputs[0]].double(), kernel, stride, padding, count_include_pad=True, divisor_override=1
                ).long()
            )
        case OpKind.GLOBAL_AVG_POOL:
            finish = requantiser(op, out)
            return lambda v: finish(v[op.inputs[0]].long().sum(dim=(2, 3), keepdim=True))
        case OpKind.ADD:
            return _prepare_add(op, out)
        case OpKind.CONCAT:
            finishes = [requantiser(op, out, index) for index in range(len(op.inputs))]
            return lambda v: torch.cat(
                [finish(v[name].long()) for finish, name in zip(finishes, op.inputs, strict=True)], dim=1
            )
        case "requant":
            finish = requantiser(op, out)
            return lambda v: finish(v[op.inputs[0]].long())
    raise AssertionError(f"check() let {op.kind!r} pass")


def _prepare_weighted(op: IntegerOp, source: Format, out: Format) -> Step:
    accumulate, finish = accumulator(op, source), requantiser(op, out)
    return lambda v: finish(accumulate(v).long())


def accumulator(op: IntegerOp, source: Format) -> Step:
    """Sums of products of the convolution or linear *op*, bias left out: float32 or float64, exact in either."""
    assert op.weight is not None
    exact32 = accumulator_bound(op, source, bias=False) <= _FLOAT32_EXACT
    dtype = torch.float32 if exact32 else torch.float64
    weight = torch.from_numpy(op.weight.astype(np.int32)).to(dtype)
    name = op.inputs[0]
    if op.kind is OpKind.LINEAR:
        return lambda v: v[name].to(dtype) @ weight.T
    stride, padding, groups = op.pair("stride"), op.pair("padding"), op.number("groups")
    return lambda v: functional.conv2d(v[name].to(dtype), weight, stride=stride, padding=padding, groups=groups)


def _prepare_add(op: IntegerOp, out: Format) -> Step:
    assert op.requant is not None
    m0, m1 = (int(m) for m in op.requant.multiplier)
    a, b = op.inputs
    shift = int(op.requant.shift[0])
    offset = 0 if out.binary else 1 << (shift - 1)
    return lambda v: _round(v[a].long().mul_(m0).add_(v[b].long().mul_(m1)), offset, shift, out)


def requantiser(op: IntegerOp, out: Format, index: int | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
    """Requantise int64 accumulators ``(N, C, ...)``: per channel, or all with entry *index* of the constants."""
    requant: Requant | None = op.requant
    assert requant is not None
    pick = slice(None) if index is None else slice(index, index + 1)
    multiplier = requant.multiplier[pick].astype(np.int64)
    shift = requant.shift[pick].astype(np.int64)
    offset = np.int64(1) << (shift - 1)
    if op.bias is not None:
        # (acc + bias) * m + half = acc * m + (bias * m + half): both sides fit 64 bits.
        offset = offset + op.bias.astype(np.int64) * multiplier
    if out.binary:
        offset -= np.int64(1) << (shift - 1)
    constants = [torch.from_numpy(values) for values in (multiplier, offset, shift)]

    def finish(acc: torch.Tensor) -> torch.Tensor:
        view = (-1, *[1] * (acc.ndim - 2))
        m, c, s = (values.reshape(view) for values in constants)
        return _round(acc.mul_(m), c, s, out)

    return finish


def _round(product: torch.Tensor, offset: torch.Tensor | int, shift: torch.Tensor | int, out: Format) -> torch.Tensor:
    """``clamp((product + offset) >> shift)`` in place; the sign of ``product + offset`` for {-1, +1}."""
    if out.binary:
        return product.add_(offset).ge_(0).mul_(2).sub_(1).to(torch.float32)
    rounded = product.add_(offset).bitwise_right_shift_(shift).clamp_(out.qmin, out.qmax)
    return rounded.to(torch.int32 if out.bits == 32 else torch.float32)
