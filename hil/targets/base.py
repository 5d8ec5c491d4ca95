"""What every target offers, and what a measurement on it is made of. One kind of target a file beside this one."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.quant.integer import IntegerModel

__all__ = ["LayerCycles", "Program", "Provenance", "Run", "Target"]


@dataclass(frozen=True)
class Program:
    """What a target loads: an image with its identity and sizes.

    Attributes
    ----------
    name
        Name of the model.
    image
        Raw bytes, loaded at ``load_address``; execution starts at ``entry``.
    digest
        Hex SHA-256 of image and addresses.
    toolchain
        Compiler, its version and flags, one line.
    flash_bytes, ram_bytes
        Read-only and code bytes; writable bytes (data, bss, planned buffers), stack aside.
    input_shape
        Channel first; a sample is sent as 8-bit values, channel last.
    output_count
        Number of int32 logits.
    output_order
        Logit *i* of the model (channel first) is the ``output_order[i]``-th that the target sends; empty: the *i*-th.
    """

    name: str
    image: bytes
    load_address: int
    entry: int
    digest: str
    toolchain: str
    flash_bytes: int
    ram_bytes: int
    input_shape: tuple[int, ...]
    input_signed: bool
    output_count: int
    output_order: tuple[int, ...] = ()


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one layer of the program, in execution order; ``glue`` is what lies between layers."""

    name: str
    cycles: int


@dataclass(frozen=True)
class Run:
    """Outputs and cycles of one execution of a Program.

    Attributes
    ----------
    outputs
        int32, ``(N, output_count)``: one row per input.
    cycles
        Whole inference, from the last input byte in memory to the last output byte written.
    samples
        All timed laps, raw, warm-up left out.
    layers
        Cycles per layer; they add up to ``cycles`` within 1 %, glue included.
    """

    outputs: NDArray[np.int32]
    cycles: int
    samples: tuple[int, ...]
    layers: tuple[LayerCycles, ...]


@dataclass(frozen=True)
class Provenance:
    """Everything that can change a measurement; same key, same measurement.

    Attributes
    ----------
    kind
        Kind of target, for instance ``soc-sim``.
    parameters
        Parameters of the target that are visible to the program: RAM latency and size, CPU, SIMD version.
    hardware
        Hash of RTL and simulator build, or of the bitstream.
    firmware
        Hash of firmware sources, compiler and flags.
    program
        ``Program.digest``.
    clock_hz
        Clock that the cycles count.
    """

    kind: str
    parameters: Mapping[str, str | int]
    hardware: str
    firmware: str
    program: str
    clock_hz: int

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "parameters": dict(sorted(self.parameters.items())),
            "hardware": self.hardware,
            "firmware": self.firmware,
            "program": self.program,
            "clock_hz": self.clock_hz,
        }

    def key(self) -> str:
        """Hex SHA-256: the key of the measurement."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


class Target(ABC):
    """Something that runs a Program and counts cycles. A context manager: nothing is left behind on exit.

    Every method raises a :class:`mico.errors.MicoError` that says what was awaited, what arrived and the likely cause:
    DeviceError (cannot open, died), FlashError, ProtocolError, ProtocolTimeout.

    Attributes
    ----------
    name
        Kind of target, or its name in the lab, for messages.
    simd
        Version of its SIMD unit, SIMD_VERSION in the info block: kernels of that version and below run on it, and plain
        C (0) on anything.
    lab_name
        Name in the lab of the device in use; empty where it has none.
    copies
        Devices that stand behind it: what one of them fails at is worth trying on the next.
    parallel
        Measurements that threads may ask of it at the same time.
    """

    name: str
    simd: int = 0
    lab_name: str = ""
    copies: int = 1
    parallel: int = 1

    @abstractmethod
    def open(self) -> None:
        """Start or connect."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; safe to call twice and in any state."""

    @property
    def asks(self) -> bool:
        """Whether :meth:`provenance` must ask the device: true of a board of which nothing is known yet."""
        return False

    @abstractmethod
    def provenance(self, program: Program) -> Provenance:
        """The key of a measurement of *program* here; needs no open target, but see :attr:`asks`."""

    @abstractmethod
    def flash(self, program: Program) -> None:
        """Load *program*, start it, and check that it is what runs."""

    @abstractmethod
    def info(self) -> dict[str, str]:
        """What the running firmware says of itself (``info%``)."""

    @abstractmethod
    def infer(self, x: NDArray[Any]) -> NDArray[np.int32]:
        """Logits ``(N, output_count)`` of the inputs ``(N, C, H, W)``, int8 or uint8, computed on the target."""

    @abstractmethod
    def measure(self, x: NDArray[Any], *, laps: int = 2, warmup: int = 1) -> Run:
        """Time the inference of the first input of *x* over *laps* after *warmup*; outputs are of that input."""

    def build(self, model: IntegerModel) -> Program:
        """What this target runs for *model*.

        Raises
        ------
        MicoError
            The model cannot be compiled for it; or this kind of target has no compiler.
        """
        raise UsageError(
            f"has no compiler for {model.name!r}", where=self.name, cure="give the campaign a `build` of its own"
        )

    def trouble(self) -> str:
        """Why it could not be opened now, as far as that is plain without opening it; empty where nothing is."""
        return ""

    def rest(self) -> bool:
        """Nothing is wanted of it for now. True: it may be gone, so ``open`` it before it is used again."""
        return False

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        """Profiling counters of each layer, in one more lap on the last input; empty where the target has none."""
        return []

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
