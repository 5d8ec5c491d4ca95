"""Things to put into a store: a small model, and a program of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Table, insert, update

from hil import schema as t
from hil.store import Store
from hil.targets.base import Provenance
from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor

ROOT = Path(__file__).resolve().parents[3]
X = np.arange(4, dtype=np.uint8).reshape(1, 4)
SCHEME = {"fc": {"w": 8, "a": 8}}


def one_layer(weight: int = 1) -> IntegerModel:
    """Four inputs to two logits; *weight* makes models differ."""
    return IntegerModel(
        name="tiny",
        input="input",
        output="fc",
        tensors={
            "input": Tensor("input", (4,), Format(8, False), 1.0),
            "fc": Tensor("fc", (2,), Format(32, True), 1.0),
        },
        ops=(
            IntegerOp(
                "fc",
                OpKind.LINEAR,
                ("input",),
                "fc",
                weight=np.full((2, 4), weight, dtype=np.int8),
                weight_format=Format(8, True),
                bias=np.zeros(2, dtype=np.int32),
                requant=Requant(np.full(2, 1 << 30, dtype=np.int32), np.full(2, 30, dtype=np.int32)),
            ),
        ),
    )


def fill(store: Store, measurements: int, *, seed: int) -> None:
    """Write *measurements*, one in nine of which failed, with attempts, a campaign, and an evaluation of each.

    The rows are those that measuring writes; times and numbers depend on *seed* alone.
    """
    rng = np.random.default_rng(seed)
    number = store.campaign({"model": "lenet5", "dataset": "mnist", "seed": seed, "fraction": 0.5})
    rows: dict[Table, list[dict[str, Any]]] = {t.measurements: [], t.attempts: [], t.evaluations: []}
    for position in range(measurements):
        lanes, laps = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        kind = ("soc-sim", "bitfusion-sim", "serial")[position % 3]
        provenance = Provenance(kind, {"lanes": lanes}, "rtl", "fw", f"program {seed} {position}", 50_000_000)
        layers = [[f"layer{i}", int(rng.integers(1_000, 1_000_000))] for i in range(8)]
        cycles, ok, created = sum(layer[1] for layer in layers), position % 9 != 4, 1.7e9 + position * 60.5
        outcome = {"status": "ok" if ok else "timeout", "error": None if ok else f"silence {position} [of the line]"}
        key = provenance.key()
        rows[t.measurements].append(
            {
                "key": key,
                **provenance.to_json(),
                **outcome,
                "cycles": cycles if ok else None,
                "samples": [cycles] * laps if ok else None,
                "layers": layers if ok else None,
                "outputs": rng.integers(-1000, 1000, 10).tolist() if ok else None,
                "model": f"model{position % 5}",
                "flash_bytes": int(rng.integers(1, 100_000)),
                "ram_bytes": 1024,
                "toolchain": "gcc 12.2 -O2",
                "tools": {"torch": "2.13.0", "note": "µ"},
                "created": created,
            }
        )
        laps_kept = [cycles] * laps if ok else [cycles, cycles + 1] if position % 2 else None
        times = {"host": "bench", "pid": 4711, "started": created - 1.25, "ended": created}
        rows[t.attempts].append({"key": key, **times, **outcome, "samples": laps_kept, "target": None})
        rows[t.evaluations].append(
            {
                "campaign": number,
                "position": position,
                "stage": "search",
                "context": "c" * 64,
                "scheme": {"conv1": {"w": 4, "a": 8}},
                "scheme_digest": f"{position:064x}",
                "method": "ptq",
                "accuracy": float(rng.random()),
                "seconds": 0.1,
                "predicted_cycles": None,
                "program": f"{position:064x}",
                "measurement": key if ok else None,
                **outcome,
                "created": created,
            }
        )
    with store._write() as connection:
        connection.execute(update(t.campaigns).values(created=1.7e9, updated=1.7e9).where(t.campaigns.c.id == number))
        for table, lines in rows.items():
            connection.execute(insert(table), lines)
