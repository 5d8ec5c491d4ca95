"""A compiled program: instructions, memory, where inputs and outputs lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Instruction, encode
from mico.codegen.bitfusion.layout import Place, pack_picture, unpack_picture
from mico.codegen.bitfusion.machine import Machine
from mico.errors import UsageError
from mico.quant.integer import Tensor

__all__ = ["BitFusionProgram"]


@dataclass(frozen=True)
class BitFusionProgram:
    """What :func:`mico.codegen.bitfusion.compiler.compile_model` makes.

    Attributes
    ----------
    name, machine, batch
        Of the network; what it was compiled for; images computed by a run of the program.
    instructions
        The program, END last; the first thing in memory.
    memory_bytes
        Size of the memory window. Offsets count from its start.
    input, output
        Where images go (NHWC, pixels padded to whole bytes) and where the int32 logits come out, each image
        ``input.image`` and ``output.image`` bytes behind the one before.
    marks
        Names of the layers: MARK i stands behind the end of ``marks[i]``.
    predicted
        Cycles at each MARK, and in total, of the compiler's cycle model.
    parts
        (offset, maker) of weights and parameters; empty without weights.
    """

    name: str
    machine: Machine
    batch: int
    instructions: Sequence[Instruction]
    memory_bytes: int
    input: Place
    output: Place
    input_tensor: Tensor
    marks: tuple[str, ...]
    predicted: tuple[int, ...]
    parts: Sequence[tuple[int, Callable[[], NDArray[np.uint8]]]]

    def segments(self) -> list[tuple[int, NDArray[np.uint8]]]:
        """(offset, bytes) of everything but the inputs: instructions, weights, parameters. The rest is zero."""
        made = [(offset, make()) for offset, make in self.parts]
        return [(0, np.frombuffer(encode(self.instructions), np.uint8)), *made]

    def memory(self, x: NDArray[Any] | None = None) -> NDArray[np.uint8]:
        """The whole window, uint8 ``(memory_bytes,)``, with *x* as the input if given."""
        image = np.zeros(self.memory_bytes, np.uint8)
        for offset, data in self.segments():
            image[offset : offset + len(data)] = data
        if x is not None:
            data = self.pack_inputs(x)
            image[self.input.offset : self.input.offset + len(data)] = data
        return image

    def pack_inputs(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        """Bytes at ``input.offset`` of images *x* ``(batch, C, H, W)`` (or ``(batch, F)``).

        Raises
        ------
        UsageError
            *x* has another shape, type or range than the network's input.
        """
        shape = (self.batch, *self.input_tensor.shape)
        form = self.input_tensor.format
        if x.shape != shape or x.dtype != form.dtype:
            raise UsageError(f"inputs are {shape} of {np.dtype(form.dtype)}, not {x.shape} of {x.dtype}")
        if int(x.min()) < form.qmin or int(x.max()) > form.qmax:
            raise UsageError(f"inputs do not fit {form}")
        return pack_picture(x.astype(np.int64), self.input).reshape(-1)

    def unpack_outputs(self, memory: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Logits int32 ``(batch, outputs)`` in the order of ``IntegerModel.run``, of the window's final content."""
        data = memory[self.output.offset : self.output.offset + self.batch * self.output.image]
        return unpack_picture(data.reshape(self.batch, -1), self.output).reshape(self.batch, -1).astype(np.int32)

    def digest(self) -> str:
        """Hex SHA-256 over machine, instructions and constants."""
        head = (self.name, self.machine.parameters(), self.batch, self.memory_bytes, self.marks)
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for offset, data in self.segments():
            digest.update(str(offset).encode())
            digest.update(data.tobytes())
        return digest.hexdigest()
