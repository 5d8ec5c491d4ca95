"""All schemes of a small network into a TruthTable: by groups of schemes that share the first layers, in processes.

A finished group is a file in a folder beside the table, named by everything that decides it: a table that was killed
goes on with the groups that are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from glob import escape
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.workload import load_workload
from mico.cache import write_whole
from mico.data import Dataset
from mico.data.dataset import spread
from mico.errors import UsageError
from mico.graph import Graph
from mico.quant.calibrate import Calibration
from mico.quant.lower import lower
from mico.quant.prefix import PrefixEvaluator
from mico.quant.scheme import Scheme
from mico.search.base import Space
from mico.search.truth import DIVERGENCE_IMAGES, TruthTable

__all__ = ["LARGEST", "TruthJob", "build_table", "identity_digest", "job_of"]

LARGEST = 300_000
"""No table has more schemes than this."""

_VERSION = 2  # of what is computed from the integers
_GROUPS = 24  # at least, where the space has so many: what a kill costs
_WITNESSES = 24  # random schemes whose integers the digest holds, besides those of equal bits

Progress = Callable[[int, int], None]
"""Told the groups that are done and how many there are."""


@dataclass(frozen=True)
class TruthJob:
    """What a table is made of.

    Attributes
    ----------
    graph, calibration, dataset
        The trained network, its scales and its data.
    bits
        Widths to choose from, of weights and of activations alike, widest first.
    images
        Validation images, None for all.
    """

    graph: Graph
    calibration: Calibration
    dataset: Dataset
    bits: tuple[int, ...] = (8, 4, 2)
    images: int | None = None

    @property
    def space(self) -> Space:
        return Space.of(self.graph, self.bits, self.bits)


def job_of(
    model: str,
    dataset: str,
    *,
    bits: tuple[int, ...] = (8, 4, 2),
    images: int | None = None,
    seed: int = 0,
    weights: Path | None = None,
) -> TruthJob:
    """The job of a network by name, or ``path.py:Class``, trained unless its weights are there."""
    work = load_workload(model, dataset, seed=seed, weights=weights)
    return TruthJob(work.graph, work.evaluator.calibration, work.dataset, bits, images)


def identity_digest(job: TruthJob) -> str:
    """Hex SHA-256 of what decides a table: network, data, widths, and the integers of schemes of equal and random bits.

    The integers stand for the code that makes them: a change that leaves them as they are leaves the table valid.
    """
    graph, data, space, calibration = job.graph, job.dataset, job.space, job.calibration
    rng = np.random.default_rng(0)
    half = len(space.names)
    uniform = [[w] * half + [a] * half for w in job.bits for a in job.bits]
    drawn = rng.choice(job.bits, (_WITNESSES, 2 * half)).tolist()
    digest = hashlib.sha256(
        json.dumps([_VERSION, graph.digest(), data.digest, calibration.digest(), job.bits, job.images]).encode()
    )
    for vector in [*uniform, *drawn]:
        digest.update(lower(graph, Scheme.from_vector(space.names, vector), calibration).digest().encode())
    return digest.hexdigest()


def build_table(job: TruthJob, path: Path, *, processes: int = 1, progress: Progress | None = None) -> TruthTable:
    """The table at *path*, read where it is of this job, else made; cycles that it has are kept.

    Parameters
    ----------
    processes
        Groups of schemes computed at a time, each by a process of its own; 1: in this process.

    Raises
    ------
    UsageError
        More than :data:`LARGEST` schemes.
    QuantError
        A scheme cannot be lowered.
    """
    space = job.space
    if space.size > LARGEST:
        raise UsageError(
            f"{space.size:,} schemes of {len(space.names)} layers are too many for a table",
            where=job.graph.name,
            cure=f"fewer widths, or a network of fewer layers: at most {LARGEST:,} schemes",
        )
    digest = identity_digest(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second finds the table of the first
        found = _usable(path, digest) if path.is_file() else None
        if found is None:
            found = _made(job, path, digest, processes, progress or (lambda _done, _of: None))
    return found


def _made(job: TruthJob, path: Path, digest: str, processes: int, report: Progress) -> TruthTable:
    folder = path.with_name(f".{path.stem}-{digest[:16]}")
    for other in path.parent.glob(escape(f".{path.stem}-") + "[0-9a-f]" * 16):
        if other != folder:
            shutil.rmtree(other)  # of a table that was killed and is stale by now
    folder.mkdir(exist_ok=True)
    groups = _groups(job.space)
    missing = [i for i in range(len(groups)) if _part(folder / f"{i}.npz", len(groups[i])) is None]
    done = len(groups) - len(missing)
    report(done, len(groups))
    for _ in _computed(job, folder, groups, missing, processes):
        done += 1
        report(done, len(groups))
    table = _assembled(job, folder, groups, digest)
    table.save(path)
    shutil.rmtree(folder)
    return table


def _usable(path: Path, digest: str) -> TruthTable | None:
    """The table at *path* if it is of *digest*; a damaged file is an error, a stale one is made anew."""
    table = TruthTable.load(path)
    return table if table.meta["digest"] == digest else None


def _groups(space: Space) -> list[NDArray[np.int64]]:
    """Schemes by their first entries in the order in which layers need them, in so many groups as a kill may cost."""
    half = len(space.names)
    order = [half, 0] + [i for layer in range(1, half) for i in (half + layer, layer)]
    choices = space.choices
    taken: list[int] = []
    while len(taken) < len(order) and np.prod([len(choices[i]) for i in taken], initial=1) < _GROUPS:
        taken.append(order[len(taken)])
    index = np.arange(space.size)
    places = np.unravel_index(index, [len(bits) for bits in choices])
    key = np.zeros(space.size, dtype=np.int64)
    for i in taken:
        key = key * len(choices[i]) + places[i]
    return [index[key == value] for value in range(int(key.max()) + 1)]


def _computed(
    job: TruthJob, folder: Path, groups: list[NDArray[np.int64]], missing: list[int], processes: int
) -> Iterator[None]:
    data = job.dataset
    chosen = spread(len(data.val), job.images)
    images, labels = data.val.images[chosen], data.val.labels[chosen]
    evaluator = PrefixEvaluator(job.graph, job.calibration)
    fixed = (evaluator, np.array(images), np.array(labels), np.array(data.calibration))
    tasks = [(folder / f"{i}.npz", _vectors(job.space, groups[i])) for i in missing]
    if processes <= 1 or len(tasks) <= 1:
        _start(*fixed)
        for task in tasks:
            _compute(*task)
            yield
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, fixed) as pool:
        futures = [pool.submit(_compute, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                future.result()
                yield
        finally:
            for future in futures:
                future.cancel()


_FIXED: list[Any] = []  # of this process: evaluator, validation images and labels, calibration images


def _start(*fixed: Any) -> None:
    _FIXED[:] = fixed


def _compute(path: Path, vectors: NDArray[np.int64]) -> None:
    """One group: its file appears when it is whole."""
    evaluator, images, labels, calibration = _FIXED
    started = time.process_time()
    correct = np.packbits(evaluator.answers(vectors, images, labels), axis=1)
    each = evaluator.divergence(vectors, calibration)
    some = each[:, spread(len(calibration), DIVERGENCE_IMAGES)]
    divergence = np.stack([some.mean(axis=1), each.mean(axis=1)], axis=1).astype(np.float32)
    seconds = np.array(time.process_time() - started)

    def write(scratch: Path) -> None:
        with scratch.open("wb") as file:
            np.savez(file, allow_pickle=False, correct=correct, divergence=divergence, seconds=seconds)

    write_whole(path, write)


def _part(path: Path, size: int) -> dict[str, NDArray[Any]] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("correct", "divergence", "seconds")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return arrays if len(arrays["correct"]) == len(arrays["divergence"]) == size else None


def _assembled(job: TruthJob, folder: Path, groups: list[NDArray[np.int64]], digest: str) -> TruthTable:
    data, graph, space = job.dataset, job.graph, job.space
    chosen = spread(len(data.val), job.images)
    images, labels = data.val.images[chosen], data.val.labels[chosen]
    correct = np.empty((space.size, -(-len(images) // 8)), dtype=np.uint8)
    divergence = np.empty((space.size, 2), dtype=np.float32)
    seconds = 0.0
    for i, group in enumerate(groups):
        part = _part(folder / f"{i}.npz", len(group))
        assert part is not None, "a group vanished while the table was made"
        correct[group], divergence[group] = part["correct"], part["divergence"]
        seconds += float(part["seconds"])
    evaluator = PrefixEvaluator(graph, job.calibration)
    margin = evaluator.margins(space.corner(0), images, labels).astype(np.float32)
    meta = {
        "model": graph.name,
        "dataset": data.name,
        "digest": digest,
        "images": len(images),
        "calibration_images": len(data.calibration),
        "classes": data.classes,
        "names": list(space.names),
        "macs": list(space.macs),
        "layers": [layer.name for layer in graph.layers],
        "weight_bits": list(space.weight_bits),
        "activation_bits": list(space.activation_bits),
        "seconds": round(seconds, 1),
    }
    return TruthTable(meta, correct, divergence, margin)


def _vectors(space: Space, index: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.unravel_index(index, [len(bits) for bits in space.choices])
    return space.decode(np.stack(places, axis=1).astype(np.int64))
