"""Where the kernels are, and which of them a build compiles."""

from __future__ import annotations

from pathlib import Path

__all__ = ["KERNELS", "include_dirs", "kernel_sources"]

KERNELS = Path(__file__).resolve().parents[3] / "firmware" / "kernels"


def include_dirs() -> list[Path]:
    """Folders for ``-I``: generated code and kernels include from here."""
    return [KERNELS]


def kernel_sources(simd: bool) -> list[Path]:
    """C files to compile with ``-DMICO_SIMD=1`` or ``=0``: in the SIMD build a file in ``simd/`` replaces its namesake.

    Compile with ``-ffunction-sections`` and link with ``--gc-sections``: few of the dot products are used.
    """
    files = {path.name: path for path in sorted((KERNELS / "plain").glob("*.c"))}
    if simd:
        files |= {path.name: path for path in sorted((KERNELS / "simd").glob("*.c"))}
    return [files[name] for name in sorted(files)]
