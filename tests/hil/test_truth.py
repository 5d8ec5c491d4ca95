"""Tables of every scheme: made, killed, resumed, stale; cycles from measured layers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "mico" / "search"))
import small_table as small

from hil import truth
from hil.bench import open_bench
from hil.cli import app
from hil.lab import load_lab
from hil.store import Store
from hil.truth import build_table
from hil.truth_cycles import check_cycles, complete_table, cover
from mico.errors import UsageError
from mico.quant.lower import lower
from mico.search.truth import TruthTable

ROOT = Path(__file__).resolve().parents[2]

BUILD = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import small_table as small
from hil.truth import build_table
if __name__ == "__main__":
    show = lambda done, of: print(done, of, flush=True)
    build_table(small.small_job(), Path(sys.argv[2]), processes=int(sys.argv[3]), progress=show)
"""


def assert_same(one: TruthTable, other: TruthTable) -> None:
    assert one.meta["digest"] == other.meta["digest"]
    for name in ("correct", "divergence", "margin"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_answers_are_those_of_the_executor_one_by_one() -> None:
    """30 random rows, seed 1: answers, accuracy and the widest scheme's margins."""
    job, table = small.small_job(), small.small_table()
    images, labels = job.dataset.val
    rows = np.random.default_rng(1).choice(table.space.size, 30, replace=False)
    for row, vector in zip(rows, table.vectors(rows), strict=True):
        model = lower(job.graph, job.space.scheme(vector), job.calibration)
        right = model.run(images).argmax(axis=1) == labels
        np.testing.assert_array_equal(table.answers(np.array([row]), np.arange(len(images)))[0], right)
        assert table.accuracy[row] == right.mean()
    assert ((table.margin > 0) == table.answers(np.array([0]), np.arange(len(images)))[0]).all()
    assert table.divergence[0].max() < 0.01 < table.divergence[-1].min(), "8 bits are near the float network, 2 are not"


def test_killed_build_goes_on_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL after the first groups; what they wrote is not computed again, and the table is that of one go."""
    path, script = tmp_path / "small.npz", tmp_path / "build.py"
    script.write_text(BUILD)
    command = [sys.executable, str(script), str(ROOT / "tests" / "mico" / "search"), str(path), "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line.split()[0]) >= 3:
            process.send_signal(signal.SIGKILL)
            break
    process.wait(60)
    process.stdout.close()
    assert not path.exists()
    (folder,) = tmp_path.glob(".small-*")
    before = {part.name for part in folder.glob("[0-9]*.npz")}
    assert 3 <= len(before) < 27
    (folder / "0.npz").write_bytes(b"half a file")
    computed: list[str] = []
    compute = truth._compute
    monkeypatch.setattr(truth, "_compute", lambda part, vectors: (computed.append(part.name), compute(part, vectors)))
    made = build_table(small.small_job(), path)
    assert set(computed) == {f"{i}.npz" for i in range(27)} - before | {"0.npz"}
    assert_same(made, small.small_table())
    assert not folder.exists()


@pytest.mark.slow
def test_two_processes_make_the_same_table(tmp_path: Path) -> None:
    path, script = tmp_path / "small.npz", tmp_path / "build.py"
    script.write_text(BUILD)
    command = [sys.executable, str(script), str(ROOT / "tests" / "mico" / "search"), str(path), "2"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300)
    assert_same(TruthTable.load(path), small.small_table())


def test_table_is_read_again_and_made_anew_where_it_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job reads; fewer images, or another scale of one tensor, make it again."""
    path, job = tmp_path / "small.npz", small.small_job()
    stale, other = tmp_path / ".small-0123456789abcdef", tmp_path / ".small-too-0123456789abcdef"
    stale.mkdir()
    other.mkdir()
    small.small_table().save(path)
    with monkeypatch.context() as patch:
        patch.setattr(truth, "_compute", lambda *_: pytest.fail("the table was there"))
        assert_same(build_table(job, path), small.small_table())
    fewer = replace(job, images=50)
    assert build_table(fewer, path).images == TruthTable.load(path).images == 50
    assert other.exists()
    assert not stale.exists(), "groups of a table that nobody will finish"
    scale = job.calibration.scale("fc1", 4)
    other = build_table(replace(fewer, calibration=job.calibration.with_scale("fc1", 4, scale * 1.5)), path)
    assert other.meta["digest"] != truth.identity_digest(fewer)


def test_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "small.npz"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(UsageError, match=r"small\.npz"):
        build_table(small.small_job(), path)


def test_too_many_schemes_are_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(small.small_job(), bits=(8, 4, 2, 1))
    monkeypatch.setattr(truth, "LARGEST", 4095)
    monkeypatch.setattr(truth, "identity_digest", lambda _: pytest.fail("something was lowered"))
    with pytest.raises(UsageError, match="4,096 schemes of 3 layers are too many"):
        build_table(job, tmp_path / "small.npz")


def test_cover_has_every_value_of_every_column_in_few_rows() -> None:
    """All 729 combinations of six columns of three values: three rows would do, and six columns never need 18."""
    codes = np.stack(np.meshgrid(*[np.arange(3)] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    rows = codes[cover(codes)]
    assert all(set(rows[:, column]) == {0, 1, 2} for column in range(6))
    assert len(rows) == 3


def test_cycles_are_sums_of_measured_layers_and_near_whole_networks(tmp_path: Path) -> None:
    """Two layers at 8 and 4 bits on the simulated SoC: every one of 16 schemes, measured whole, is within 3 %: the
    layers are so short that the alignment of the code shows. A second call measures nothing."""
    job = small.small_job(small.Tiny, (8, 4))
    store, path = Store(tmp_path / "store.sqlite"), tmp_path / "tiny.npz"
    with open_bench(load_lab(None), "soc", store, "test") as bench:
        table = complete_table(job, path, {"soc": bench}, store)
        rows = table.parts["soc"]
        assert {tuple(row[:-1]) for row in rows.tolist() if row[0] == 1} == {
            (1, w, a, 8, out) for w in (8, 4) for a in (8, 4) for out in (8, 4)
        }
        cycles = table.cycles("soc")
        assert cycles[12] < cycles[0], "weights of 4 bits are faster, activations of 8"
        check = check_cycles(table, job, "soc", bench, store, count=6)
        assert check.schemes == 6
        assert check.worst < 0.03
    again = complete_table(job, path, {"soc": bench}, store)  # the bench is closed
    np.testing.assert_array_equal(again.cycles("soc"), cycles)
    assert again.meta["targets"]["soc"]["kind"] == "soc-sim"


def test_command_makes_a_table(tmp_path: Path) -> None:
    """`mico table` of a user's own network, without cycles."""
    source = tmp_path / "own.py"
    source.write_text(
        "from torch import nn\n\n\nclass Own(nn.Sequential):\n    def __init__(self) -> None:\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 6), nn.ReLU(), nn.Linear(6, 10))\n"
    )
    module = small.nn.Sequential(small.nn.Flatten(), small.nn.Linear(784, 6), small.nn.ReLU(), small.nn.Linear(6, 10))
    save_file(module.state_dict(), tmp_path / "own.safetensors")
    words = ["table", f"{source}:Own", "--dataset", "digits", "--bits", "8,4", "--target", "", "--processes", "1"]
    words += ["--weights", str(tmp_path / "own.safetensors"), "--out", str(tmp_path / "own.npz")]
    words += ["--store", str(tmp_path / "store.sqlite"), "--images", "60"]
    started = time.monotonic()
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "16 schemes" in result.output
    assert time.monotonic() - started < 60
    assert TruthTable.load(tmp_path / "own.npz").images == 60
