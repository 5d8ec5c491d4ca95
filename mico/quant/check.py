"""Whether an IntegerModel keeps the contract: shapes, formats, constants, and accumulators that cannot overflow.

Code generators and the executor rely on what is checked here and check nothing themselves.
"""

from __future__ import annotations

import numpy as np

from mico.errors import QuantError
from mico.graph import OpKind, Shape
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

__all__ = ["ACCUMULATOR_LIMIT", "accumulator_bound", "check"]

ACCUMULATOR_LIMIT = 1 << 31
"""Accumulators stay strictly below this in magnitude."""

_ACTIVATION_BITS = (8, 4, 2, 1)
_TRANSPARENT = (OpKind.MAX_POOL, OpKind.FLATTEN)


def accumulator_bound(op: IntegerOp, source: Format, *, bias: bool = True) -> int:
    """Largest magnitude that any partial sum of a convolution or linear *op* can take: ``max over channels of
    sum |w| * max |a| (+ |bias|)``."""
    assert op.weight is not None
    sums = np.abs(op.weight.astype(np.int64)).reshape(len(op.weight), -1).sum(axis=1) * source.max_abs
    if bias and op.bias is not None:
        sums = sums + np.abs(op.bias.astype(np.int64))
    return int(sums.max())


def check(model: IntegerModel) -> None:
    """Raise a QuantError that names the operation where *model* breaks the contract of README.md."""
    for name, tensor in model.tensors.items():
        if name != tensor.name:
            raise QuantError(f"is filed under {name!r}", where=f"tensor {tensor.name}")
        if tensor.format.bits not in (*_ACTIVATION_BITS, 32) or not tensor.scale > 0:
            raise QuantError(f"has format {tensor.format} and scale {tensor.scale}", where=f"tensor {name}")
    for name in (model.input, model.output):
        if name not in model.tensors:
            raise QuantError(f"there is no tensor {name!r}", where=model.name)
    if model.tensors[model.input].format.bits != 8:
        raise QuantError("the network's input must be 8 bits", where=f"tensor {model.input}")
    if model.tensors[model.output].format != Format(32, True):
        raise QuantError("the network's output must be int32", where=f"tensor {model.output}")
    known = {model.input}
    for op in model.ops:
        missing = [name for name in op.inputs if name not in known]
        if missing or op.output in known or op.output not in model.tensors:
            raise QuantError(f"reads {missing} before they are written, or writes {op.output!r} twice", where=op.name)
        try:
            _check_op(op, [model.tensors[name] for name in op.inputs], model.tensors[op.output])
        except KeyError as error:
            raise QuantError(f"has no attribute {error}", where=op.name) from error
        known.add(op.output)
    if model.output not in known:
        raise QuantError("no operation writes the output", where=model.name)


def _check_op(op: IntegerOp, inputs: list[Tensor], out: Tensor) -> None:
    def require(condition: bool, what: str) -> None:
        if not condition:
            raise QuantError(what, where=op.name)

    wanted = {"add": 2, "concat": len(inputs)}.get(str(op.kind), 1)
    require(len(inputs) == wanted and wanted > 0, f"{op.kind} has {len(inputs)} inputs")
    require(all(t.format.bits != 32 for t in inputs), "reads an int32 tensor")
    shape = _output_shape(op, [t.shape for t in inputs])
    require(shape == out.shape, f"writes shape {out.shape}, its inputs make {shape}")
    if op.kind in _TRANSPARENT:
        require(op.requant is None, f"{op.kind} does not requantise")
        require(out.format == inputs[0].format, f"{op.kind} changes format {inputs[0].format} to {out.format}")
        return
    special = {"add": (2, 1), "concat": (len(inputs), len(inputs))}
    entries: tuple[int, int] = special.get(str(op.kind), (1, 1))
    if op.kind in (OpKind.CONV2D, OpKind.LINEAR):
        _check_weighted(op, inputs[0])
        entries = (out.shape[0], out.shape[0])
    _check_requant(op, entries)
    if op.kind in (OpKind.AVG_POOL, OpKind.GLOBAL_AVG_POOL):
        window = op.pair("kernel") if op.kind is OpKind.AVG_POOL else inputs[0].shape[1:]
        bound = window[0] * window[1] * inputs[0].format.max_abs
        require(bound < ACCUMULATOR_LIMIT, f"its sum can reach {bound}: int32 overflows")


def _check_weighted(op: IntegerOp, source: Tensor) -> None:
    weight, form = op.weight, op.weight_format
    if (
        weight is None
        or form is None
        or weight.dtype != np.int8
        or not form.signed
        or form.bits not in _ACTIVATION_BITS
    ):
        raise QuantError("needs int8 weights with a signed format of 8, 4, 2 or 1 bits", where=op.name)
    if int(weight.min()) < form.qmin or int(weight.max()) > form.qmax or (form.binary and bool((weight == 0).any())):
        raise QuantError(f"weights are outside {form}", where=op.name)
    if op.kind is OpKind.CONV2D:
        expected = (weight.shape[0], source.shape[0] // op.number("groups"), *weight.shape[2:])
        if weight.ndim != 4 or weight.shape != expected or weight.shape[0] % op.number("groups"):
            raise QuantError(f"weight shape {weight.shape} does not fit input {source.shape}", where=op.name)
    elif weight.ndim != 2 or source.shape != weight.shape[1:]:
        raise QuantError(f"weight shape {weight.shape} does not fit input {source.shape}", where=op.name)
    if op.bias is not None and (op.bias.dtype != np.int32 or op.bias.shape != weight.shape[:1]):
        raise QuantError("the bias must be int32, one per output channel", where=op.name)
    bound = accumulator_bound(op, source.format)
    if bound >= ACCUMULATOR_LIMIT:
        raise QuantError(
            f"its accumulator can reach {bound}, above int32",
            where=op.name,
            cure="fewer weight or activation bits, or fewer inputs, for this layer",
        )


def _check_requant(op: IntegerOp, entries: tuple[int, int]) -> None:
    requant: Requant | None = op.requant
    if requant is None:
        raise QuantError(f"{op.kind} needs a requant", where=op.name)
    if (requant.multiplier.shape, requant.shift.shape) != ((entries[0],), (entries[1],)):
        raise QuantError(f"requant has {len(requant.multiplier)} multipliers and {len(requant.shift)} shifts, "
                         f"not {entries[0]} and {entries[1]}", where=op.name)  # fmt: skip
    if requant.multiplier.dtype != np.int32 or requant.shift.dtype != np.int32:
        raise QuantError("multipliers and shifts must be int32", where=op.name)
    if requant.multiplier.min() < 1 or requant.shift.min() < 1 or requant.shift.max() > 62:
        raise QuantError("multipliers must be positive and shifts within 1..62", where=op.name)


def _output_shape(op: IntegerOp, shapes: list[Shape]) -> Shape:
    first = shapes[0]
    match op.kind:
        case OpKind.CONV2D | OpKind.MAX_POOL | OpKind.AVG_POOL:
            kernel = op.weight.shape[2:] if op.kind is OpKind.CONV2D and op.weight is not None else op.pair("kernel")
            pairs = zip(first[1:], kernel, op.pair("stride"), op.pair("padding"), strict=True)
            channels = first[0] if op.weight is None else len(op.weight)
            return (channels, *((n + 2 * p - k) // s + 1 for n, k, s, p in pairs))
        case OpKind.LINEAR:
            return (0,) if op.weight is None else op.weight.shape[:1]
        case OpKind.GLOBAL_AVG_POOL:
            return (first[0], 1, 1)
        case OpKind.CONCAT:
            if any(shape[1:] != first[1:] for shape in shapes):
                raise QuantError(f"joins shapes {shapes}", where=op.name)
            return (sum(shape[0] for shape in shapes), *first[1:])
        case OpKind.FLATTEN:
            return (int(np.prod(first)),)
        case OpKind.ADD:
            if shapes[0] != shapes[1]:
                raise QuantError(f"adds shapes {shapes[0]} and {shapes[1]}", where=op.name)
            return first
        case "requant":
            return first
    raise QuantError(f"unknown operation {op.kind!r}", where=op.name)
