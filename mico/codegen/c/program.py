"""What has to be decided before C can be written: views, memory order of flattened pictures, lifetimes and offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import TensorLayout, tensor_bytes, weight_row_steps
from mico.codegen.c.stream import StreamKernel, StreamLayer, plan_stream, plan_weightless
from mico.codegen.planner import Buffer, Plan, plan
from mico.errors import QuantError
from mico.graph import OpKind
from mico.quant.check import check
from mico.quant.integer import IntegerModel, IntegerOp, Requant

__all__ = ["ROWS", "CProgram", "analyse", "matrices", "needs_mask", "normalised"]

ROWS = 8
"""Output pixels that a convolution gathers before it computes them: MICO_ROWS of mico_kernels.h."""


@dataclass(frozen=True)
class CProgram:
    """A model with everything placed.

    Attributes
    ----------
    ops
        Operations that run; a flatten is only a view and is left out.
    layouts
        Of every tensor, by name.
    storage
        The tensor whose buffer holds a tensor: itself, or what a flatten looks at.
    buffers, plan
        Buffers with lifetimes in steps (indices of *ops*) and their offsets; the scratch of L is ``L (scratch)``.
    engine
        Operations by name: how the streaming engine computes them, or why it cannot; empty where there is none.
    """

    model: IntegerModel
    ops: tuple[IntegerOp, ...]
    layouts: dict[str, TensorLayout]
    storage: dict[str, str]
    buffers: tuple[Buffer, ...]
    plan: Plan
    engine: dict[str, StreamLayer | StreamKernel | str]

    def offset(self, tensor: str) -> int:
        """Byte offset of *tensor* in the arena."""
        return self.plan.offsets[self.storage[tensor]]

    def scratch(self, op: IntegerOp) -> int | None:
        """Byte offset of the scratch of *op*, None if it needs none."""
        return self.plan.offsets.get(scratch_name(op))


def scratch_name(op: IntegerOp) -> str:
    return f"{op.name} (scratch)"


def needs_mask(op: IntegerOp, source: TensorLayout) -> bool:
    """Whether zero padding meets {-1, +1} activations, which have no zero: the SIMD kernel corrects border pixels."""
    return op.kind is OpKind.CONV2D and source.format.binary and any(op.pair("padding"))


def analyse(model: IntegerModel, simd: int = 1) -> CProgram:
    """Check *model*, resolve its views, place its buffers; with ``simd=2`` for the streaming engine.

    Raises
    ------
    QuantError
        The model breaks its contract, or uses a flattened picture where only channel-first order would be right.
    """
    check(model)
    layouts = {model.input: TensorLayout.of(model.tensors[model.input])}
    storage = {model.input: model.input}
    for op in model.ops:
        tensor = model.tensors[op.output]
        layouts[op.output] = TensorLayout(tensor.shape, tensor.format, _order(op, [layouts[n] for n in op.inputs]))
        storage[op.output] = storage[op.inputs[0]] if op.kind is OpKind.FLATTEN else op.output
    if layouts[model.output].order is not None:
        raise QuantError(
            "the output is a flattened picture in channel-first order, which lies channel last in memory",
            where=model.name,
            cure="end the network before the flatten: the logits of a picture are delivered in (H, W, C) order",
        )
    ops = tuple(op for op in model.ops if op.kind is not OpKind.FLATTEN)
    engine: dict[str, StreamLayer | StreamKernel | str] = {}
    for op in ops if simd == 2 else ():
        source, out = layouts[op.inputs[0]], layouts[op.output]
        if op.weight is None:
            engine[op.name] = plan_weightless(op, [layouts[name] for name in op.inputs], out)
        elif op.requant is not None:
            engine[op.name] = plan_stream(op, source, out, matrices(op, source), normalised(op.requant))
    scratches = {op.name for op in ops if op.weight is not None and not isinstance(engine.get(op.name), StreamLayer)}
    buffers = _lifetimes(model, ops, layouts, storage, scratches)
    return CProgram(model, ops, layouts, storage, buffers, plan(buffers), engine)


def normalised(requant: Requant) -> list[tuple[int, int]]:
    """Multipliers in 2^30..2^31-1 where the shift allows: the same quotients, and the kernels' one-multiply path."""
    pairs = []
    for m, s in zip(requant.multiplier.tolist(), requant.shift.tolist(), strict=True):
        while m < 1 << 30 and s < 62:
            m, s = 2 * m, s + 1
        pairs.append((m, s))
    return pairs


def matrices(op: IntegerOp, source: TensorLayout) -> list[NDArray[Any]]:
    """Weight matrices of *op*, one a group: columns in the order in which activations lie in memory."""
    assert op.weight is not None
    if op.kind is OpKind.LINEAR:
        return [op.weight if source.order is None else op.weight[:, np.asarray(source.order)]]
    columns = op.weight.transpose(0, 2, 3, 1).reshape(len(op.weight), -1)
    return list(np.split(columns, op.number("groups")))


def _order(op: IntegerOp, inputs: list[TensorLayout]) -> tuple[int, ...] | None:
    """Memory order of *op*'s output, see TensorLayout.order."""
    if op.kind is OpKind.FLATTEN:
        if len(inputs[0].shape) != 3:
            return inputs[0].order
        channels, height, width = inputs[0].shape
        if channels == 1 or height * width == 1:
            return None
        order = np.arange(inputs[0].elements).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        return tuple(int(i) for i in order)
    if op.kind == "requant":
        return inputs[0].order
    if op.kind is OpKind.ADD:
        if inputs[0].order != inputs[1].order:
            raise QuantError(
                "adds a flattened picture to a vector whose elements lie in another order",
                where=op.name,
                cure="flatten after the add",
            )
        return inputs[0].order
    if op.kind is OpKind.CONCAT and any(layout.order is not None for layout in inputs):
        starts = np.cumsum([0, *(layout.elements for layout in inputs)])
        parts: list[NDArray[np.int64]] = [
            start + np.asarray(range(layout.elements) if layout.order is None else layout.order)
            for start, layout in zip(starts, inputs, strict=False)
        ]
        return tuple(int(i) for i in np.concatenate(parts))
    return None


def _lifetimes(
    model: IntegerModel,
    ops: tuple[IntegerOp, ...],
    layouts: dict[str, TensorLayout],
    storage: dict[str, str],
    scratches: set[str],
) -> tuple[Buffer, ...]:
    last = len(ops) - 1
    first = {model.input: 0} | {op.output: step for step, op in enumerate(ops)}
    end = dict(first)
    for step, op in enumerate(ops):
        for name in op.inputs:
            end[storage[name]] = step
    end[storage[model.output]] = last
    buffers = [Buffer(name, tensor_bytes(layouts[name]), first[name], end[name]) for name in first]
    for step, op in enumerate(ops):
        if op.name in scratches:
            buffers.append(
                Buffer(scratch_name(op), _scratch_bytes(op, layouts[op.inputs[0]], layouts[op.output]), step, step)
            )
    return tuple(buffers)


def _scratch_bytes(op: IntegerOp, source: TensorLayout, out: TensorLayout) -> int:
    """Rows of gathered activations, a mask row where padding needs one, and accumulators for each row."""
    assert op.weight is not None
    assert op.weight_format is not None
    columns = int(np.prod(op.weight.shape[1:]))
    row = weight_row_steps(columns, source.format.bits, op.weight_format.bits) * max(
        1, source.format.bits // op.weight_format.bits
    )
    dense = op.kind is OpKind.CONV2D and op.number("groups") == 1
    rows = min(ROWS, out.shape[1] * out.shape[2]) if dense else 1
    mask = 1 if needs_mask(op, source) else 0
    return 4 * (rows + mask) * (row + len(op.weight))
