"""What `mico measure` writes and `mico check` reads: measurements of one network at several bits, failures included."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.bench import Pool
from hil.records import status_of
from hil.result import versions
from hil.store import Measurement, Store
from hil.targets.base import Program
from hil.targets.board import median_and_mad
from hil.workload import Workload
from mico.errors import DeviceError, FlashError, MicoError, ProtocolError
from mico.quant.scheme import Scheme

__all__ = ["FORMAT", "measure_program", "measure_schemes"]

FORMAT = "mico-measurements-1"
_OF_THE_DEVICE = (DeviceError, ProtocolError, FlashError)


def measure_schemes(
    benches: Sequence[Pool],
    store: Store,
    workload: Workload,
    schemes: Sequence[tuple[str, Scheme]],
    *,
    target: str,
    laps: int = 5,
    images: int | None = None,
) -> tuple[dict[str, Any], MicoError | None]:
    """Cycles and accuracy of every scheme; a failure has a status and an error, never a number.

    Parameters
    ----------
    benches
        Of the same targets: so many are measured on at once. Left closed.
    target
        What they are called in the result.
    laps
        Timed laps of each.
    images
        Of the test split, for the accuracy; None: all.

    Returns
    -------
    The result as JSON, and the last error among the measurements.
    """
    data, last = workload.dataset, None
    x = data.test.images[:1]
    free: SimpleQueue[Pool] = SimpleQueue()
    for bench in benches:
        free.put(bench)

    def measured(program: Program, expected: NDArray[np.int32]) -> Measurement:
        bench = free.get()
        try:
            return measure_program(bench, store, program, x, expected, laps)
        finally:
            free.put(bench)

    rows, started = [], list[Future[Measurement] | None]()
    pool = ThreadPoolExecutor(len(benches))
    try:
        for name, scheme in schemes:
            row: dict[str, Any] = {"name": f"{workload.graph.name} {name}", "scheme": scheme.to_json()}
            rows.append(row)
            try:
                quantised = workload.evaluator.quantise(scheme)
                program = benches[0].build(quantised.model)
            except MicoError as error:
                last = error
                row |= _failure(error)
                started.append(None)
                continue
            started.append(pool.submit(measured, program, quantised.model.run(x)))
            accuracy = workload.evaluator.accuracy(quantised.model, "test", images)
            row |= {"method": quantised.method, "accuracy": accuracy}
        for row, future in zip(rows, started, strict=True):
            try:
                if future is not None:
                    row |= {"status": "ok", "error": None, **_numbers(future.result())}
            except MicoError as error:
                last = error
                row |= _failure(error)
    finally:
        pool.shutdown(cancel_futures=True)
        for bench in benches:
            bench.close()
    result = {
        "format": FORMAT,
        "model": workload.graph.name,
        "dataset": data.name,
        "target": target,
        "images": len(data.test.images[:images]),
        "versions": versions(),
        "measurements": rows,
    }
    return result, last


def _failure(error: MicoError) -> dict[str, Any]:
    return {"status": status_of(error), "error": str(error), "exit_code": error.exit_code, "cycles": None}


def measure_program(
    bench: Pool, store: Store, program: Program, x: NDArray[Any], expected: NDArray[np.int32], laps: int
) -> Measurement:
    """Look it up, or measure it on whichever target is free, on another where one dies."""
    found = store.lookup(bench.provenance(program).key())
    if found is not None:
        return found
    attempts = max(2, bench.copies)
    for attempt in range(1, attempts + 1):
        try:
            bench.open()
            result = store.measure_once(bench, program, x, expected=expected, laps=laps, tools=versions())
            bench.rest()
            return result
        except _OF_THE_DEVICE:
            bench.close()
            if attempt == attempts:
                raise
    raise AssertionError("unreachable")


def _numbers(found: Measurement) -> dict[str, Any]:
    clock_hz = int(found.provenance["clock_hz"])
    return {
        "cycles": found.cycles,
        "mad": median_and_mad(found.samples)[1],
        "samples": list(found.samples),
        "clock_hz": clock_hz,
        "latency_us": found.cycles / clock_hz * 1e6,
        "layers": [[layer.name, layer.cycles] for layer in found.layers],
        "flash_bytes": found.flash_bytes,
        "ram_bytes": found.ram_bytes,
        "measurement": found.key,
        "provenance": dict(found.provenance),
        "looked_up": found.cached,
    }
