"""One searcher on one table under one constraint, and what every evaluation of it brought."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from mico.errors import UsageError
from mico.search.registry import searcher_class
from mico.search.truth import TruthTable
from tests.bench import search_tables as tables
from tests.bench.search_tables import Bops, Case, Latency

BUDGET = 48
SEEDLESS = {"sieve", "ilp", "ilp-local", "amp"}
"""Searchers without anything random until their order is used up: on an exact cost one seed stands for all."""

OUT = tables.ROOT / "build" / "bench" / "search"


@dataclass(frozen=True)
class Event:
    """After one evaluation: what all evaluations and probes cost so far, which scheme it was, whether it fits."""

    cost: float
    index: int
    fits: bool


def play(searcher_name: str, case: Case, seed: int, budget: int = BUDGET) -> list[Event]:
    """Evaluate until the ledger reads *budget*, the optimum is found, or nothing is left.

    As in a campaign the 8-bit scheme comes first, since every limit is a share of what it takes; it counts.
    """
    table = tables.load(case.table)
    model = Bops(case, seed) if case.cost == "bops" else Latency(case, seed)
    truth, limit = model.values, tables.limit(case)
    optimum = table.accuracy[truth <= limit].max()
    searcher = searcher_class(searcher_name)(
        table.space,
        model.predict,
        limit,
        seed=seed,
        budget=budget,
        probe=table.probe(),
        upper=model.upper,
        exact=model.exact,
    )
    every = tables.vectors(case.table)
    events: list[Event] = []
    index = 0  # the widest scheme
    model.observe(0)
    while True:
        scheme = table.space.scheme(every[index])
        searcher.tell(scheme, float(table.accuracy[index]), int(truth[index]))
        model.observe(index)
        fits = bool(truth[index] <= limit)
        events.append(Event(round(searcher.ledger.cost, 4), index, fits))
        if (fits and table.accuracy[index] >= optimum) or searcher.ledger.cost >= budget:
            return events
        try:
            index = int(table.index(np.array([searcher.ask().vector()]))[0])
        except UsageError:
            return events


def tie(table: TruthTable, index: int, optimum: int) -> bool:
    """Whether the two schemes' answers differ no more than chance would: exact test of McNemar, 5 %."""
    a = np.unpackbits(table.correct[index]).astype(np.bool_)
    b = np.unpackbits(table.correct[optimum]).astype(np.bool_)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return True
    return bool(binomtest(only_a, only_a + only_b).pvalue > 0.05)


def digest(searcher_name: str, table: str) -> str:
    """Of the code that decides a run, and of the table: what a kept run is kept under."""
    found = hashlib.sha256(tables.load(table).meta["digest"].encode())
    own = {"sieve": ("sieve", "residual", "screen", "prior"), "ilp-local": ("ilp", "prior"), "ilp": ("ilp", "prior")}
    names = [*own.get(searcher_name, (searcher_name,)), "base", "space", "constraint", "candidates", "sampling"]
    names += ["prior"] if searcher_name == "amp" else []
    for name in dict.fromkeys(names):
        found.update((tables.ROOT / "mico" / "search" / f"{name}.py").read_bytes())
    for function in (play, Bops, Latency, tables._cells, tables.limit):
        found.update(inspect.getsource(function).encode())
    return found.hexdigest()[:16]


def _file(searcher_name: str, case: Case) -> Path:
    key = digest(searcher_name, case.table)
    return OUT / f"{case.table}-{case.cost}-{case.fraction:g}-{searcher_name}-{key}.jsonl"


def _kept(path: Path) -> dict[int, dict[str, Any]]:
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {line["seed"]: line for line in lines}


def _work(searcher_name: str, case: Case, seeds: list[int], path: str) -> int:
    """Play *seeds*, a line of *path* for each as it ends."""
    import time

    with threadpool_limits(1):
        for seed in seeds:
            start = time.process_time()
            events = play(searcher_name, case, seed)
            row = {
                "seed": seed,
                "seconds": round(time.process_time() - start, 3),
                "events": [[e.cost, e.index, int(e.fits)] for e in events],
            }
            with Path(path).open("a") as file:
                file.write(json.dumps(row) + "\n")
    return len(seeds)


def runs(
    searchers: Iterable[str], cases: Iterable[Case], seeds: int, processes: int, say: Any = print
) -> dict[tuple[str, Case], list[list[Event]]]:
    """Every searcher on every case with so many seeds; what was run before with the same code is read."""
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = [(name, case) for case in cases for name in searchers]
    jobs = []
    for name, case in wanted:
        path = _file(name, case)
        once = name in SEEDLESS and case.cost == "bops"
        missing = [s for s in range(1 if once else seeds) if s not in _kept(path)]
        if missing:
            jobs.append((name, case, missing, str(path)))
    jobs.sort(key=lambda job: job[0] not in ("mico", "nsga2", "tpe"))  # the long ones first
    if jobs:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        with ProcessPoolExecutor(processes) as pool:
            started = {pool.submit(_work, *job): job for job in jobs}
            for done, future in enumerate(as_completed(started), start=1):
                future.result()
                name, case, _, _ = started[future]
                say(f"{done} of {len(jobs)}: {case.name}, {name}")
    found = {}
    for name, case in wanted:
        kept = _kept(_file(name, case))
        once = name in SEEDLESS and case.cost == "bops"
        rows = [kept[0 if once else s] for s in range(seeds)]
        found[name, case] = [[Event(c, int(i), bool(f)) for c, i, f in row["events"]] for row in rows]
    return found
