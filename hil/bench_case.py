"""The bench firmware, and the cases that it times without being built or flashed again (firmware/bench/README.md).

A case is a generated model, linked against the symbols of the firmware that runs. Weights that are too large for the
line are made on the device: :func:`random_words` is the counter-based generator that both sides compute.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil import toolchain as tc
from hil.targets.base import Program
from mico.codegen.c import generate, include_dirs, kernel_sources, load_layouts
from mico.codegen.c.layout import TensorLayout, pack_tensor
from mico.errors import ToolError, UsageError
from mico.quant.execute import run
from mico.quant.integer import IntegerModel

__all__ = ["BenchFirmware", "Case", "LoadedCase", "build_bench", "random_words"]

_ROOT = Path(__file__).resolve().parents[1]
_BENCH = _ROOT / "firmware" / "bench"
_RUNTIME = ("runtime/soc.c", "runtime/console.c", "runtime/inference.c", "bench/empty/model.c", "bench/bench.c")
_LARGE_BYTES = 256 * 1024
_MAX_PAYLOAD = 1_000_000
_OWN = ("model_layers", "model_input", "model_output", "bench_case")


@dataclass(frozen=True)
class BenchFirmware:
    """The firmware for one build option of the kernels.

    Attributes
    ----------
    program
        What is flashed.
    simd
        MICO_SIMD of the kernels.
    symbols
        Addresses of its global symbols, for cases to be linked against.
    """

    program: Program
    simd: int
    symbols: Mapping[str, int]

    @property
    def case_base(self) -> int:
        """Address of a case: as ``bench.c`` computes it."""
        return (self.symbols["__end"] + 4095) & ~4095


def build_bench(simd: int, *, cache_dir: str | Path | None = None) -> BenchFirmware:
    """The bench firmware with all kernels of ``MICO_SIMD=simd`` (0, 1 or 2), from the cache or built.

    Raises
    ------
    ToolError
        The compiler is missing, or refuses the sources: with what it printed.
    """
    cache_path = Path(cache_dir) if cache_dir is not None else _ROOT / "build" / "programs"
    entry = cache_path / f"bench-{bench_hash(simd)[:32]}"
    if not (entry / "bench.json").exists():
        with tc.new_entry(entry) as scratch:
            _build(simd, scratch, cache_path / "objects")
    facts = json.loads((entry / "bench.json").read_text())
    image = (entry / "image.bin").read_bytes()
    program = Program(
        name=f"bench-simd{simd}",
        image=image,
        load_address=tc.RAM_BASE,
        entry=tc.RAM_BASE,
        digest=tc.image_digest(image),
        toolchain=" ".join([tc.compiler_version(), *tc.COMPILE_FLAGS, f"-DMICO_SIMD={simd}"]),
        flash_bytes=len(image),
        ram_bytes=facts["ram_bytes"],
        input_shape=(4,),
        input_signed=False,
        output_count=1,
    )
    return BenchFirmware(program, simd, facts["symbols"])


def bench_hash(simd: int) -> str:
    """Hex SHA-256 of all that makes a timed case of a model: firmware, bench, generator, compiler, flags."""
    own = [path for path in _BENCH.rglob("*.*") if path.suffix in (".c", ".h", ".ld")] + [Path(__file__).resolve()]
    return tc.digest_of([tc.firmware_hash(simd=simd).encode(), tc.contents_of(own)])


def _build(simd: int, scratch: Path, objects: Path) -> None:
    flags = [f"-DMICO_SIMD={simd}", *(f"-I{path}" for path in (*include_dirs(), _BENCH / "empty"))]
    headers = tc.headers_in(tc.FIRMWARE)
    sources = [*(tc.FIRMWARE / name for name in (*tc.COMMON_SOURCES, *_RUNTIME)), *kernel_sources(simd)]
    parts = [tc.cached_object(source, flags, headers, objects) for source in sources]
    elf = scratch / "bench.elf"
    script = f"-T{tc.FIRMWARE / 'runtime' / 'program.ld'}"
    base = f"-Wl,--defsym=__ram_base={tc.RAM_BASE:#x}"
    # A case may call any kernel: keep all (picolibc's specs would not).
    options = ["-nostartfiles", "-Wl,--no-gc-sections", "-Wl,--no-warn-rwx-segments", script, base]
    tc.cross_tool("gcc", [*tc.MACHINE_FLAGS, *options, *map(str, parts), "-o", str(elf)])
    (scratch / "image.bin").write_bytes(tc.raw_image(elf))
    facts = {"ram_bytes": tc.section_bytes(elf, ".bss"), "symbols": _symbols(elf)}
    (scratch / "bench.json").write_text(json.dumps(facts))


def _symbols(elf: Path) -> dict[str, int]:
    lines = [line.split() for line in tc.cross_tool("nm", ["-g", "--defined-only", str(elf)]).splitlines()]
    return {name: int(address, 16) for address, _, name in lines}


def _shared(symbols: Mapping[str, int]) -> dict[str, int]:
    """Those that a case may use: not the ones that it defines itself, nor the places of sections."""
    return {name: at for name, at in symbols.items() if name not in _OWN and (name[:2] != "__" or name[-1].isdigit())}


# ---- random words


def random_words(counter: int, count: int) -> NDArray[np.uint32]:
    """Words *counter* .. *counter* + *count* of the generator in ``bench.c``: a mixed-up counter, without state."""
    x = np.arange(counter, counter + count, dtype=np.uint32) * np.uint32(0x9E3779B1)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x85EBCA77)
    words: NDArray[np.uint32] = x ^ x >> np.uint32(13)
    return words


# ---- cases


@dataclass(frozen=True)
class LoadedCase:
    """A case as bytes for one firmware: loaded at ``case_base``, started by ``bench``."""

    image: bytes
    address: int
    filled_bytes: int


@dataclass(frozen=True)
class Case:
    """A model with the input that is timed.

    Attributes
    ----------
    model, x
        ``x`` has one input, ``(1, *shape)``.
    filled
        By operation: the counter from which :func:`random_words` gave its weights, row after row.
    """

    model: IntegerModel
    x: NDArray[Any]
    filled: Mapping[str, int]

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of model and input: with :func:`bench_hash`, all that decides cycles."""
        return tc.digest_of([self.model.digest().encode(), np.ascontiguousarray(self.x).tobytes()])

    @cached_property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """What every operation writes, without batch."""
        _, tensors = run(self.model, self.x, keep=True)
        return {name: value[0] for name, value in tensors.items()}

    def expected(self, layouts: Mapping[str, TensorLayout]) -> dict[str, int]:
        """CRC-32 of every layer's output as it lies in memory, by layer."""
        outputs = {op.name: self.outputs[op.output] for op in self.model.ops}
        return {name: zlib.crc32(_memory(outputs[name], layout)) for name, layout in layouts.items()}

    def link(self, firmware: BenchFirmware, ram_end: int) -> tuple[LoadedCase, dict[str, int]]:
        """Bytes for *firmware*, and the CRC-32 of every layer's output in execution order.

        Raises
        ------
        QuantError, UsageError
            The generator refuses the model, or it is too large for the target's RAM or the line.
        ToolError
            The compiler is missing, or refuses the sources.
        """
        with tempfile.TemporaryDirectory(prefix="mico-case-") as folder:
            scratch = Path(folder)
            generated = generate(self.model, scratch, simd=firmware.simd)
            layouts = load_layouts(scratch / "layout.json")
            large = _extract_large(scratch / "weights.c")
            plans = {name: self._fill(name, words) for name, words in large.items()}
            data = pack_tensor(self.x[0], layouts.input)
            payload_bytes = 4 + sum(32 * len(steps) + literal.nbytes for steps, literal in plans.values()) + len(data)
            payload_bytes = -(-payload_bytes // 4) * 4
            flags = [f"-DMICO_SIMD={firmware.simd}", f"-I{scratch}", f"-I{_BENCH}", f"-I{include_dirs()[0]}"]
            parts = []
            for source in (*generated.sources, _BENCH / "case.c"):
                parts.append(scratch / f"{source.stem}.o")
                tc.compile_source(source, flags, parts[-1])
            script = scratch / "symbols.ld"
            known = {
                name: at for name, at in firmware.symbols.items() if name not in _OWN and not name.startswith("__")
            }
            script.write_text("".join(f"PROVIDE({name} = {at:#x});\n" for name, at in known.items()))
            elf = scratch / "case.elf"
            numbers = {"__case_base": firmware.case_base, "__payload_bytes": payload_bytes, "__ram_end": ram_end}
            defines = [f"-Wl,--defsym={name}={value:#x}" for name, value in numbers.items()]
            options = [*tc.MACHINE_FLAGS, "-nostartfiles", "-nostdlib", "-Wl,--no-warn-rwx-segments", *defines]
            tc.cross_tool("gcc", [*options, f"-T{_BENCH / 'case.ld'}", str(script), *map(str, parts), "-lgcc",
                             "-o", str(elf)])  # fmt: skip
            symbols = _symbols(elf)
            image = tc.raw_image(elf)
        image = image[: symbols["__payload"] - firmware.case_base]
        steps, literals = bytearray(), bytearray()
        count = sum(len(part) for part, _ in plans.values())
        literal_at = symbols["__payload"] + 4 + 32 * count + len(data)
        for name, (part, literal) in plans.items():
            for step in part:
                source_at = literal_at + len(literals) if step.literal else 0
                steps += struct.pack("<8I", symbols[name] + step.start, source_at, *step.numbers())
            literals += literal.astype("<u4").tobytes()
        image += struct.pack("<I", count) + bytes(steps) + data + bytes(literals)
        if len(image) > _MAX_PAYLOAD:
            raise UsageError(
                f"{len(image)} bytes of case, above {_MAX_PAYLOAD}", where=self.model.name, cure="a smaller layer"
            )
        filled = sum(words.nbytes for words in large.values())
        return LoadedCase(image, symbols["bench_case"], filled), self.expected(layouts.layers)

    def _fill(self, array: str, words: NDArray[np.uint32]) -> tuple[list[_Step], NDArray[np.uint32]]:
        """Steps that make *words* on the device, and what of them has to be sent."""
        for op in self.model.ops:
            if op.name in self.filled and array.startswith(f"{op.name}_") and op.weight is not None:
                assert op.weight_format is not None
                rows = len(op.weight)
                row_words = op.weight[0].size * op.weight_format.bits // 32
                for steps, literal in _candidates(words, rows, row_words, self.filled[op.name]):
                    if np.array_equal(_replay(steps, literal, len(words)), words):
                        return steps, literal
        return [_Step(0, True, 1, len(words), 0, 4, 0, 0)], words


@dataclass(frozen=True)
class _Step:
    """``struct bench_step``, with *start* in bytes from the array and whether it copies the next literals."""

    start: int
    literal: bool
    rows: int
    words: int
    row_stride: int
    word_stride: int
    counter: int
    counter_step: int

    def numbers(self) -> tuple[int, ...]:
        return self.rows, self.words, self.row_stride, self.word_stride, self.counter, self.counter_step


def _candidates(
    words: NDArray[np.uint32], rows: int, row_words: int, counter: int
) -> list[tuple[list[_Step], NDArray[np.uint32]]]:
    """Ways in which weights may lie: rows behind headers (the engine's streams), or interleaved in blocks of four."""
    none = np.zeros(0, np.uint32)
    found = []
    header, rest = divmod(len(words) - rows * row_words, rows)
    if rest == 0 and header >= 0:
        stride = header + row_words
        steps = [_Step(4 * header, False, rows, row_words, 4 * stride, 4, counter, row_words)]
        literal = none
        if header:
            steps.append(_Step(0, True, rows, header, 4 * stride, 4, 0, 0))
            literal = np.ascontiguousarray(words.reshape(rows, stride)[:, :header]).reshape(-1)
        found.append((steps, literal))
    if len(words) == rows * row_words and rows % 4 == 0:
        lanes = [
            _Step(4 * n, False, rows // 4, row_words, 16 * row_words, 16, counter + n * row_words, 4 * row_words)
            for n in range(4)
        ]
        found.append((lanes, none))
    return found


def _replay(steps: list[_Step], literal: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """What the device makes of *steps*."""
    memory, used = np.zeros(size, np.uint32), 0
    for step in steps:
        row, word = np.arange(step.rows, dtype=np.int64)[:, None], np.arange(step.words, dtype=np.int64)
        places = (step.start + row * step.row_stride + word * step.word_stride) // 4
        if step.literal:
            memory[places] = literal[used : used + places.size].reshape(places.shape)
            used += places.size
        else:
            total = step.counter_step * (step.rows - 1) + step.words
            memory[places] = random_words(step.counter, total)[row * step.counter_step + word]
    return memory


_ARRAY = re.compile(rb"const uint32_t (\w+)\[(\d+)\] = \{([^}]*)\};")


def _extract_large(source: Path) -> dict[str, NDArray[np.uint32]]:
    """Large arrays of words of a generated weights.c, which leaves them to the device from now on."""
    text = source.read_bytes()
    large: dict[str, NDArray[np.uint32]] = {}

    def keep(found: re.Match[bytes]) -> bytes:
        name, count = found.group(1).decode(), int(found.group(2))
        if 4 * count < _LARGE_BYTES:
            return found.group(0)
        digits = found.group(3).replace(b"0x", b"").translate(None, b" ,\n")
        large[name] = np.frombuffer(bytes.fromhex(digits.decode()), ">u4").astype(np.uint32)
        if len(large[name]) != count:
            raise ToolError(
                f"{len(large[name])} words in an array of {count}", where=name, cure="the generator changed"
            )
        return f'const uint32_t {name}[{count}] __attribute__((section(".large")));'.encode()

    replaced = _ARRAY.sub(keep, text)
    if large:
        source.write_bytes(replaced)
    return large


def _memory(values: NDArray[Any], layout: TensorLayout) -> bytes:
    """Bytes that a layer leaves: packed, without the padding to 4."""
    return pack_tensor(values.reshape(layout.shape), layout)[: (values.size * layout.format.bits + 7) // 8]
