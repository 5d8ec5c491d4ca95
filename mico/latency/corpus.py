"""Measured cycles of every layer of whole networks: what latency models are fitted on and judged by.

A file of a corpus is JSON and says which target it was measured on. Weights are random: cycles do not depend on them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mico.errors import UsageError
from mico.graph import Graph
from mico.latency import corners
from mico.models import get
from mico.trace import trace

__all__ = ["CORNERS", "FORMAT", "Corpus", "NetworkRun", "corpus_graph", "structure_digest"]

CORNERS = "corners"
"""Name of the network of corner cases beside those of the zoo."""

FORMAT = "mico-latency-corpus-1"


@dataclass(frozen=True)
class NetworkRun:
    """One inference of a network of the zoo.

    Attributes
    ----------
    vector
        Its scheme, as :meth:`mico.quant.scheme.Scheme.vector`.
    layers
        Name and cycles of each layer in execution order, ``glue`` included.
    """

    network: str
    vector: tuple[int, ...]
    layers: tuple[tuple[str, int], ...]

    @property
    def cycles(self) -> int:
        return sum(cycles for _, cycles in self.layers)

    @property
    def uniform(self) -> bool:
        """Whether all layers have the same pair of bits."""
        half = len(self.vector) // 2
        return len(set(self.vector[:half])) == len(set(self.vector[half:])) == 1


@dataclass(frozen=True)
class Corpus:
    """Runs on one target.

    Attributes
    ----------
    target
        Everything of the target that can change cycles: kind, parameters, hardware, firmware, clock_hz.
    structures
        :func:`structure_digest` of every network, by name.
    """

    target: Mapping[str, Any]
    structures: Mapping[str, str]
    runs: tuple[NetworkRun, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(self.structures)

    def of(self, network: str) -> tuple[NetworkRun, ...]:
        """Runs of *network*."""
        return tuple(run for run in self.runs if run.network == network)

    def digest(self) -> str:
        """Hex SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        networks = {}
        for name, structure in self.structures.items():
            runs = self.of(name)
            names = list(dict.fromkeys(layer for run in runs for layer, _ in run.layers))
            place = {layer: index for index, layer in enumerate(names)}
            networks[name] = {
                "structure": structure,
                "layers": names,
                "runs": [[list(run.vector), [[place[layer], cycles] for layer, cycles in run.layers]] for run in runs],
            }
        return {"format": FORMAT, "target": dict(self.target), "networks": networks}

    @classmethod
    def from_json(cls, data: Any, where: str = "corpus") -> Corpus:
        """Inverse of :meth:`to_json`; UsageError for anything else."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError(f"not a corpus of the format {FORMAT}", where=where, cure="measure it again")
        try:
            runs = [
                NetworkRun(name, tuple(map(int, vector)), tuple((part["layers"][i], int(c)) for i, c in layers))
                for name, part in data["networks"].items()
                for vector, layers in part["runs"]
            ]
            structures = {name: str(part["structure"]) for name, part in data["networks"].items()}
            return cls(dict(data["target"]), structures, tuple(runs))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise UsageError(f"a damaged corpus: {error!r}", where=where, cure="measure it again") from error

    def save(self, path: Path) -> None:
        """Write it, whole or not at all; a run a line."""
        text = json.dumps(self.to_json(), separators=(",", ":")).replace("]]],[[", "]]],\n[[")
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
        scratch.write_text(text + "\n")
        os.replace(scratch, path)

    @classmethod
    def load(cls, path: Path) -> Corpus:
        """Read it; UsageError where there is no such file or it is damaged."""
        try:
            data = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"no corpus: {error}", where=str(path), cure="`mico latency fit` measures one") from error
        return cls.from_json(data, str(path))

    def merged(self, runs: Sequence[NetworkRun]) -> Corpus:
        """With *runs* of the same networks added."""
        return Corpus(self.target, self.structures, (*self.runs, *runs))


def corpus_graph(name: str, seed: int = 0) -> Graph:
    """Network *name* of the zoo, or the one of corner cases, with random weights."""
    source = corners if name == CORNERS else get(name)
    return trace(source.build(seed).eval(), source.INPUT_SHAPE, name)


def structure_digest(graph: Graph) -> str:
    """Hex SHA-256 of all of *graph* that can change cycles: everything but the values of its parameters."""
    parts = [
        (layer.name, str(layer.kind), layer.inputs, layer.in_shapes, layer.out_shape, sorted(layer.attrs.items()),
         None if layer.weight is None else layer.weight.shape, layer.bias is None, layer.relu)
        for layer in graph.layers
    ]  # fmt: skip
    return hashlib.sha256(repr((graph.input_shape, parts)).encode()).hexdigest()
