"""What no schedule can beat, layer by layer: array cycles with a dense reduction, and every tensor moved once.

The mapping behind the compute limit: a column an output channel, ``N * pf`` elements of ``KH * KW * C`` a cycle,
rounded up once a patch (``rtl/bitfusion/README.md``). The memory limit moves inputs, weights and outputs once at
their own bits; a vector layer takes M elements of an operand a cycle through the lanes of post-processing. A max-pool
whose windows do not overlap is part of its producer: only the pooled output moves, and outputs that no window covers
need not be computed.

Layers depend on each other through memory: the first input is read when the layer before has been acknowledged, and the
layer is done when its own last output has been. This round trip is no traffic, and no schedule of a layer hides it; it
is kept apart, because it is all that is left of layers of a few hundred cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from hil.harness.bf_sim import Memory
from mico.codegen.bitfusion.machine import Machine
from mico.graph import OpKind
from mico.quant.integer import IntegerModel, IntegerOp

__all__ = ["Limit", "limits"]


@dataclass(frozen=True)
class Limit:
    """Least cycles of a layer.

    Attributes
    ----------
    compute
        Cycles of the array, or of the lanes of post-processing.
    memory
        Cycles of the tensors' traffic at full bandwidth; not of biases, multipliers and shifts.
    round_trip
        Latencies of a read and of a write.
    """

    compute: int
    memory: int
    round_trip: int

    @property
    def cycles(self) -> int:
        return max(self.compute, self.memory)


def limits(model: IntegerModel, machine: Machine, memory: Memory, *, batch: int) -> dict[str, Limit]:
    """By the name of the operation; flattens and max-pools behind a weighted layer have none of their own."""
    readers: dict[str, list[IntegerOp]] = {}
    for op in model.ops:
        for name in op.inputs:
            readers.setdefault(name, []).append(op)
    found: dict[str, Limit] = {}
    fused: set[str] = set()
    pooled: dict[str, int] = {}
    for op in model.ops:
        if op.kind is OpKind.FLATTEN or op.name in fused:
            continue
        output = model.tensors[op.output]
        after = readers.get(op.output, [])
        if op.weight is not None and len(after) == 1 and after[0].kind is OpKind.MAX_POOL:
            fused.add(after[0].name)
            pooled[op.name] = prod(after[0].pair("kernel"))
            output = model.tensors[after[0].output]
        bits = sum(batch * prod(t.shape) * t.format.bits for t in (*(model.tensors[n] for n in op.inputs), output))
        compute = ceil(batch * _elements(model, op) / machine.cols)
        if op.weight is not None and op.weight_format is not None:
            shape = model.tensors[op.output].shape
            bits += op.weight.size * op.weight_format.bits
            chunk = machine.chunk_elements(model.tensors[op.inputs[0]].format.bits, op.weight_format.bits)
            pixels = batch * (prod(output.shape[1:]) * pooled[op.name] if op.name in pooled else prod(shape[1:]))
            compute = pixels * ceil(shape[0] / machine.cols) * ceil(prod(op.weight.shape[1:]) / chunk)
        found[op.name] = Limit(compute, ceil(bits / memory.bandwidth), memory.read_latency + memory.write_latency)
    return found


def _elements(model: IntegerModel, op: IntegerOp) -> int:
    """Elements that a vector layer takes from all its operands; a window takes its own for every output."""
    if op.kind in (OpKind.MAX_POOL, OpKind.AVG_POOL):
        return prod(model.tensors[op.output].shape) * prod(op.pair("kernel"))
    return sum(prod(model.tensors[name].shape) for name in op.inputs)
