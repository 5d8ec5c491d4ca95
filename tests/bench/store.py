"""The store with 10,000 measurements: how long `mico results` takes, and what a measurement costs beside its run.

``python -m tests.bench.store`` writes ``build/bench/store.json``. SQLite, and PostgreSQL where it is installed: a
server of its own on a Unix socket, its data on the disk. Both must give the same answers. Times are of whole commands,
the start of Python included: wall time, and in ``_cpu_s`` what the processor spent, which says more on a busy machine.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hil.store import Store
from hil.store_files import export
from hil.store_import import import_file
from tests.bench.result import save
from tests.hil.double_target import DoubleTarget, build
from tests.hil.store.postgres import PostgresServer, programs
from tests.hil.store.samples import ROOT, X, fill, one_layer

MEASUREMENTS = 10_000
RUNS = 5
COMMANDS = {
    "results": [],
    "filtered": ["--model", "model2", "--target-kind", "serial", "--status", "ok", "--since", "2023-11-15"],
    "key": ["--key", "00"],
    "csv": ["--csv"],
    "json": ["--json"],
}


def answer(where: str, options: list[str]) -> tuple[float, float, str]:
    """Wall and processor seconds of ``mico results``, and what it prints."""
    command = [str(Path(sys.executable).with_name("mico")), "results", "--store", where, *options]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def overhead_ms(where: str, folder: Path) -> float:
    """Median of what ``measure_once`` takes with a target that takes none, less that target's own time."""
    store, target = Store(where), DoubleTarget(folder / "log")
    program = [build(one_layer(weight)) for weight in range(1, 22)]
    times = []
    for image in program:
        start = time.perf_counter()
        target.flash(image)
        target.measure(X)
        middle = time.perf_counter()
        store.measure_once(target, image, X)
        times.append((time.perf_counter() - middle) - (middle - start))
    return statistics.median(times) * 1e3


def measure(where: str, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures of an empty database at *where*, and its answers."""
    store = Store(where)
    fill(store, MEASUREMENTS, seed=1)
    figures: dict[str, Any] = {}
    answers = {}
    for name, options in COMMANDS.items():
        runs = [answer(where, options) for _ in range(RUNS)]
        figures[f"{name}_s"] = round(min(wall for wall, _, _ in runs), 3)
        figures[f"{name}_cpu_s"] = round(min(cpu for _, cpu, _ in runs), 3)
        answers[name] = runs[0][2]
    start = time.perf_counter()
    file = folder / f"{store._engine.dialect.name}.jsonl"
    export(store, file)
    figures["export_s"] = round(time.perf_counter() - start, 2)
    start = time.perf_counter()
    added = import_file(Store(folder / f"{store._engine.dialect.name}-copy.sqlite"), file)
    figures["import_s"] = round(time.perf_counter() - start, 2)
    assert added["measurements"] == MEASUREMENTS
    answers["export"] = "\n".join(file.read_text().splitlines()[1:-1])  # but the date, and the digest
    figures["overhead_ms"] = round(overhead_ms(where, folder), 2)
    return figures, answers


def main() -> int:
    result: dict[str, Any] = {"measurements": MEASUREMENTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["sqlite"], answers = measure(str(folder / "store.sqlite"), folder)
        if programs() is None:
            result["postgresql"] = result["same"] = None
            result["postgresql_error"] = "not installed"
        else:
            with tempfile.TemporaryDirectory(prefix="mico-pg-", dir="/tmp") as cluster:  # on the disk, as a lab's is
                server = PostgresServer(Path(cluster))
                try:
                    server.make()
                    server.start()
                    result["postgresql"], others = measure(server.database(), folder)
                finally:
                    server.close()
            result["same"] = {name: text == others[name] for name, text in answers.items()}
    present = [result[name] for name in ("sqlite", "postgresql") if result[name]]
    result["query_s"] = max(figures[f"{name}_s"] for figures in present for name in COMMANDS)
    result["overhead_ms"] = max(figures["overhead_ms"] for figures in present)
    result["bars"] = [
        {"name": "query_s", "value": result["query_s"], "bar": 1.0, "pass": result["query_s"] < 1.0},
        {"name": "overhead_ms", "value": result["overhead_ms"], "bar": 20.0, "pass": result["overhead_ms"] < 20.0},
    ]
    if result["same"] is not None:
        same = all(result["same"].values())
        result["bars"].append({"name": "same answers", "value": same, "bar": True, "pass": same})
    return save("store", result, show=True)


if __name__ == "__main__":
    sys.exit(main())
