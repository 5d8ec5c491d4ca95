"""What the BitFusion accelerator does for a layer: the compiler's own cycle model of a small program around it.

An operation is compiled behind a requantisation of its input, so that its weights can arrive while that runs, as they
do in a network; counted are the cycles between its marks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.compiler import compile_model
from mico.codegen.bitfusion.cycles import Timing
from mico.codegen.bitfusion.machine import Machine
from mico.graph import Graph, OpKind
from mico.latency.cells import IN, Cell, Cells
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor
from mico.quant.scheme import Scheme

__all__ = ["COLUMNS", "bitfusion_counts", "network_cycles"]

COLUMNS = ("array_layer", "array_cycles", "array_output", "vector_layer", "vector_cycles", "vector_output")
"""Columns: 1, the predicted cycles, and the cycles of the memory that results take, which loads of what comes next
delay; of a convolution or linear layer, and of any other operation."""


def bitfusion_counts(cell: Cell, machine: Machine) -> NDArray[np.float64]:
    """Counts ``(len(COLUMNS),)`` of one operation.

    Raises
    ------
    CompileError
        The operation cannot be mapped on *machine*.
    """
    if cell.op.kind is OpKind.FLATTEN:
        return np.zeros(len(COLUMNS))
    program = compile_model(_model(cell), batch=1, machine=machine, weights=False)
    place = program.marks.index("layer")
    before = program.predicted[place - 1] if place else 0
    cycles = float(program.predicted[place] - before)
    written = cell.out.elements if cell.pool is None else int(np.prod(cell.pool.out_shape))
    counts = [1.0, cycles, written * cell.out.format.bits / 8 / Timing().bytes_per_cycle]
    nothing = [0.0] * len(counts)
    return np.array([*counts, *nothing] if cell.op.weight is not None else [*nothing, *counts])


def network_cycles(graph: Graph, scheme: Scheme, bits: dict[str, int], machine: Machine) -> dict[str, float]:
    """Predicted cycles of every operation of a whole network by its name; what is fused into another has none.

    Parameters
    ----------
    bits
        Of every tensor under *scheme*.
    """
    tensors = {"input": Tensor("input", graph.input_shape, Format(8, False), 1.0)}
    ops: list[IntegerOp] = []
    for name, cell in Cells(graph).of_scheme(bits, dict(scheme)):
        layer = graph[name.removesuffix(IN)]
        narrow = f"{layer.name}{IN}"
        inputs, shape = layer.inputs, layer.out_shape
        if name == narrow:
            shape = graph.shape(layer.inputs[0])
        elif narrow in tensors:
            inputs = (narrow,)
        tensors[name] = Tensor(name, shape, cell.out.format, 1.0)
        ops.append(replace(cell.op, name=name, inputs=inputs, output=name))
    model = IntegerModel(graph.name, "input", ops[-1].output, tensors, tuple(ops))
    program = compile_model(model, batch=1, machine=machine, weights=False)
    cycles = np.diff([0, *program.predicted[: len(program.marks)]])
    return dict(zip(program.marks, cycles.astype(float).tolist(), strict=True))


def _model(cell: Cell) -> IntegerModel:
    """The operation between a requantisation of each input and one that makes logits of its result."""
    tensors: dict[str, Tensor] = {}
    ops: list[IntegerOp] = []
    names = []

    def write(op: IntegerOp, shape: tuple[int, ...], form: Format) -> None:
        tensors[op.output] = Tensor(op.output, shape, form, 1.0)
        ops.append(op)

    shape = cell.picture or cell.inputs[0].shape
    tensors["input"] = Tensor("input", shape, Format(8, cell.inputs[0].format.signed), 1.0)
    source = "input"
    for number, layout in enumerate(cell.inputs):
        name = f"before{number}"
        own = cell.picture or layout.shape
        if own != shape:  # another number of channels: an input of its own is not to be had, a convolution makes it
            count = own[0]
            weight = np.broadcast_to(np.ones((), np.int8), (count, shape[0], 1, 1))
            attrs: dict[str, tuple[int, int] | int] = {"stride": (1, 1), "padding": (0, 0), "groups": 1}
            op = IntegerOp(
                name, OpKind.CONV2D, (source,), name, attrs, weight, Format(8, True), np.ones(count, np.int32),
                Requant(np.full(count, 1 << 30, np.int32), np.full(count, 38, np.int32)),
            )  # fmt: skip
        else:
            op = IntegerOp(name, "requant", (source,), name, requant=_one())
        write(op, own, layout.format)
        if cell.picture is not None:
            write(IntegerOp(f"{name}f", OpKind.FLATTEN, (name,), f"{name}f"), layout.shape, layout.format)
            name = f"{name}f"
        names.append(name)
    write(replace(cell.op, name="layer", inputs=tuple(names), output="layer"), cell.out.shape, cell.out.format)
    last, out = "layer", cell.out.shape
    if cell.pool is not None:
        out = cell.pool.out_shape
        op = IntegerOp("pool", OpKind.MAX_POOL, ("layer",), "pool", cell.pool.attrs)
        write(op, out, cell.out.format)
        last = "pool"
    if cell.out.format.bits != 32:
        write(IntegerOp("end", "requant", (last,), "end", requant=_one()), out, Format(32, True))
        last = "end"
    return IntegerModel("cell", "input", last, tensors, tuple(ops))


def _one() -> Requant:
    return Requant(np.full(1, 1 << 30, np.int32), np.full(1, 31, np.int32))
