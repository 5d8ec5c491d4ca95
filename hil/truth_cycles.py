"""Cycles of every scheme of a TruthTable, summed from layers that were measured.

What a layer takes depends on its own operations alone: its bits, and the formats of what it reads and writes. So few
whole networks are measured, chosen so that every layer occurs with all bits that it has in any scheme, and every other
scheme is the sum of its layers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.bench import Pool
from hil.measured import measure_program
from hil.records import Measurement
from hil.store import Store
from hil.truth import TruthJob, build_table
from mico.quant.lower import lower
from mico.quant.prefix import PrefixEvaluator
from mico.quant.scheme import Scheme
from mico.search.truth import TruthTable

__all__ = ["Check", "check_cycles", "complete_table", "cover", "with_cycles"]

GLUE = -1
"""Layer of the cycles between the layers."""

_CHECKED = 10  # random schemes measured whole

Progress = Callable[[int, int], None]
"""Told the programs that were measured and how many there are."""
Stages = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is."""


@dataclass(frozen=True)
class Check:
    """Sums of layers against whole networks that were measured: relative errors, 0.001 is 0.1 %."""

    schemes: int
    mean: float
    worst: float


def complete_table(
    job: TruthJob,
    path: Path,
    benches: Mapping[str, Pool],
    store: Store,
    *,
    processes: int = 1,
    progress: Stages | None = None,
) -> TruthTable:
    """The table at *path* with cycles on all *benches*, by name: what is missing or stale is made, and written there.

    Raises
    ------
    UsageError
        The file is damaged, or the network has too many schemes.
    MicoError
        What lowering, building or measuring a network raised.
    """
    report = progress or (lambda _stage, _done, _of: None)
    table = build_table(job, path, processes=processes, progress=lambda done, of: report("accuracy", done, of))
    for name, bench in benches.items():
        identity = _identity(job, bench)
        if table.meta.get("targets", {}).get(name) != identity:
            table = with_cycles(table, job, name, bench, store, progress=partial(report, f"cycles on {name}"))
            table = replace(table, meta={**table.meta, "targets": {**table.meta.get("targets", {}), name: identity}})
            table.save(path)
    return table


def _identity(job: TruthJob, bench: Pool) -> dict[str, Any]:
    """What cycles depend on besides the schemes: hardware, firmware, parameters of the target."""
    model = lower(job.graph, Scheme.uniform(job.space.names, 8), job.calibration)
    identity = bench.provenance(bench.build(model)).to_json()
    del identity["program"]
    return identity


def with_cycles(
    table: TruthTable, job: TruthJob, name: str, bench: Pool, store: Store, *, progress: Progress | None = None
) -> TruthTable:
    """*table* with the cycles on the target *bench*, under *name*; the store remembers what was measured.

    Raises
    ------
    MicoError
        What building or measuring a network raised.
    """
    space = job.space
    vectors = table.vectors(np.arange(space.size))
    evaluator = PrefixEvaluator(job.graph, job.calibration)
    codes = evaluator.codes(vectors)
    chosen = cover(codes)
    report = progress or (lambda _done, _of: None)
    seen: dict[tuple[int, int], list[int]] = defaultdict(list)
    glue: list[int] = []
    for done, index in enumerate(chosen):
        report(done, len(chosen))
        found = _measure(job, vectors[index], bench, store)
        cycles, rest = _by_layer(job, found)
        for layer, code in enumerate(codes[index].tolist()):
            seen[layer, code].append(cycles[layer])
        glue.append(rest)
    report(len(chosen), len(chosen))
    between = round(float(np.mean(glue)))
    total = np.full(space.size, between, dtype=np.int64)
    rows = [[GLUE, 0, 0, 0, 0, between]]
    for layer in range(codes.shape[1]):
        values, where = np.unique(codes[:, layer], return_inverse=True)
        each = np.array([round(float(np.mean(seen[layer, int(code)]))) for code in values], dtype=np.int64)
        total += each[where]
        rows += [
            [layer, *evaluator.bits(layer, code), cycles]
            for code, cycles in zip(values.tolist(), each.tolist(), strict=True)
        ]
    parts = {**table.parts, name: np.array(rows, dtype=np.int64)}
    return replace(table, totals={**table.totals, name: total}, parts=parts)


def check_cycles(
    table: TruthTable, job: TruthJob, name: str, bench: Pool, store: Store, *, count: int = _CHECKED, seed: int = 0
) -> Check:
    """Measure *count* random schemes whole, and compare with the table."""
    index = np.random.default_rng(seed).choice(table.space.size, min(count, table.space.size), replace=False)
    measured = [_measure(job, vector, bench, store).cycles for vector in table.vectors(index)]
    errors = np.abs(table.cycles(name)[index] / np.array(measured) - 1)
    return Check(len(index), float(errors.mean()), float(errors.max()))


def cover(codes: NDArray[np.int64]) -> list[int]:
    """Few rows of *codes* ``(S, layers)`` in which every column has all values that it has: the greedy choice."""
    ids = np.empty_like(codes)
    count = 0
    for column in range(codes.shape[1]):
        values, ids[:, column] = np.unique(codes[:, column], return_inverse=True)
        ids[:, column] += count
        count += len(values)
    wanted = np.ones(count, dtype=np.int64)
    chosen = []
    while wanted.any():
        chosen.append(int(wanted[ids].sum(axis=1).argmax()))
        wanted[ids[chosen[-1]]] = 0
    return chosen


def _measure(job: TruthJob, vector: NDArray[np.int64], bench: Pool, store: Store) -> Measurement:
    scheme = Scheme.from_vector(job.space.names, vector.tolist())
    model = lower(job.graph, scheme, job.calibration)
    x = job.dataset.val.images[:1]
    return measure_program(bench, store, bench.build(model), x, model.run(x), laps=1)


def _by_layer(job: TruthJob, found: Measurement) -> tuple[list[int], int]:
    """Cycles of every layer of the graph, its requantisations included, and the rest of the inference."""
    position = {layer.name: i for i, layer in enumerate(job.graph.layers)}
    cycles = [0] * len(position)
    for part in found.layers:
        owner = part.name
        if owner not in position:
            owner = owner.removesuffix("__in").removesuffix("__out")
        if owner in position:
            cycles[position[owner]] += part.cycles
    return cycles, found.cycles - sum(cycles)
