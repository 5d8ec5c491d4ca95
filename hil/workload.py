"""A trained network with its data, ready to be made integers of: what `mico run` and `mico measure` work on."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hil.layer_models import parse_bits
from hil.networks import load_network
from hil.targets.base import Program
from hil.toolchain import RAM_BASE, image_digest, raw_image
from mico.data import Dataset, load
from mico.errors import UsageError
from mico.graph import Graph
from mico.quant.evaluate import Evaluator
from mico.quant.prepare import prepare
from mico.quant.scheme import LayerBits, Scheme
from mico.trace import trace
from mico.train import Progress

__all__ = ["Workload", "image_program", "load_workload", "parse_schemes"]

_ELF = b"\x7fELF"


@dataclass(frozen=True)
class Workload:
    """A trained network, its data, and what makes integers of it."""

    graph: Graph
    dataset: Dataset
    evaluator: Evaluator


def load_workload(
    model: str, dataset: str = "auto", *, seed: int = 0, weights: Path | None = None, progress: Progress | None = None
) -> Workload:
    """Network *model* (name in the zoo, or ``path.py:Class``), trained on *dataset*, calibrated with *seed*."""
    data = load(dataset)
    network = load_network(model, data, seed=seed, weights=weights, progress=progress)
    traced = trace(network.module, data.input_shape, network.name)
    graph, calibration = prepare(traced, data.calibration, seed=seed)
    return Workload(graph, data, Evaluator(graph, calibration, data, network.recipe, seed=seed))


def parse_schemes(bits: str, scheme: Path | None) -> list[tuple[str, Callable[[Graph], Scheme]]]:
    """Schemes by name, each made for a network: of *bits*, or the one in the file *scheme*.

    Parameters
    ----------
    bits
        ``8,4`` (equal bits), ``8x8,8x4`` (activation x weight), ``equal``, ``all``.

    Raises
    ------
    UsageError
        Neither such a text nor such a file.
    """
    if scheme is not None:
        try:
            loaded = Scheme.from_json(json.loads(scheme.read_text()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"no scheme: {error}", where=str(scheme), cure="scheme.json of a campaign, or --bits"
            ) from error
        return [(scheme.stem, lambda _: loaded)]
    words = [f"{word}x{word}" if word in ("8", "4", "2", "1") else word for word in bits.replace(" ", "").split(",")]
    return [(f"{pair.activation}x{pair.weight}", partial(_uniform, pair)) for pair in parse_bits(",".join(words))]


def _uniform(bits: LayerBits, graph: Graph) -> Scheme:
    return Scheme.uniform(graph.layer_names, bits.weight, bits.activation)


def image_program(path: Path, address: int = RAM_BASE, entry: int | None = None) -> Program:
    """A program of an image file: an ELF file, which says where it belongs, or raw bytes for *address*.

    Parameters
    ----------
    entry
        Where it starts; by default the ELF file's entry, or *address*.

    Raises
    ------
    UsageError
        The file cannot be read, is empty, or is an ELF file of another machine.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the image cannot be read: {error}", where=str(path)) from error
    if data.startswith(_ELF):
        if len(data) < 52 or data[4:6] != b"\x01\x01" or struct.unpack_from("<H", data, 18)[0] != 243:
            raise UsageError("no ELF file of a 32-bit RISC-V", where=str(path), cure="build it for the target")
        start, table = struct.unpack_from("<II", data, 24)
        size, count = struct.unpack_from("<HH", data, 42)
        headers = [struct.unpack_from("<IIIII", data, table + size * index) for index in range(count)]
        loads = [physical for kind, _, _, physical, stored in headers if kind == 1 and stored]
        if not loads:
            raise UsageError("the ELF file loads nothing", where=str(path))
        address, entry, data = min(loads), start if entry is None else entry, raw_image(path)
    if not data:
        raise UsageError("the image is empty", where=str(path))
    return Program(
        name=path.name,
        image=data,
        load_address=address,
        entry=address if entry is None else entry,
        digest=image_digest(data),
        toolchain="unknown",
        flash_bytes=len(data),
        ram_bytes=0,
        input_shape=(),
        input_signed=False,
        output_count=0,
    )
