"""Generated C on the host: compiled under AddressSanitizer and UBSan, every layer's output read back."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.codegen.c.layout import load_layouts, pack_tensor, tensor_bytes, unpack_tensor
from mico.codegen.c.sources import KERNELS, include_dirs, kernel_sources
from mico.errors import MeasurementError, ToolError, UsageError

__all__ = ["HostModel"]

_BUILD = Path(__file__).resolve().parents[3] / "build" / "host"
_FLAGS = ("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror")
_SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


class HostModel:
    """A generated model as a host program.

    Parameters
    ----------
    generated_dir
        What :func:`mico.codegen.c.generate` wrote.
    simd
        Kernels: 0 plain C, 1 dot products, 2 streaming engine; the hardware is a C model. As given to ``generate``.
    lanes
        Of the model of the streaming engine.
    sanitize
        Compile with AddressSanitizer and UBSan; any finding is a MeasurementError.

    Raises
    ------
    ToolError
        There is no C compiler, or it refuses the sources.
    """

    def __init__(self, generated_dir: str | Path, simd: int, sanitize: bool = True, *, lanes: int = 4) -> None:
        self.directory = Path(generated_dir)
        self.simd = simd
        self.sanitize = sanitize
        self.lanes = lanes
        self.layouts = load_layouts(self.directory / "layout.json")
        self._flags = (*_FLAGS, *(_SANITIZE if sanitize else ()), f"-DMICO_SIMD={int(simd)}")
        self._flags += tuple(f"-I{path}" for path in include_dirs())
        self._program = self.directory / f"host_{int(simd)}{'_sanitized' if sanitize else ''}"
        sources = [self.directory / "model.c", self.directory / "weights.c", KERNELS / "host" / "driver.c"]
        _compile(
            [*self._flags, f"-I{self.directory}", *map(str, sources), str(self._library()), "-o", str(self._program)]
        )

    def run(
        self, x: NDArray[Any], *, timeout_s: float = 300.0
    ) -> tuple[NDArray[np.int32], dict[str, NDArray[np.int32]]]:
        """Compute *x*, ``(N, C, H, W)`` or ``(N, F)`` integers.

        Returns
        -------
        int32 ``(N, outputs)``, logits in channel-first order, and every layer's output by layer name, ``(N, ...)``
        channel first: as :func:`mico.quant.execute.run` with ``keep``.
        """
        if x.shape[1:] != self.layouts.input.shape:
            raise UsageError(
                f"an input has shape {self.layouts.input.shape}, not {x.shape[1:]}", where=str(self.directory)
            )
        size = tensor_bytes(self.layouts.input)
        data = b"".join(pack_tensor(sample, self.layouts.input)[:size] for sample in x)
        try:
            command = [str(self._program), str(self.lanes)]
            done = subprocess.run(command, input=data, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"no result within {timeout_s} s", where=str(self._program)) from error
        if done.returncode != 0:
            raise MeasurementError(
                f"ended with {done.returncode}: {done.stderr.decode(errors='replace')[-4000:]}",
                where=str(self._program),
            )
        return self._split(done.stdout, len(x))

    def _split(self, data: bytes, count: int) -> tuple[NDArray[np.int32], dict[str, NDArray[np.int32]]]:
        layers = {name: np.empty((count, *layout.shape), np.int32) for name, layout in self.layouts.layers.items()}
        out = self.layouts.output
        position = 0
        logits = []
        for sample in range(count):
            for name, layout in self.layouts.layers.items():
                end = position + tensor_bytes(layout)
                layers[name][sample] = unpack_tensor(data[position:end], layout)
                position = end
            end = position + tensor_bytes(out)
            logits.append(unpack_tensor(data[position:end], out).reshape(-1))
            position = end
        if position != len(data):
            raise MeasurementError(f"wrote {len(data)} bytes, not {position}", where=str(self._program))
        output = np.stack(logits) if logits else np.empty((0, out.elements), np.int32)
        return output.astype(np.int32), layers

    def _library(self) -> Path:
        """The kernels as a static library, compiled once for these sources and flags."""
        sources = kernel_sources(self.simd)
        digest = hashlib.sha256(repr(self._flags).encode())
        for path in sorted(KERNELS.rglob("*.[ch]")):
            digest.update(path.read_bytes())
        library = _BUILD / digest.hexdigest()[:16] / "libkernels.a"
        if library.exists():
            return library
        scratch = library.parent / str(os.getpid())
        scratch.mkdir(parents=True, exist_ok=True)
        objects = []
        for source in sources:
            objects.append(str(scratch / f"{source.stem}.o"))
            _compile([*self._flags, "-c", str(source), "-o", objects[-1]])
        _call(["ar", "rcs", str(scratch / "libkernels.a"), *objects])
        (scratch / "libkernels.a").replace(library)
        shutil.rmtree(scratch)
        return library


def _compile(arguments: list[str]) -> None:
    _call([os.environ.get("CC", "gcc"), *arguments])


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolError(f"{command[0]} is not installed", cure="install gcc and binutils") from error
    if done.returncode != 0:
        raise ToolError(f"failed:\n{done.stderr[-4000:]}", where=" ".join(command))
