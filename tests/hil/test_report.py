"""The report: files that are whole, numbers that are the result's, a plot that is a picture."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from hil.report import Progress, front, layers, plot, save, summary, table
from hil.result import Result
from hil.store import Evaluation
from mico.errors import StoreError
from mico.quant.scheme import Scheme

NAMES = ("conv", "fc")


def result(mismatches: int = 0) -> Result:
    """Four evaluations: baseline, one over the limit, the chosen one, one that failed."""

    def row(stage: str, bits: int, accuracy: float | None, cycles: int | None, status: str = "ok") -> dict[str, object]:
        return {
            "stage": stage,
            "scheme": Scheme.uniform(NAMES, bits).to_json(),
            "method": "ptq",
            "accuracy": accuracy,
            "cycles": cycles,
            "predicted_cycles": None if stage == "baseline" else 510_000.0,
            "status": status,
            "error": None if status == "ok" else "no answer\nin 20 s",
            "measurement": None if cycles is None else f"key{bits}",
        }

    return Result(
        model="lenet5",
        dataset="mnist",
        seeds={"campaign": 0},
        versions={"python": "3"},
        fp32_accuracy=0.991,
        int8={"accuracy_val": 0.99, "accuracy_test": 0.9905, "cycles": 1_000_000},
        evaluations=[
            row("baseline", 8, 0.99, 1_000_000),
            row("start", 4, 0.985, 700_000),
            row("search", 2, 0.982, 500_000),
            row("search", 1, 0.3, None, "timeout"),
        ],
        latency_model={"bops_r2": 0.5, "cbops_r2": 0.9, "cbops_mape": 0.12, "n": 30},
        best={
            "scheme": Scheme.uniform(NAMES, 2).to_json(),
            "accuracy_val": 0.982,
            "accuracy_test": 0.981,
            "cycles": 500_000,
            "flash_bytes": 20_000,
            "ram_bytes": 5_000,
            "measurement": "key2",
        },
        verify={"inputs": 128, "mismatches": mismatches},
        wall_s=12.0,
        constraint={"fraction": 0.6, "cycles": 600_000},
        searcher="mico",
        counts={"measured": 3, "looked_up": 0, "failed": 1},
        provenance={"kind": "soc-sim"},
    )


def shown(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_files_are_written_and_come_back(tmp_path: Path) -> None:
    save(result(), tmp_path)
    data = json.loads((tmp_path / "result.json").read_text())
    assert Result.from_json(data) == result()
    assert Scheme.from_json(json.loads((tmp_path / "scheme.json").read_text())) == result().scheme
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "scheme.json", "plot.png"}


def test_layers_of_the_chosen_scheme_are_shown_with_what_they_spend() -> None:
    counts = dict.fromkeys(("engine-stall", "cfu-ops", "ibus-transfers", "ibus-wait", "dbus-reads", "dbus-wait"), 0)
    counts |= {"cycles": 400_010, "engine-busy": 390_000, "cfu-wait": 380_000}
    base = result()
    best = {**base.best, "layers": [["conv", 400_000], ["glue", 100_000]], "counts": [["conv", counts]]}
    text = shown(layers(replace(base, best=best)))
    assert all(number in text for number in ("400,000", "100,000", "80%", "380,000", "390,000", "20,010", "500,000"))


def test_a_target_without_counters_has_no_columns_for_them() -> None:
    base = result()
    best = {**base.best, "layers": [["conv", 400_000], ["glue", 100_000]], "counts": []}
    text = shown(layers(replace(base, best=best)))
    assert all(word in text for word in ("layer", "cycles", "share", "400,000", "80%", "500,000"))
    assert not any(word in text for word in ("scalar", "bus", "waits", "unit busy"))


def test_result_json_has_the_fields_that_were_promised() -> None:
    data = result().to_json()
    assert {"model", "dataset", "seeds", "versions", "fp32_accuracy", "int8", "evaluations", "latency_model"} <= set(
        data
    )
    assert {"best", "verify", "wall_s"} <= set(data)


def test_result_of_another_version_is_refused() -> None:
    with pytest.raises(StoreError, match="other fields"):
        Result.from_json({**result().to_json(), "novelty": 1})


def test_plot_is_a_picture_with_something_on_it(tmp_path: Path) -> None:
    plot(result(), tmp_path / "plot.png")
    image = imread(tmp_path / "plot.png")
    assert image.shape[:2] == (750, 1200)
    assert 0.01 < np.mean(image[..., :3].min(axis=2) < 0.7) < 0.5


def test_plot_of_perfect_and_of_equal_accuracies(tmp_path: Path) -> None:
    for accuracy in (1.0, 0.1):
        flat = result().to_json()
        for row in flat["evaluations"]:
            row["accuracy"] = accuracy
        flat["best"]["accuracy_val"] = accuracy
        plot(Result.from_json(flat), tmp_path / f"{accuracy}.png")
        assert (tmp_path / f"{accuracy}.png").stat().st_size > 10_000


def test_front_drops_what_is_dominated() -> None:
    cycles = np.array([5.0, 1.0, 3.0, 3.0, 4.0])
    accuracy = np.array([0.9, 0.5, 0.7, 0.8, 0.8])
    assert front(cycles, accuracy) == [1, 3, 0]


def test_table_shows_failures_without_a_number_and_what_is_over_the_limit() -> None:
    lines = shown(table(result())).splitlines()
    failed = next(line for line in lines if "timeout" in line)
    assert "1/1 1/1" in failed
    assert failed.count(" - ") == 2
    assert "ok over" in next(line for line in lines if "700,000" in line)
    assert "0.50" in next(line for line in lines if "500,000" in line)


def test_summary_shows_accuracy_latency_and_verification() -> None:
    text = shown(summary(result()))
    assert "98.10 %" in text
    assert "500,000" in text
    assert "128 inputs, 0 mismatches" in text
    assert "128 inputs, 3 mismatches" in shown(summary(result(3)))


def test_progress_prints_a_line_an_evaluation_without_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=160)
    with Progress(console, 3) as progress:
        progress.stage("search")
        progress.limit(1000, 600)
        scheme = Scheme.uniform(NAMES, 4).to_json()
        progress.evaluated(Evaluation(0, "search", scheme, "ptq", 0.5, 700, 350.0, "p", "m", "ok", None), False)
        failed = Evaluation(1, "search", scheme, None, None, None, None, None, None, "build", "too large\nby far")
        progress.evaluated(failed, True)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "8-bit network: 1,000 cycles; limit: 600" in text
    assert "700 cycles (predicted -50.0 %) over" in text
    assert "build: too large" in text
    assert "from the store" in text
    assert "by far" not in text
