"""``generate``: an IntegerModel becomes model.h, model.c, weights.h, weights.c and layout.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mico.codegen.c import emit
from mico.codegen.c.layout import ModelLayouts, save_layouts
from mico.codegen.c.program import analyse
from mico.quant.integer import IntegerModel

__all__ = ["GeneratedModel", "generate"]


@dataclass(frozen=True)
class GeneratedModel:
    """Generated files and what they need.

    Attributes
    ----------
    directory
        Where the files are; add it to the include path.
    files
        All of them; ``sources`` are those to compile, with ``kernel_sources(simd)``.
    buffer_bytes, buffer_lower_bound
        Planned activation and scratch memory, and the bytes live in the fullest layer.
    weight_bytes
        Packed weights, biases and requantisation constants: read-only data.
    layer_names
        In the order of ``model_layers``: the operations that run, flatten left out.
    """

    directory: Path
    files: tuple[Path, ...]
    buffer_bytes: int
    buffer_lower_bound: int
    weight_bytes: int
    layer_names: tuple[str, ...]

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(path for path in self.files if path.suffix == ".c")

    def __str__(self) -> str:
        return (
            f"{self.directory.name}: {len(self.layer_names)} layers, buffers {self.buffer_bytes} bytes "
            f"(lower bound {self.buffer_lower_bound}), weights {self.weight_bytes} bytes"
        )


def generate(model: IntegerModel, out_dir: str | Path, *, simd: int = 1) -> GeneratedModel:
    """Write C for *model* into *out_dir*, which is made; the same model gives the same bytes.

    ``simd=2`` is C for the build with the streaming engine. What is made for 0 and 1 is the same.

    Besides C, ``layout.json`` says how the input and every layer's output lie in memory: see
    :func:`mico.codegen.c.layout.load_layouts` and :func:`~mico.codegen.c.layout.unpack_tensor`.

    Raises
    ------
    QuantError
        *model* breaks its contract (an accumulator could overflow, ...) or needs a channel-first flatten on the device.
    UsageError
        A size or name does not fit the kernels; says which layer.
    """
    program = analyse(model, simd)
    directory = Path(out_dir)
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        "model.h": emit.header(program),
        "model.c": emit.source(program),
        "weights.h": emit.weights_header(program),
        "weights.c": emit.weights_source(program),
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    layers = {op.name: program.layouts[op.output] for op in program.ops}
    layouts = ModelLayouts(program.layouts[model.input], program.layouts[model.output], layers)
    save_layouts(directory / "layout.json", layouts)
    return GeneratedModel(
        directory,
        tuple(directory / name for name in (*texts, "layout.json")),
        program.plan.peak,
        program.plan.lower_bound,
        emit.weight_bytes(program),
        tuple(op.name for op in program.ops),
    )
