"""Where the kernels are, and which of them a build compiles."""

from __future__ import annotations

from pathlib import Path

__all__ = ["KERNELS", "include_dirs", "kernel_sources"]

KERNELS = Path(__file__).resolve().parents[3] / "firmware" / "kernels"


def include_dirs() -> list[Path]:
    """Folders for ``-I``: generated code and kernels include from here."""
    return [KERNELS]


def kernel_sources(simd: int) -> list[Path]:
    """C files to compile with ``-DMICO_SIMD=<simd>`` for a program of ``generate(..., simd=simd)``.

    0: plain C; 1: a file in ``simd/`` replaces its namesake; 2: besides, those that use the streaming engine, and its
    host model, which is empty on the core. Compile with ``-ffunction-sections`` and link with ``--gc-sections``: few of
    the dot products are used.
    """
    files = {path.name: path for path in sorted((KERNELS / "plain").glob("*.c"))}
    if simd:
        files |= {path.name: path for path in sorted((KERNELS / "simd").glob("*.c"))}
    if simd == 2:
        files |= {path.name: path for path in sorted((KERNELS / "stream").glob("*.c"))}
        files["mico_stream_host.c"] = KERNELS / "mico_stream_host.c"
    return [files[name] for name in sorted(files)]
