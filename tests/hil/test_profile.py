"""Profiles of layers: measured on the simulated SoC, checked against Python, kept in the store."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from hil.bench_case import Case, LoadedCase, build_bench
from hil.breakdown import Breakdown, flame
from hil.cli import app
from hil.cli_profile import parse_input
from hil.layer_models import KINDS, LAYER, LayerShape, layer_case, parse_bits
from hil.profile import Profiler
from hil.store import Store
from hil.targets.bench_target import BenchTarget
from hil.targets.soc_sim import SocSim
from mico.errors import MeasurementError, UsageError
from mico.quant.scheme import LayerBits

CONV = LayerShape("conv", (8, 8, 4), 6, kernel=3, padding=1)
SHAPES = {
    "conv": CONV,
    "linear": LayerShape("linear", (1, 1, 70), 9),
    "matmul": LayerShape("matmul", (5, 1, 40), 7, signed=True, int32=True),
    "max_pool": LayerShape("max_pool", (8, 6, 3), kernel=2, stride=2),
    "avg_pool": LayerShape("avg_pool", (8, 6, 3), kernel=2, stride=2),
    "global_pool": LayerShape("global_pool", (5, 5, 3)),
    "add": LayerShape("add", (5, 5, 3)),
}


@pytest.fixture(scope="module", params=[0, 1, 2])
def bench(request: pytest.FixtureRequest) -> Iterator[BenchTarget]:
    with BenchTarget(SocSim(timeout_s=60.0), simd=request.param) as target:
        yield target


@pytest.fixture(scope="module")
def engine() -> Iterator[BenchTarget]:
    with BenchTarget(SocSim(timeout_s=60.0)) as target:
        yield target


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_is_timed_with_every_kernel(bench: BenchTarget, kind: str):
    profiler = Profiler(bench, seed=5)
    for bits in (LayerBits(8, 8), LayerBits(2, 1)):
        profile = profiler.time(SHAPES[kind], bits)
        assert profile.cycles > 100
        parts = profile.breakdown
        assert parts is not None
        assert parts.core_waits + parts.bus + parts.scalar == parts.cycles
        assert abs(parts.cycles - profile.cycles) < 100


def test_cycles_depend_on_nothing_but_layer_and_bits(engine: BenchTarget):
    """Not on the seed, nor on what ran before."""
    first = Profiler(engine, seed=1).time(CONV, LayerBits(4, 4))
    Profiler(engine).time(SHAPES["add"], LayerBits(8, 8))
    again = Profiler(engine, seed=2).time(CONV, LayerBits(4, 4))
    assert (first.cycles, first.breakdown) == (again.cycles, again.breakdown)


@pytest.mark.parametrize("bits", parse_bits("8x8,2x1"), ids=str)
def test_large_weights_are_made_on_the_device(bench: BenchTarget, bits: LayerBits):
    """Bit for bit those of Python, in the layout of each build."""
    shape = LayerShape("linear", (1, 1, 2048), 256 * 8 // bits.weight)
    case = layer_case(shape, bits, seed=7)
    loaded, _ = case.link(build_bench(bench.simd), 0x4040_0000)
    assert loaded.filled_bytes >= 512 * 1024
    assert len(loaded.image) < 100_000
    if bench.simd:  # plain C would take a minute
        assert Profiler(bench, seed=7).time(shape, bits).cycles > 0


def test_a_wrong_output_is_an_error_and_never_a_number(
    engine: BenchTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One bit of the input is flipped on its way into the case; frames and CRCs are right."""
    store = Store(tmp_path / "store.sqlite")
    profiler = Profiler(engine, store, seed=11)
    with monkeypatch.context() as patch:
        link = Case.link

        def flipped(self: Case, *arguments: Any) -> tuple[LoadedCase, dict[str, int]]:
            loaded, expected = link(self, *arguments)
            return replace(loaded, image=loaded.image[:-1] + bytes([loaded.image[-1] ^ 0x80])), expected

        patch.setattr(Case, "link", flipped)
        with pytest.raises(MeasurementError, match="another output than Python in layer"):
            profiler.time(CONV, LayerBits(8, 8))
    (row,) = store.measurements()
    assert (row["status"], row["cycles"]) == ("wrong", None)
    profile = profiler.time(CONV, LayerBits(8, 8))
    assert profile.cycles > 0
    assert not profile.cached


def test_a_profile_is_looked_up_and_not_run_again(engine: BenchTarget, tmp_path: Path):
    store = Store(tmp_path / "store.sqlite")
    first = Profiler(engine, store).time(CONV, LayerBits(2, 2))
    again = Profiler(BenchTarget(SocSim()), store).time(CONV, LayerBits(2, 2))  # closed: it could not run anything
    assert not first.cached
    assert again == replace(first, cached=True)
    assert len(store.attempts()) == 1


def test_counters_that_were_lost_are_measured_again(engine: BenchTarget, tmp_path: Path):
    """The process ended between the measurement's commit and that of its counters."""
    store = Store(tmp_path / "store.sqlite")
    first = Profiler(engine, store).time(CONV, LayerBits(2, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "counts", lambda *_: None)
        again = Profiler(engine, store).time(CONV, LayerBits(2, 2))
    assert again == replace(first, cached=True)


def test_a_store_from_before_there_were_counters_is_opened(tmp_path: Path):
    import sqlite3

    path = tmp_path / "store.sqlite"
    Store(path)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE counts")
    assert Store(path).counts("none") is None


def test_the_same_arguments_give_the_same_case():
    first, again, other = (layer_case(CONV, LayerBits(4, 8), seed=seed) for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert first.digest != other.digest
    assert np.array_equal(first.x, again.x)


def test_a_matmul_writes_the_plain_sums_of_products():
    case = layer_case(SHAPES["matmul"], LayerBits(8, 8), seed=2)
    weight = next(op.weight for op in case.model.ops if op.name == LAYER)
    assert weight is not None
    a, w = case.x[0, :, :, 0].T.astype(np.int64), weight[:, :, 0, 0].astype(np.int64)
    assert np.array_equal(case.outputs[LAYER][:, :, 0].T, a @ w.T)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (LayerShape("conv", (4, 4, 1), 2, kernel=7), "larger than"),
        (LayerShape("conv", (4, 4, 3), 4, groups=2), "groups"),
        (LayerShape("conv", (4, 4, 1)), "output channels"),
        (LayerShape("fft", (4, 4, 1)), "kind"),
        (LayerShape("add", (0, 4, 1)), "start at 1"),
    ],
)
def test_shapes_that_make_no_sense(shape: LayerShape, what: str):
    with pytest.raises(UsageError, match=what):
        layer_case(shape, LayerBits(8, 8))


def test_bits_and_inputs_of_the_command_line():
    assert parse_bits("8x4") == [LayerBits(weight=4, activation=8)]
    assert len(parse_bits("all")) == 16
    assert parse_input("linear", "1x4096") == parse_input("linear", "4096") == (1, 1, 4096)
    assert parse_input("matmul", "128x64") == (128, 1, 64)
    assert parse_input("conv", "28x14x3") == (28, 14, 3)
    for kind, text in (("conv", "28x28"), ("linear", ""), ("matmul", "5"), ("add", "axbxc"), ("conv", "-1x2x3")):
        with pytest.raises(UsageError):
            parse_input(kind, text)
    for text in ("8", "3x8", "8x8,", ""):
        with pytest.raises(UsageError):
            parse_bits(text)


def test_the_command_prints_json_and_a_table(tmp_path: Path):
    common = ["profile", "conv", "--input", "8x8x4", "--out", "6", "--kernel", "3", "--bits", "8x8,4x4"]
    common += ["--ram-mib", "4", "--store", str(tmp_path / "store.sqlite")]
    done = CliRunner().invoke(app, [*common, "--json"], catch_exceptions=False)
    rows = json.loads(done.stdout)
    assert [row["bits"] for row in rows] == ["8x8", "4x4"]
    assert all(row["cycles"] > 0 for row in rows)
    table = CliRunner().invoke(app, common, catch_exceptions=False).stdout
    assert all(f"{row['cycles']:,}" in table for row in rows)


def test_a_bar_is_as_long_as_its_share():
    counts = dict.fromkeys(("engine-stall", "cfu-ops", "ibus-wait", "dbus-reads", "dbus-wait"), 0)
    parts = Breakdown.of({**counts, "cycles": 1000, "engine-busy": 500, "cfu-wait": 250, "ibus-transfers": 250})
    assert parts == Breakdown(1000, 500, 0, 250, 250, 500)
    console = Console(width=160, file=io.StringIO())
    console.print(flame([("slow", 1000, parts), ("fast", 250, None)], width=20))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    bars = {line.split()[1]: line.count("█") for line in lines if "slow" in line or "fast" in line}
    assert bars == {"slow": 20, "fast": 5}
