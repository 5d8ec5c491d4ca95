"""Operations of the integer program with their requantisation in floating point, each proven to give the same integers.

``clamp((acc * m + half) >> s)`` is a step function of the accumulator that never falls, and so is
``clamp(floor(fl(fl(acc * a) + b)))`` in any floating-point format, since rounding keeps order. Two such functions are
the same where they step at the same accumulators. That is checked for every step of every channel when an operation is
prepared, with float32 and then with float64; where neither agrees the operation is computed as in ``execute``. An add
reads two tensors of at most 8 bits: it is compared on all pairs of their values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mico.graph import OpKind
from mico.quant.check import accumulator_bound
from mico.quant.execute import Step, accumulator, prepare, requantiser
from mico.quant.integer import Format, IntegerModel, IntegerOp

__all__ = ["fast_step"]

_Finish = Callable[[torch.Tensor], torch.Tensor]
_FLOAT32_EXACT = 1 << 24


def fast_step(model: IntegerModel, op: IntegerOp) -> Step:
    """The step of *op*: the same integers as :func:`mico.quant.execute.prepare` gives, sooner.

    Float accumulators are overwritten; tensors that are read are not.
    """
    sources = [model.tensors[name].format for name in op.inputs]
    out = model.tensors[op.output].format
    if out.binary or out.bits == 32:
        return prepare(model, op)
    first = op.inputs[0]
    match op.kind:
        case OpKind.CONV2D | OpKind.LINEAR:
            finish = _finisher(op, out, accumulator_bound(op, sources[0], bias=False))
            accumulate = accumulator(op, sources[0])
            return lambda v: finish(accumulate(v))
        case OpKind.GLOBAL_AVG_POOL:
            bound = int(np.prod(model.tensors[first].shape[1:])) * sources[0].max_abs
            if bound <= _FLOAT32_EXACT:
                finish = _finisher(op, out, bound)
                return lambda v: finish(v[first].sum(dim=(2, 3), keepdim=True))
        case OpKind.CONCAT:
            finishes = [_finisher(op, out, form.max_abs, index) for index, form in enumerate(sources)]
            return lambda v: torch.cat(
                [finish(v[name].clone()) for finish, name in zip(finishes, op.inputs, strict=True)], dim=1
            )
        case OpKind.ADD:
            return _add(op, sources, out) or prepare(model, op)
        case "requant":
            finish = _finisher(op, out, sources[0].max_abs)
            return lambda v: finish(v[first].clone())
    return prepare(model, op)


def _finisher(op: IntegerOp, out: Format, bound: int, index: int | None = None) -> _Finish:
    """Requantise float accumulators ``(N, C, ...)`` of magnitude up to *bound* in place, to float32 integers."""
    for dtype in (torch.float32, torch.float64):
        if dtype is torch.float32 and bound > _FLOAT32_EXACT:
            continue
        constants = _line(op, out, bound, index, np.float32 if dtype is torch.float32 else np.float64)
        if constants is not None:
            slope, offset = (torch.from_numpy(values) for values in constants)
            return _affine(slope, offset, out, dtype)
    exact = requantiser(op, out, index)
    return lambda acc: exact(acc.long())


def _affine(slope: torch.Tensor, offset: torch.Tensor, out: Format, dtype: torch.dtype) -> _Finish:
    def finish(acc: torch.Tensor) -> torch.Tensor:
        view = (-1, *[1] * (acc.ndim - 2))
        wide = acc.to(dtype).mul_(slope.reshape(view)).add_(offset.reshape(view))
        return wide.floor_().clamp_(out.qmin, out.qmax).to(torch.float32)

    return finish


def _line(
    op: IntegerOp, out: Format, bound: int, index: int | None, dtype: type[np.floating[Any]]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Slope and offset ``(C,)`` that step where the integers do, for all accumulators of magnitude up to *bound*."""
    assert op.requant is not None
    pick = slice(None) if index is None else slice(index, index + 1)
    multiplier = op.requant.multiplier[pick].astype(np.int64)[:, None]
    shift = op.requant.shift[pick].astype(np.int64)[:, None]
    half = np.int64(1) << (shift - 1)
    if op.bias is not None:
        half = half + op.bias.astype(np.int64)[:, None] * multiplier
    levels = np.arange(out.qmin + 1, out.qmax + 1, dtype=np.int64)[None, :]
    at = _steps(multiplier, shift, half, levels, bound)
    if at is None:
        return None
    inside = (at > -bound) & (at <= bound)  # the accumulator at *at* reaches the level, the one before does not
    never, always = at > bound, at <= -bound
    slope: NDArray[Any] = (multiplier / np.ldexp(1.0, shift)).astype(dtype)
    here: NDArray[Any] = at.astype(dtype)
    before: NDArray[Any] = (at - 1).astype(dtype)
    above, below = here * slope, before * slope
    ends = np.array([-bound, bound], dtype=dtype) * slope
    least = np.where(inside, levels - above.astype(np.float64), -np.inf)
    least = np.maximum(least, np.where(always, levels - ends[:, :1].astype(np.float64), -np.inf)).max(axis=1)
    most = np.where(inside, levels - below.astype(np.float64), np.inf)
    most = np.minimum(most, np.where(never, levels - ends[:, 1:].astype(np.float64), np.inf)).min(axis=1)
    least = np.where(np.isfinite(least), least, most - 1)
    most = np.where(np.isfinite(most), most, least + 1)
    offset = ((least + most) / 2).astype(dtype)[:, None]
    agrees = np.where(inside, (np.floor(above + offset) >= levels) & (np.floor(below + offset) < levels), True)
    agrees &= ~always | (np.floor(ends[:, :1] + offset) >= levels)
    agrees &= ~never | (np.floor(ends[:, 1:] + offset) < levels)
    return (slope[:, 0], offset[:, 0]) if bool(agrees.all()) else None


def _steps(
    multiplier: NDArray[np.int64],
    shift: NDArray[np.int64],
    half: NDArray[np.int64],
    levels: NDArray[np.int64],
    bound: int,
) -> NDArray[np.int64] | None:
    """Least accumulators ``(C, levels)`` in ``-bound .. bound + 1`` whose integer reaches each level."""
    near = np.ceil((np.ldexp(levels.astype(np.float64), shift) - half) / multiplier)
    at = np.clip(near, -bound, bound + 1).astype(np.int64)

    def reached(acc: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (acc * multiplier + half) >> shift >= levels

    at = np.where((at > -bound) & reached(at - 1), at - 1, at)  # near is off by one at most
    at = np.where((at <= bound) & ~reached(at), at + 1, at)
    right = ((at <= -bound) | ~reached(at - 1)) & ((at > bound) | reached(at))
    return at if bool(right.all()) else None


def _add(op: IntegerOp, sources: list[Format], out: Format) -> Step | None:
    """The add with its products in float64, or None where that differs from the integers for any two values."""
    assert op.requant is not None
    m0, m1 = (int(m) for m in op.requant.multiplier)
    shift = int(op.requant.shift[0])
    a, b = op.inputs
    scale0, scale1 = float(np.ldexp(float(m0), -shift)), float(np.ldexp(float(m1), -shift))

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        total = x.double().mul_(scale0).add_(y.double().mul_(scale1)).add_(0.5)
        return total.floor_().clamp_(out.qmin, out.qmax).to(torch.float32)

    x, y = (torch.arange(form.qmin, form.qmax + 1) for form in sources)
    exact = (x[:, None] * m0 + y * m1 + (1 << (shift - 1))).bitwise_right_shift(shift).clamp_(out.qmin, out.qmax)
    if not torch.equal(step(x[:, None].expand(exact.shape), y.expand(exact.shape)).long(), exact):
        return None
    return lambda v: step(v[a], v[b])
