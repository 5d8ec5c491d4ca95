"""A corpus as arrays: every measured operation with its counts, its group and its bits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mico.cache import default_cache, write_whole
from mico.errors import UsageError
from mico.graph import Graph
from mico.latency.cells import IN
from mico.latency.corpus import Corpus, NetworkRun, corpus_graph, structure_digest
from mico.latency.engines import OUT_BITS, CountTable, Engine
from mico.latency.features import features, shape_of, tensor_bits
from mico.quant.scheme import BITS, LayerBits

__all__ = ["Operations", "cached_table", "corpus_graphs", "counting_digest"]

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Operations:
    """Operations of all runs of a corpus; arrays of the same length.

    Attributes
    ----------
    network, layer, group
        Names; the group is the shape of the layer, with everything that two layers of the same cost share.
    run
        Index of the run in the corpus.
    role
        ``layer``: a convolution or linear layer by itself; ``in``: the requantisation in front of one; ``other``.
    bits
        ``(n, 3)``: weight, activation (of an ``in``: from, to), output; of ``other`` 0, 0, output.
    counts
        ``(n, K)`` of the engine.
    features
        ``(n, len(FEATURES))``, of a layer; 0 otherwise.
    cycles
        Measured; 0 of what was fused into another operation.
    """

    network: NDArray[np.str_]
    layer: NDArray[np.str_]
    group: NDArray[np.str_]
    run: NDArray[np.int64]
    role: NDArray[np.str_]
    bits: NDArray[np.int64]
    counts: NDArray[np.float64]
    features: NDArray[np.float64]
    cycles: NDArray[np.float64]

    @classmethod
    def of(cls, corpus: Corpus, engine: Engine, graphs: Mapping[str, Graph] | None = None) -> Operations:
        """Of all runs of *corpus*; *graphs* by name, or those of the zoo."""
        graphs = corpus_graphs(corpus) if graphs is None else graphs
        columns: dict[str, list[object]] = defaultdict(list)
        tables = {name: cached_table(engine, graphs[name]) for name in corpus.networks}
        for index, run in enumerate(corpus.runs):
            _add_run(columns, index, run, graphs[run.network], tables[run.network])
        arrays = {name: np.array(values) for name, values in columns.items()}
        return cls(**arrays)

    def __getitem__(self, keep: NDArray[np.bool_]) -> Operations:
        return Operations(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})

    def __len__(self) -> int:
        return len(self.cycles)


def _add_run(columns: dict[str, list[object]], index: int, run: NetworkRun, graph: Graph, table: CountTable) -> None:
    cycles = dict(run.layers)
    bits = {name: int(b[0]) for name, b in tensor_bits(graph, np.array([run.vector])).items()}
    half, position = len(graph.quantisable), 0

    def add(layer: str, group: str, role: str, own: tuple[int, int, int], counts: NDArray[np.float64],
            feature: NDArray[np.float64], measured: int) -> None:  # fmt: skip
        row = (run.network, layer, group, index, role, own, counts, feature, float(measured))
        names = ("network", "layer", "group", "run", "role", "bits", "counts", "features", "cycles")
        for name, value in zip(names, row, strict=True):
            columns[name].append(value)

    for layer in graph.layers:
        out = bits[layer.name]
        if not layer.quantisable:
            counts = table.others[layer.name][OUT_BITS.index(out)]
            if counts.any() and layer.name in cycles:
                group = f"{layer.kind} {layer.in_shapes}->{layer.out_shape} {sorted(layer.attrs.items())}"
                add(layer.name, group, "other", (0, 0, out), counts, np.zeros(10), cycles[layer.name])
            continue
        w, a = run.vector[position], run.vector[half + position]
        i, j, k = position, BITS.index(w), BITS.index(a)
        position += 1
        group = shape_of(layer)
        if layer.name not in cycles:
            raise UsageError(f"no cycles of {layer.name}", where=f"run {index} of the corpus", cure="measure it again")
        source = bits[layer.inputs[0]]
        narrow = cycles.get(f"{layer.name}{IN}")
        if (narrow is None) != (source == a):
            raise UsageError(f"{layer.name} is narrowed where it should not be, or not", where=f"run {index}")
        add(layer.name, group, "layer", (w, a, out), table.layers[i, j, k, OUT_BITS.index(out)],
            features(layer, LayerBits(w, a), out), cycles[layer.name])  # fmt: skip
        if narrow is not None:
            add(layer.name, group, "in", (source, a, a), table.narrowing[i, BITS.index(source), k],
                np.zeros(10), narrow)  # fmt: skip


def corpus_graphs(corpus: Corpus) -> dict[str, Graph]:
    """The zoo's networks of *corpus*; UsageError where one is not built as it was when it was measured."""
    graphs = {}
    for name, structure in corpus.structures.items():
        graphs[name] = corpus_graph(name)
        if structure_digest(graphs[name]) != structure:
            raise UsageError(f"{name} is built otherwise than when the corpus was measured", cure="measure it again")
    return graphs


def cached_table(engine: Engine, graph: Graph) -> CountTable:
    """``engine.table(graph)``, kept in the cache: it depends on the structure of *graph* and the code that counts."""
    path = default_cache() / f"counts-{engine.name}-{_table_key(engine, graph)[:32]}.npz"
    if not path.exists():
        table = engine.table(graph)
        arrays = {f"other:{name}": counts for name, counts in table.others.items()}

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                np.savez_compressed(file, layers=table.layers, narrowing=table.narrowing, **arrays)  # type: ignore[arg-type]

        write_whole(path, write)
    with np.load(path, allow_pickle=False) as data:
        others = {name.removeprefix("other:"): data[name] for name in data.files if name.startswith("other:")}
        return CountTable(data["layers"], data["narrowing"], others)


def _table_key(engine: Engine, graph: Graph) -> str:
    return hashlib.sha256(f"{engine.identity()} {structure_digest(graph)} {counting_digest()}".encode()).hexdigest()


def counting_digest() -> str:
    """Hex SHA-256 of the code that counts what an engine does: compilers included."""
    digest = hashlib.sha256()
    sources = [*(_ROOT / "codegen").rglob("*.py"), *(_ROOT / "latency" / name for name in _COUNTING)]
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()


_COUNTING = ("engines.py", "cells.py", "stream_cost.py", "bitfusion_cost.py", "features.py")
