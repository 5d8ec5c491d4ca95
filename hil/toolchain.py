"""From an IntegerModel to a Program: generate C, compile it with kernels and runtime for RV32IM, link.

Everything is cached by the hash of what goes in: objects of sources that all programs share, programs, the boot ROM.
Entries appear whole or not at all, so that processes may share a cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from hil.targets.base import Program
from mico.codegen.c import generate, include_dirs, kernel_sources, load_layouts, unpack_tensor
from mico.errors import ToolError
from mico.quant.integer import IntegerModel

__all__ = [
    "COMMON_SOURCES",
    "COMPILE_FLAGS",
    "FIRMWARE",
    "MACHINE_FLAGS",
    "RAM_BASE",
    "build_boot_rom",
    "build_program",
    "cached_object",
    "compile_source",
    "compiler_version",
    "contents_of",
    "cross_tool",
    "digest_of",
    "firmware_hash",
    "headers_in",
    "image_digest",
    "new_entry",
    "raw_image",
    "section_bytes",
]

_ROOT = Path(__file__).resolve().parents[1]
FIRMWARE = _ROOT / "firmware"
_CODEGEN = _ROOT / "mico" / "codegen" / "c"
_PREFIX = "riscv64-unknown-elf-"
_CURE = "apt install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf; `mico doctor` checks it"

RAM_BASE = 0x4000_0000
# For every file of a program, kernels and generated code included
MACHINE_FLAGS = ("-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "--specs=picolibc.specs")
COMPILE_FLAGS = (*MACHINE_FLAGS, "-std=c11", "-O2", "-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections")
_LINK = ("-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments")

_BOOT = ("boot/start.S", "boot/main.c", "boot/loader.c", "boot/frame.c", "boot/crc.c", "runtime/uart.c")
# Of every program that is loaded, below FIRMWARE
COMMON_SOURCES = ("runtime/start.S", "runtime/text.c", "runtime/uart.c", "boot/loader.c", "boot/frame.c", "boot/crc.c")
_WITH_MODEL = ("runtime/soc.c", "runtime/console.c", "runtime/inference.c")  # include the generated model.h


def build_program(model: IntegerModel, *, simd: int = 2, cache_dir: str | Path | None = None) -> Program:
    """Firmware that runs *model*.

    Parameters
    ----------
    simd
        Kernels: 2 for the streaming engine, 1 for dot products, 0 the plain reference in C. The SoC's SIMD_VERSION must
        be that or above; start-up says so on the console.
    cache_dir
        Default ``build/programs``. The entry of a program also holds its generated sources and its ELF file.

    Raises
    ------
    QuantError, UsageError
        The generator refuses the model.
    ToolError
        The compiler is missing, or refuses the sources: with what it printed.
    """
    cache_path = Path(cache_dir) if cache_dir is not None else _ROOT / "build" / "programs"
    key = digest_of([model.digest().encode(), firmware_hash(simd=simd).encode()])[:32]
    entry = cache_path / key
    if not (entry / "program.json").exists():
        with new_entry(entry) as scratch:
            _build(model, simd, scratch, cache_path / "objects")
    return _load_program(entry)


def build_boot_rom(cache_dir: str | Path | None = None) -> Path:
    """The boot ROM as text for ``$readmemh``: one 32-bit word in hex a line, from address 0.

    Raises
    ------
    ToolError
        The compiler is missing, or refuses the sources: with what it printed.
    """
    cache_path = Path(cache_dir) if cache_dir is not None else _ROOT / "build" / "boot"
    sources = [FIRMWARE / name for name in _BOOT]
    headers = [*headers_in(FIRMWARE / "boot"), *headers_in(FIRMWARE / "runtime"), FIRMWARE / "boot" / "boot.ld"]
    flags = [*COMPILE_FLAGS]
    key = digest_of([contents_of([*sources, *headers]), repr((flags, _LINK)).encode(), compiler_version().encode()])[
        :32
    ]
    entry = cache_path / key
    if not (entry / "boot.hex").exists():
        with new_entry(entry) as scratch:
            elf = scratch / "boot.elf"
            script = f"-T{FIRMWARE / 'boot' / 'boot.ld'}"
            cross_tool("gcc", [*flags, *_LINK, script, *map(str, sources), "-o", str(elf)])
            image = raw_image(elf)
            words = np.frombuffer(image.ljust(-(-len(image) // 4) * 4, b"\0"), "<u4")
            (scratch / "boot.hex").write_text("".join(f"{word:08x}\n" for word in words))
    return entry / "boot.hex"


@cache
def compiler_version() -> str:
    """First line of what the cross-compiler says of itself."""
    return cross_tool("gcc", ["--version"]).splitlines()[0]


def firmware_hash(*, simd: int = 2) -> str:
    """Hex SHA-256 of all that makes a program from a model: firmware, generator, compiler, flags."""
    sources = [path for name in ("boot", "runtime", "kernels") for path in (FIRMWARE / name).rglob("*")]
    files = [path for path in sources if path.suffix in (".c", ".h", ".S", ".ld")] + sorted(_CODEGEN.rglob("*.py"))
    flags = repr((COMPILE_FLAGS, _LINK, int(simd)))
    return digest_of([contents_of(files), flags.encode(), compiler_version().encode()])


def _build(model: IntegerModel, simd: int, scratch: Path, objects: Path) -> None:
    generated = generate(model, scratch / "generated", simd=simd)
    common = [f"-DMICO_SIMD={int(simd)}", *(f"-I{path}" for path in include_dirs())]
    headers = [*headers_in(FIRMWARE), *(header for path in include_dirs() for header in headers_in(path))]
    parts = [
        cached_object(source, common, headers, objects)
        for source in (*(FIRMWARE / name for name in COMMON_SOURCES), *kernel_sources(simd))
    ]
    own = [*common, f"-I{generated.directory}"]
    for source in (*generated.sources, *(FIRMWARE / name for name in _WITH_MODEL)):
        parts.append(scratch / f"{source.stem}.o")
        compile_source(source, own, parts[-1])
    elf = scratch / "program.elf"
    script = f"-T{FIRMWARE / 'runtime' / 'program.ld'}"
    cross_tool(
        "gcc",
        [*MACHINE_FLAGS, *_LINK, script, f"-Wl,--defsym=__ram_base={RAM_BASE:#x}", *map(str, parts), "-o", str(elf)],
    )
    image = raw_image(elf)
    layouts = load_layouts(generated.directory / "layout.json")
    count = layouts.output.elements
    order = unpack_tensor(np.arange(count, dtype="<i4").tobytes(), layouts.output).reshape(-1)
    program = Program(
        name=model.name,
        image=image,
        load_address=RAM_BASE,
        entry=RAM_BASE,
        digest=image_digest(image),
        toolchain=" ".join([compiler_version(), *COMPILE_FLAGS, *common[:1]]),
        flash_bytes=len(image),
        ram_bytes=section_bytes(elf, ".bss"),
        input_shape=layouts.input.shape,
        input_signed=layouts.input.format.signed,
        output_count=count,
        output_order=tuple(int(place) for place in order),
    )
    for path in scratch.glob("*.o"):
        path.unlink()
    (scratch / "image.bin").write_bytes(image)
    description = {key: value for key, value in asdict(program).items() if key != "image"}
    (scratch / "program.json").write_text(json.dumps(description, indent=1))


def _load_program(entry: Path) -> Program:
    description = json.loads((entry / "program.json").read_text())
    for key in ("input_shape", "output_order"):
        description[key] = tuple(description[key])
    program = Program(image=(entry / "image.bin").read_bytes(), **description)
    if image_digest(program.image) != program.digest:
        raise ToolError("the cached image is damaged", where=str(entry), cure="remove this folder and build again")
    return program


def image_digest(image: bytes) -> str:
    """``Program.digest`` of an image that lies and starts at ``RAM_BASE``."""
    return digest_of([image, f"{RAM_BASE:#x} {RAM_BASE:#x}".encode()])


def cached_object(source: Path, flags: Sequence[str], headers: Iterable[Path], directory: Path) -> Path:
    """Object file of *source*, from *directory* or compiled into it.

    Its key holds the contents of *source* and *headers*, the flags and the compiler.

    Raises
    ------
    ToolError
        As :func:`compile_source`.
    """
    key = digest_of(
        [contents_of([source, *headers]), repr((COMPILE_FLAGS, flags)).encode(), compiler_version().encode()]
    )[:32]
    target = directory / f"{source.stem}-{key}.o"
    if not target.exists():
        directory.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}.tmp.o")
        try:
            compile_source(source, flags, scratch)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    return target


def compile_source(source: Path, flags: Sequence[str], target: Path) -> None:
    """Compile *source* with ``COMPILE_FLAGS`` and *flags* to the object file *target*.

    Raises
    ------
    ToolError
        The compiler is missing, or refuses the source: with what it printed.
    """
    cross_tool("gcc", [*COMPILE_FLAGS, *flags, "-c", str(source), "-o", str(target)])


def raw_image(elf: Path) -> bytes:
    """What an ELF file loads, as bytes from its lowest address on."""
    out = elf.with_suffix(".bin")
    cross_tool("objcopy", ["-O", "binary", str(elf), str(out)])
    image = out.read_bytes()
    out.unlink()
    return image


def section_bytes(elf: Path, section: str) -> int:
    """Size of a section; ToolError where there is none of that name."""
    for line in cross_tool("size", ["-A", "-d", str(elf)]).splitlines():
        words = line.split()
        if words[:1] == [section]:
            return int(words[1])
    raise ToolError(f"no section {section}", where=str(elf), cure="the linker script changed")


def cross_tool(name: str, arguments: Sequence[str], timeout_s: float = 120.0) -> str:
    """Run ``riscv64-unknown-elf-`` *name*; returns what it prints.

    Raises
    ------
    ToolError
        It is not installed, fails, or does not end within *timeout_s*.
    """
    command = [_PREFIX + name, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]} is not installed", cure=_CURE) from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"did not end within {timeout_s:g} s", where=command[0]) from error
    if done.returncode != 0:
        text = done.stderr.strip() or done.stdout.strip()
        where = f"{command[0]} {Path(arguments[-1]).name}"
        raise ToolError(f"failed:\n{text[-4000:]}", where=where, cure=_cure_of(text))
    return done.stdout


def _cure_of(text: str) -> str:
    if "picolibc.specs" in text:
        return _CURE
    if "does not fit" in text or "overflowed" in text:
        return "a smaller model, or fewer bits"
    return "an error in the firmware's or generated sources"


def headers_in(directory: Path) -> list[Path]:
    """All headers below *directory*, sorted."""
    return sorted(directory.rglob("*.h"))


def contents_of(paths: Iterable[Path]) -> bytes:
    """SHA-256 over names (from the repository's root) and contents of files, in whatever order they are given."""
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        digest.update(f"{path.relative_to(_ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def digest_of(parts: Iterable[bytes]) -> str:
    """Hex SHA-256 over the hashes of *parts*: where one ends and the next begins matters."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


class new_entry:  # noqa: N801
    """A scratch folder that becomes *entry* when the block ends well; another process may have been faster."""

    def __init__(self, entry: Path) -> None:
        self._entry = entry

    def __enter__(self) -> Path:
        self._entry.parent.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=self._entry.parent))
        return self._scratch

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        try:
            if kind is None:
                self._scratch.rename(self._entry)
        except OSError:
            if not self._entry.is_dir():
                raise
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
