"""Firmware sources compiled for the host under AddressSanitizer and UBSan; kept under build/ by content."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all")  # fmt: skip
LOADER = ("firmware/boot/loader.c", "firmware/boot/frame.c", "firmware/boot/crc.c")
CONSOLE = (
    "firmware/runtime/host.c",
    "firmware/runtime/console.c",
    "firmware/runtime/text.c",
    "firmware/runtime/inference.c",
    *LOADER,
)
HAND_MODEL = "tests/firmware/runtime/model"


def host_program(name: str, sources: Sequence[str], include: Sequence[str] = ()) -> Path:
    """Path of the program made of *sources*, relative to the repository's root."""
    flags = [*FLAGS, *(f"-I{ROOT / path}" for path in include)]
    digest = hashlib.sha256(repr(flags).encode())
    folders = {ROOT / "firmware" / "boot", ROOT / "firmware" / "runtime", *(ROOT / path for path in include)}
    for path in sorted({ROOT / s for s in sources} | {p for folder in folders for p in folder.glob("*.h")}):
        digest.update(path.read_bytes())
    program = ROOT / "build" / "tests" / f"{name}-{digest.hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        scratch = program.with_suffix(f".{os.getpid()}")
        command = [os.environ.get("CC", "gcc"), *flags, *(str(ROOT / s) for s in sources), "-o", str(scratch)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        scratch.replace(program)
    return program


def host_loader() -> Path:
    """``host_loader.c``: the boot loader as a process."""
    return host_program("host_loader", ["tests/firmware/boot/host_loader.c", *LOADER])


def host_console() -> Path:
    """The console with the model by hand of ``tests/firmware/runtime/model``."""
    return host_program("host_console", [*CONSOLE, f"{HAND_MODEL}/model.c"], [HAND_MODEL])
