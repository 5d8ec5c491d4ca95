"""What `mico measure` writes and `mico check` reads: measurements of one network at several bits, failures included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hil.bench import Pool
from hil.records import status_of
from hil.result import versions
from hil.store import Measurement, Store
from hil.targets.board import median_and_mad
from hil.workload import Workload
from mico.errors import DeviceError, FlashError, MicoError, ProtocolError
from mico.quant.scheme import Scheme

__all__ = ["FORMAT", "measure_schemes"]

FORMAT = "mico-measurements-1"
_OF_THE_DEVICE = (DeviceError, ProtocolError, FlashError)


def measure_schemes(
    bench: Pool,
    store: Store,
    workload: Workload,
    schemes: Sequence[tuple[str, Scheme]],
    *,
    target: str,
    laps: int = 5,
    images: int | None = None,
) -> tuple[dict[str, Any], MicoError | None]:
    """Cycles on *bench* and accuracy of every scheme; a failure has a status and an error, never a number.

    Parameters
    ----------
    target
        What the bench is called in the result.
    laps
        Timed laps of each.
    images
        Of the test split, for the accuracy; None: all.

    Returns
    -------
    The result as JSON, and the last error among the measurements.
    """
    data, last = workload.dataset, None
    rows = []
    for name, scheme in schemes:
        row: dict[str, Any] = {"name": f"{workload.graph.name} {name}", "scheme": scheme.to_json()}
        try:
            quantised = workload.evaluator.quantise(scheme)
            row |= {
                "method": quantised.method,
                "accuracy": workload.evaluator.accuracy(quantised.model, "test", images),
            }
            program = bench.build(quantised.model)
            x = data.test.images[:1]
            found = _measured(bench, store, program, x, quantised.model.run(x), laps)
            row |= {"status": "ok", "error": None, **_numbers(found)}
        except MicoError as error:
            last = error
            row |= {"status": status_of(error), "error": str(error), "exit_code": error.exit_code, "cycles": None}
        rows.append(row)
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


def _measured(bench: Pool, store: Store, program: Any, x: Any, expected: Any, laps: int) -> Measurement:
    found = store.lookup(bench.provenance(program).key())
    if found is not None:
        return found
    for attempt in range(max(2, bench.copies)):
        try:
            bench.open()
            result = store.measure_once(bench, program, x, expected=expected, laps=laps, tools=versions())
            bench.rest()
            return result
        except _OF_THE_DEVICE:
            bench.close()
            if attempt + 1 == max(2, bench.copies):
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
