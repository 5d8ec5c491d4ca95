"""The text of generated C: descriptors of operations, packed weights, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import TensorLayout, pack_weights, tensor_bytes, weight_row_steps, weight_row_words
from mico.codegen.c.program import CProgram, matrices, needs_mask, normalised
from mico.codegen.c.stream import StreamKernel, StreamLayer
from mico.errors import UsageError
from mico.graph import OpKind
from mico.quant.integer import IntegerOp

__all__ = ["header", "source", "weight_bytes", "weights_header", "weights_source"]

_GENERATED = "// Generated from an integer model; do not edit.\n"


def _shape(layout: TensorLayout) -> str:
    return "(" + ", ".join(map(str, layout.shape)) + f") {layout.format}"


def _dimensions(layout: TensorLayout) -> tuple[int, int, int]:
    """Height, width, channels as the kernels see them."""
    if len(layout.shape) == 3:
        return layout.shape[1], layout.shape[2], layout.shape[0]
    return 1, 1, layout.elements


def _array(type_name: str, name: str, values: Iterable[str], per_line: int) -> str:
    items = list(values)
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return f"const {type_name} {name}[{len(items)}] = {{\n    " + ",\n    ".join(lines) + ",\n};\n"


def _limit(op: IntegerOp, **fields: tuple[int, int]) -> None:
    for name, (value, limit) in fields.items():
        if value > limit:
            raise UsageError(f"{name} {value} is above {limit}, what the kernels hold", where=op.name)


# --- weights ---------------------------------------------------------------------------------------------------------


def _packed(program: CProgram, op: IntegerOp) -> NDArray[np.uint32]:
    assert op.weight_format is not None
    source = program.layouts[op.inputs[0]]
    return np.concatenate([pack_weights(m, op.weight_format, source.format.bits) for m in matrices(op, source)])


def _stream(program: CProgram, op: IntegerOp) -> StreamLayer | None:
    layer = program.engine.get(op.name)
    return layer if isinstance(layer, StreamLayer) else None


def _weighted(program: CProgram) -> list[IntegerOp]:
    return [op for op in program.ops if op.weight is not None]


def weight_bytes(program: CProgram) -> int:
    """Bytes of packed weights, biases and requantisation constants."""
    total = 0
    for op in program.ops:
        if stream := _stream(program, op):
            total += 4 * len(stream.rows)
        elif op.weight is not None:
            total += 4 * len(_packed(program, op)) + 12 * len(op.weight)
        elif op.kind is OpKind.CONCAT:
            total += 8 * len(op.inputs)
    return total


def weights_header(program: CProgram) -> str:
    lines = [_GENERATED, "#ifndef WEIGHTS_H\n#define WEIGHTS_H\n", '#include "mico_kernels.h"\n']
    for op in _weighted(program):
        if stream := _stream(program, op):
            lines.append(f"extern const uint32_t {op.name}_rows[{len(stream.rows)}];\n")
            continue
        outputs = len(normalised(op.requant)) if op.requant else 0
        lines.append(f"extern const uint32_t {op.name}_weights[{len(_packed(program, op))}];")
        lines.append(f"extern const int32_t {op.name}_bias[{outputs}];")
        lines.append(f"extern const struct mico_scale {op.name}_scales[{outputs}];\n")
    return "\n".join([*lines, "#endif\n"])


def weights_source(program: CProgram) -> str:
    parts = [_GENERATED, '#include "weights.h"\n']
    for op in _weighted(program):
        assert op.weight is not None
        assert op.weight_format is not None
        assert op.requant is not None
        if stream := _stream(program, op):
            parts += [
                f"// {op.name}: {op.weight.shape} {op.weight_format}, a row: constants, weights",
                _array("uint32_t", f"{op.name}_rows", (f"0x{w:08x}" for w in stream.rows.tolist()), 8),
            ]
            continue
        source_bits = program.layouts[op.inputs[0]].format.bits
        columns = int(np.prod(op.weight.shape[1:]))
        padded = weight_row_words(columns, source_bits, op.weight_format.bits) * 32 // op.weight_format.bits
        bias = np.zeros(len(op.weight), np.int32) if op.bias is None else op.bias
        parts += [
            f"// {op.name}: {op.weight.shape} {op.weight_format}, rows of {columns} padded to {padded}",
            _array("uint32_t", f"{op.name}_weights", (f"0x{w:08x}" for w in _packed(program, op).tolist()), 8),
            _array("int32_t", f"{op.name}_bias", (_int32(b) for b in bias.tolist()), 10),
            _array("struct mico_scale", f"{op.name}_scales", (f"{{{m}, {s}}}" for m, s in normalised(op.requant)), 5),
        ]
    return "\n".join(parts)


def _int32(value: int) -> str:
    return "INT32_MIN" if value == -(1 << 31) else str(value)


# --- model.h ---------------------------------------------------------------------------------------------------------


def header(program: CProgram) -> str:
    model = program.model
    source, out = program.layouts[model.input], program.layouts[model.output]
    if not re.fullmatch(r"[ -~]+", model.name) or '"' in model.name or "\\" in model.name:
        raise UsageError(f"the name {model.name!r} does not fit a C string and one line of text", where="model name")
    return f"""{_GENERATED}#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#define MODEL_NAME "{model.name}"
#define MODEL_ID "{model.digest()[:16]}" // first digits of the integer model's digest
#define MODEL_INPUT_BYTES {tensor_bytes(source)} // {_shape(source)}, channel last
#define MODEL_INPUT_SIGNED {int(source.format.signed)}
#define MODEL_OUTPUT_COUNT {out.elements} // {_shape(out)}, channel last
#define MODEL_LAYER_COUNT {len(program.ops)}
#define MODEL_BUFFER_BYTES {program.plan.peak} // lower bound {program.plan.lower_bound}

struct model_layer {{
    const char *name;
    void (*run)(void);
    const void *output; // packed output tensor, valid until the buffer is reused
    uint32_t output_bytes;
}};

extern const struct model_layer model_layers[MODEL_LAYER_COUNT];

// The caller writes MODEL_INPUT_BYTES here before each inference; the buffer may be reused by it.
uint8_t *model_input(void);
const int32_t *model_output(void);

#endif
"""


# --- model.c ---------------------------------------------------------------------------------------------------------


def source(program: CProgram) -> str:
    model = program.model
    parts = [
        _GENERATED
        + '#include "model.h"\n#include "mico_kernels.h"\n'
        + ('#include "mico_stream.h"\n' if program.engine else "")
        + '#include "weights.h"\n',
        _plan_comment(program),
        "static uint32_t arena[MODEL_BUFFER_BYTES / 4];\n#define ARENA(offset) (&arena[(offset) / 4])\n",
    ]
    for op in program.ops:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", op.name):
            raise UsageError("the layer's name is no C identifier", where=op.name)
        parts.append(_operation(program, op))
    rows = [
        f'    {{"{op.name}", run_{op.name}, ARENA({program.offset(op.output)}), '
        f"{tensor_bytes(program.layouts[op.output])}}},"
        for op in program.ops
    ]
    parts.append("const struct model_layer model_layers[MODEL_LAYER_COUNT] = {\n" + "\n".join(rows) + "\n};\n")
    parts.append(
        f"uint8_t *model_input(void)\n{{\n    return (uint8_t *)ARENA({program.offset(model.input)});\n}}\n\n"
        "const int32_t *model_output(void)\n"
        f"{{\n    return (const int32_t *)ARENA({program.offset(model.output)});\n}}\n"
    )
    return "\n".join(parts)


def _plan_comment(program: CProgram) -> str:
    lines = [
        f"// Buffers: {program.plan.peak} bytes, lower bound {program.plan.lower_bound}.",
        "// Offset, bytes, name: first and last layer",
    ]
    names = [op.name for op in program.ops]
    for b in sorted(program.buffers, key=lambda b: (b.first, program.plan.offsets[b.name])):
        lines.append(f"//   {program.plan.offsets[b.name]:6} {b.size:6}  {b.name}: {names[b.first]} .. {names[b.last]}")
    return "\n".join(lines)


def _tensor(program: CProgram, name: str) -> str:
    layout = program.layouts[name]
    height, width, channels = _dimensions(layout)
    form = layout.format
    return f"{{ARENA({program.offset(name)}), {height}, {width}, {channels}, {form.bits}, {int(form.signed)}}}"


def _fields(op: IntegerOp, *, groups: bool) -> list[str]:
    kernel = (op.weight.shape[2], op.weight.shape[3]) if op.weight is not None else op.pair("kernel")
    stride, padding = op.pair("stride"), op.pair("padding")
    _limit(op, kernel=(max(kernel), 255), stride=(max(stride), 255), padding=(max(padding), 255))
    lines = [
        f".kernel_height = {kernel[0]}, .kernel_width = {kernel[1]}",
        f".stride_height = {stride[0]}, .stride_width = {stride[1]}",
        f".pad_height = {padding[0]}, .pad_width = {padding[1]}",
    ]
    if groups:
        _limit(op, groups=(op.number("groups"), 65535))
        lines.append(f".groups = {op.number('groups')}")
    return lines


def _weighted_fields(program: CProgram, op: IntegerOp) -> list[str]:
    assert op.weight_format is not None
    form, bits = program.layouts[op.inputs[0]].format, op.weight_format.bits
    lines = [
        f".weight_bits = {bits}",
        f".weights = {op.name}_weights",
        f".bias = {op.name}_bias",
        f".scales = {op.name}_scales",
        f".dot = MICO_DOT({form}, {bits})",
    ]
    if needs_mask(op, program.layouts[op.inputs[0]]):
        lines.append(f".dot_mask = MICO_DOT(u1, {bits})")
    return [*lines, f".scratch = ARENA({program.scratch(op)})"]


def _operation(program: CProgram, op: IntegerOp) -> str:
    out = program.layouts[op.output]
    tensors = [f".input = {_tensor(program, op.inputs[0])}", f".output = {_tensor(program, op.output)}"]
    scales = [] if op.requant is None or op.kind is OpKind.ADD else normalised(op.requant)
    single = [f".scale = {{{m}, {s}}}" for m, s in scales[:1]]
    before = ""
    if stream := _stream(program, op):
        return _stream_operation(program, op, stream)
    match op.kind:
        case OpKind.CONV2D:
            kernel, fields = "conv2d", [*tensors, *_fields(op, groups=True), *_weighted_fields(program, op)]
        case OpKind.LINEAR:
            kernel, fields = "linear", [*tensors, *_weighted_fields(program, op)]
        case OpKind.MAX_POOL:
            kernel, fields = "max_pool", [*tensors, *_fields(op, groups=False)]
        case OpKind.AVG_POOL:
            kernel, fields = "avg_pool", [*tensors, *_fields(op, groups=False), *single]
        case OpKind.GLOBAL_AVG_POOL:
            kernel, fields = "global_avg_pool", [*tensors, *single]
        case OpKind.ADD:
            assert op.requant is not None
            pair = ", ".join(map(str, op.requant.multiplier.tolist()))
            inputs = ", ".join(_tensor(program, name) for name in op.inputs)
            fields = [f".input = {{{inputs}}}", tensors[1], f".multiplier = {{{pair}}}"]
            kernel, fields = "add", [*fields, f".shift = {op.requant.shift[0]}"]
        case OpKind.CONCAT:
            rows = ",\n    ".join(_tensor(program, name) for name in op.inputs)
            pairs = ", ".join(f"{{{m}, {s}}}" for m, s in scales)
            before = (
                f"static const struct mico_tensor inputs_{op.name}[] = {{\n    {rows},\n}};\n"
                f"static const struct mico_scale scales_{op.name}[] = {{{pairs}}};\n"
            )
            fields = [f".count = {len(op.inputs)}", f".input = inputs_{op.name}", f".scales = scales_{op.name}"]
            kernel, fields = "concat", [*fields, tensors[1]]
        case "requant":
            kernel, fields = "requant", [*tensors, *single]
        case _:
            raise UsageError(f"the C generator has no kernel for {op.kind!r}", where=op.name)
    struct = {"max_pool": "pool", "avg_pool": "pool", "global_avg_pool": "global_pool"}.get(kernel, kernel)
    inputs = ", ".join(_shape(program.layouts[name]) for name in op.inputs)
    body = "".join(f"    {field},\n" for field in fields)
    prefix = "stream_" if isinstance(program.engine.get(op.name), StreamKernel) else ""
    return (
        f"// {op.name}: {kernel} {inputs} -> {_shape(out)}\n{_choice(program, op)}{before}"
        f"static const struct mico_{struct} op_{op.name} = {{\n{body}}};\n\n"
        f"static void run_{op.name}(void)\n{{\n    mico_{prefix}{kernel}(&op_{op.name});\n}}\n"
    )


def _stream_operation(program: CProgram, op: IntegerOp, layer: StreamLayer) -> str:
    """A layer that the streaming engine computes."""
    inputs = _shape(program.layouts[op.inputs[0]])
    numbers = [f".{name} = {value}" for name, value in layer.fields.items()]
    fields = [
        f".input = ARENA({program.offset(op.inputs[0])})",
        f".output = ARENA({program.offset(op.output)})",
        f".weights = {op.name}_rows",
        f".config = {layer.config}",
        *(", ".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5)),
    ]
    body = "".join(f"    {field},\n" for field in fields)
    notes = "".join(f"// {note}\n" for note in layer.notes)
    return (
        f"// {op.name}: {op.kind} {inputs} -> {_shape(program.layouts[op.output])}\n{notes}"
        f"static const struct mico_stream_conv2d op_{op.name} = {{\n{body}}};\n\n"
        f"static void run_{op.name}(void)\n{{\n    mico_stream_conv2d(&op_{op.name});\n}}\n"
    )


def _choice(program: CProgram, op: IntegerOp) -> str:
    """Comment: which unit computes it, why, which dot product runs and what its padding costs."""
    choice = program.engine.get(op.name)
    engine = [f"// not on the streaming engine: {choice}"] if isinstance(choice, str) else []
    engine += [f"// {choice.note}"] if isinstance(choice, StreamKernel) else []
    if op.weight is None or op.weight_format is None:
        return "".join(f"{line}\n" for line in engine)
    form, bits = program.layouts[op.inputs[0]].format, op.weight_format.bits
    columns = int(np.prod(op.weight.shape[1:]))
    lanes, per_step = 32 // max(form.bits, bits), 32 // min(form.bits, bits)
    steps = weight_row_steps(columns, form.bits, bits)
    lines: Sequence[str] = [
        *engine,
        f"// SIMD: {form} by {op.weight_format} activations and weights, {lanes} products an instruction; "
        f"rows of {columns} in {steps} steps of {per_step}",
    ]
    if needs_mask(op, program.layouts[op.inputs[0]]):
        lines = [*lines, "// {-1, +1} has no zero: what padding adds at the border is subtracted again (dot_mask)"]
    return "\n".join(lines) + "\n"
