"""A table of every scheme: rows and schemes, packed answers, files."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from mico.errors import UsageError
from mico.search.base import Probe
from mico.search.truth import TruthTable

IMAGES = 21
META = {
    "model": "two",
    "dataset": "random",
    "digest": "0" * 64,
    "images": IMAGES,
    "calibration_images": 200,
    "classes": 4,
    "names": ["conv", "fc"],
    "macs": [300, 20],
    "layers": ["conv", "fc"],
    "weight_bits": [8, 2],
    "activation_bits": [8, 4, 2],
    "seconds": 1.0,
}


def table() -> tuple[TruthTable, np.ndarray]:
    """Random answers of 36 schemes, seed 1, and the same unpacked."""
    rng = np.random.default_rng(1)
    right = rng.random((36, IMAGES)) < 0.8
    divergence = rng.random((36, 2)).astype(np.float32)
    margin = rng.normal(size=IMAGES).astype(np.float32)
    rows = np.array([[0, 8, 8, 8, 8, 100], [-1, 0, 0, 0, 0, 7]])
    cycles = rng.integers(100, 200, 36)
    return TruthTable(META, np.packbits(right, axis=1), divergence, margin, {"soc": cycles}, {"soc": rows}), right


def test_rows_are_the_product_of_the_choices_in_order() -> None:
    made, _ = table()
    every = np.array(list(itertools.product((8, 2), (8, 2), (8, 4, 2), (8, 4, 2))))
    np.testing.assert_array_equal(made.vectors(np.arange(36)), every)
    np.testing.assert_array_equal(made.index(every[::-1]), np.arange(36)[::-1])
    np.testing.assert_array_equal(made.bops(), 300 * every[:, 0] * every[:, 2] + 20 * every[:, 1] * every[:, 3])


def test_scheme_outside_the_space_is_refused() -> None:
    made, _ = table()
    with pytest.raises(UsageError, match="other bits"):
        made.index(np.array([[8, 4, 8, 8]]))
    with pytest.raises(UsageError, match=r"\(n, 4\)"):
        made.index(np.array([[8, 8, 8]]))


def test_answers_and_accuracy_are_those_of_the_bits() -> None:
    made, right = table()
    np.testing.assert_array_equal(made.accuracy, right.mean(axis=1))
    chosen, images = np.array([35, 0, 7]), np.array([20, 0, 3, 8, 7])
    np.testing.assert_array_equal(made.answers(chosen, images), right[np.ix_(chosen, images)])
    with pytest.raises(UsageError, match="0 to 20"):
        made.answers(chosen, np.array([IMAGES]))


def test_probe_looks_up() -> None:
    made, right = table()
    probe: Probe = made.probe()
    assert (probe.images, probe.faithful) == (IMAGES, True)
    vectors = made.vectors(np.array([3, 30]))
    np.testing.assert_array_equal(probe.answers(vectors, np.array([5, 6])), right[[3, 30], 5:7])
    np.testing.assert_allclose(probe.divergence(vectors), made.divergence[[3, 30], 0])
    np.testing.assert_allclose(probe.divergence(vectors, 200), made.divergence[[3, 30], 1])
    np.testing.assert_allclose(probe.margins(), made.margin)
    with pytest.raises(UsageError, match="not on 64"):
        probe.divergence(vectors, 64)


def test_file_keeps_everything(tmp_path: Path) -> None:
    made, _ = table()
    made.save(tmp_path / "two.npz")
    read = TruthTable.load(tmp_path / "two.npz")
    for name in ("correct", "divergence", "margin"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    np.testing.assert_array_equal(read.cycles("soc"), made.cycles("soc"))
    np.testing.assert_array_equal(read.parts["soc"], made.parts["soc"])
    assert read.meta == {**META, "format": "mico-truth-1"}
    with pytest.raises(UsageError, match="there are: soc"):
        read.cycles("bitfusion")


def test_damaged_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    """Cut, one byte changed in the middle, another npz, no npz, none."""
    made, _ = table()
    good = tmp_path / "good.npz"
    made.save(good)
    data = good.read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    middle = bytearray(data)
    middle[data.index(b"correct.npy") + 60] ^= 0x55
    (tmp_path / "changed.npz").write_bytes(middle)
    np.savez(tmp_path / "other.npz", correct=made.correct)
    (tmp_path / "text.npz").write_text("truth")
    np.savez(tmp_path / "objects.npz", meta=np.array([{}], dtype=object))
    for name in ("cut", "changed", "other", "text", "objects"):
        with pytest.raises(UsageError, match="not a table of all schemes"):
            TruthTable.load(tmp_path / f"{name}.npz")
    with pytest.raises(UsageError, match="no such table"):
        TruthTable.load(tmp_path / "none.npz")


def test_arrays_of_another_size_are_refused() -> None:
    made, _ = table()
    with pytest.raises(UsageError, match="correct is"):
        TruthTable(META, made.correct[:-1], made.divergence, made.margin)
    with pytest.raises(UsageError, match="cycles_soc is"):
        TruthTable(META, made.correct, made.divergence, made.margin, {"soc": np.ones(36)})
