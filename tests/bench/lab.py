"""The lab bench against its bars: faults, flash throughput, containers, overhead, store.

``python -m tests.bench.lab`` writes ``build/bench/lab.json``. ``--only FAMILY --seed N`` runs one scenario again, and
``--count`` several. Families of scenarios run side by side: most of their time they wait.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hil.leases import Leases
from hil.link.flash import flash
from hil.link.port import open_port
from hil.store import Store
from hil.targets.base import Program
from mico.errors import MicoError
from tests.bench.lab_scenarios import FAMILIES, X, adopt_orphans
from tests.bench.result import save
from tests.hil.faults.host_board import HostBoard, logits_of, make_program
from tests.hil.link.baud_line import baud_line

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "bench"
COUNTS = {"board": 680, "soc": 50, "container": 20, "holder": 150, "database": 80, "postgres": 20}
"""Of scenarios."""
SHARES = {"board": 2}
"""Processes side by side; else one."""
FLASH_RUNS = 5
OVERHEAD_RUNS = 40
PARTS = ("flash", "overhead", "containers", "store", "faults")
KEYS = ("wrong_numbers", "lost_measurements", "stuck_targets", "leftovers")


# ---------------------------------------------------------------- faults


def faults(counts: dict[str, int]) -> dict[str, Any]:
    """Run *counts* of each family, in processes of their own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        work = []
        for family, count in counts.items():
            share = SHARES.get(family, 1)
            for part in range(share):
                first, end = count * part // share, count * (part + 1) // share
                file = Path(name) / f"{family}-{part}.json"
                command = [sys.executable, "-m", "tests.bench.lab", "--only", family, "--seed", str(first)]
                command += ["--count", str(end - first), "--out", str(file)]
                work.append((family, file, subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)))
        try:
            outcomes = []
            for family, file, process in work:
                if process.wait() not in (0, 1) or not file.exists():
                    raise SystemExit(f"the scenarios of {family} ended with {process.returncode}")
                outcomes += [{"family": family, **outcome} for outcome in json.loads(file.read_text())]
        finally:
            for _, _, process in work:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
    return _summary(outcomes) | {"seconds": round(time.monotonic() - started)}


def _summary(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    kinds: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        counts = kinds.setdefault(f"{outcome['family']}: {outcome['kind']}", {"scenarios": 0, "errors": 0})
        counts["scenarios"] += 1
        counts["errors"] += bool(outcome["error"])
    return {
        "scenarios": len({(outcome["family"], outcome["seed"]) for outcome in outcomes}),
        "wrong_numbers": sum(outcome["wrong_number"] for outcome in outcomes),
        "lost_measurements": sum(outcome["lost_measurement"] for outcome in outcomes),
        "stuck_targets": sum(outcome["stuck_target"] for outcome in outcomes),
        "leftovers": sum(len(outcome["leftovers"]) for outcome in outcomes),
        "undiagnosed": sum(bool(outcome["notes"]) and not outcome["stuck_target"] for outcome in outcomes),
        "kinds": dict(sorted(kinds.items())),
        "violations": [outcome for outcome in outcomes if _violated(outcome)],
    }


def _violated(outcome: dict[str, Any]) -> bool:
    return any(outcome[key] for key in ("wrong_number", "lost_measurement", "stuck_target", "leftovers", "notes"))


def run_family(family: str, first: int, count: int, out: Path | None) -> int:
    """The scenarios *first* to *first + count - 1*; 1 where one of them is violated."""
    adopt_orphans()
    outcomes = []
    for outcome in FAMILIES[family](range(first, first + count)):
        outcomes.append(asdict(outcome))
        print(json.dumps(outcomes[-1]), flush=True)
    if out is not None:
        out.write_text(json.dumps(outcomes))
    return int(any(_violated(outcome) for outcome in outcomes))


# ---------------------------------------------------------------- flash


def flash_efficiency() -> dict[str, float]:
    """Of what the line can carry at ten bits a byte, the share that an image of 64 KiB gets, everything counted.

    The line is simulated: the loader as a process behind a proxy that has the device's rate. The best of FLASH_RUNS.
    """
    image = make_program(1, 65_536).image
    found = {}
    for baud in (1_000_000, 115_200):
        best = 0.0
        for _ in range(FLASH_RUNS if baud > 115_200 else 1):
            with tempfile.TemporaryDirectory() as name, baud_line(Path(name) / "ram") as line:
                with open_port(line.url) as port:
                    report = flash(port, image, base=0x4000_0000, entry=0x4000_0000, baud=baud)
                ram = Path(name) / "ram"
                deadline = time.monotonic() + 5
                while not (ram.exists() and ram.stat().st_size == len(image)) and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert ram.read_bytes() == image
            best = max(best, len(image) * 10 / report.seconds / baud)
        found[f"efficiency_{baud}"] = round(best, 3)
    return found


# ---------------------------------------------------------------- overhead


class _Timed(HostBoard):
    """Adds up the seconds that flashing takes."""

    flashing_s = 0.0

    def flash(self, program: Program) -> None:
        started = time.perf_counter()
        super().flash(program)
        self.flashing_s += time.perf_counter() - started


def overhead_ms(folder: Path) -> dict[str, float]:
    """Of a measurement on a device that computes in microseconds, flashing left out: lease, protocol, store.

    One lease each, as a campaign of one measurement would take it. Medians, milliseconds.
    """
    store, board = Store(folder / "overhead.sqlite"), _Timed()
    leases = Leases(store)
    whole, lease_ms, protocol = [], [], []
    expected = logits_of(X)
    with board:
        for number in range(OVERHEAD_RUNS):
            program = make_program(number, 300)
            board.flashing_s = 0.0
            start = time.perf_counter()
            with leases.hold("board", "overhead") as lease:
                held = time.perf_counter()
                store.measure_once(board, program, X, expected=expected)
                lease.check()
                done = time.perf_counter()
            end = time.perf_counter()
            whole.append(end - start - board.flashing_s)
            lease_ms.append(held - start + end - done)
            again = time.perf_counter()
            board.measure(X)
            protocol.append(time.perf_counter() - again)
    parts = {"whole": whole, "lease": lease_ms, "protocol": protocol}
    return {name: round(1e3 * statistics.median(times), 2) for name, times in parts.items()}


# ---------------------------------------------------------------- the parts of others


def other(name: str) -> dict[str, Any] | None:
    """What ``tests.bench.NAME`` writes; None where there is none, or where it cannot run here."""
    if importlib.util.find_spec(f"tests.bench.{name}") is None:
        return None
    file = OUT / f"{name}.json"
    file.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    return json.loads(file.read_text()) if file.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=FAMILIES, help="scenarios of this family alone")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure; the rest of lab.json stays")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the scenarios, for a quick look")
    options = parser.parse_args()
    if options.only:
        return run_family(options.only, options.seed, options.count, options.out)
    OUT.mkdir(parents=True, exist_ok=True)
    counts = {family: max(1, round(count * options.scale)) for family, count in COUNTS.items()}
    if shutil.which("initdb") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        counts["database"] += counts.pop("postgres")
    if not _has_containers():
        counts["board"] += counts.pop("container")
    parts, file = options.parts.split(","), OUT / "lab.json"
    if not set(parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    result: dict[str, Any] = {}
    if file.exists() and set(parts) != set(PARTS):
        result = json.loads(file.read_text())
    if "flash" in parts:
        result["flash"] = flash_efficiency()
    if "overhead" in parts:
        with tempfile.TemporaryDirectory() as name:
            overhead = overhead_ms(Path(name))
        result["overhead_ms"], result["overhead_parts_ms"] = overhead["whole"], overhead
    if "containers" in parts:
        result["containers"] = {"speedup_4": (other("containers") or {}).get("speedup_4")}
    if "store" in parts:
        result["store"] = {"query_s": (other("store") or {}).get("query_s")}
    if "faults" in parts:
        result["faults"] = faults(counts)
    result["cores"] = os.cpu_count()
    result["bars"] = _bars(result)
    return save("lab", result, show=True)


def _has_containers() -> bool:
    """Whether an engine runs and has the image of the sources as they are (`make images`)."""
    from hil.engine import connect
    from hil.images import find_image

    try:
        with contextlib.closing(connect()) as client:
            find_image(client, "soc")
    except MicoError as error:
        print(f"no scenarios with containers: {error}", file=sys.stderr)
        return False
    return True


def _bars(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Each bar with its value; None fails, for it was not measured."""

    def value(part: str, key: str) -> Any:
        return result.get(part, {}).get(key)

    bars = [
        ("faults.scenarios", value("faults", "scenarios"), 1000, ">="),
        *((f"faults.{key}", value("faults", key), 0, "<=") for key in KEYS),
        ("flash.efficiency_1000000", value("flash", "efficiency_1000000"), 0.85, ">="),
        ("flash.efficiency_115200", value("flash", "efficiency_115200"), 0.85, ">="),
        ("containers.speedup_4", value("containers", "speedup_4"), 1.8, ">="),
        ("overhead_ms", result.get("overhead_ms"), 20.0, "<="),
        ("store.query_s", value("store", "query_s"), 1.0, "<="),
    ]
    return [
        {
            "name": name,
            "value": found,
            "bar": bar,
            "pass": found is not None and (found >= bar if sign == ">=" else found <= bar),
        }
        for name, found, bar, sign in bars
    ]


if __name__ == "__main__":
    sys.exit(main())
