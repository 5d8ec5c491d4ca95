"""simd_unit against the Python model, in Verilator: every result, the handshake, and that a wrong result is seen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hil.harness.runner import ROOT, read_file_list, run_cocotb
from mico.errors import MeasurementError
from tests.rtl.simd import vectors

HERE = Path(__file__).parent
SOURCES = read_file_list(ROOT / "rtl" / "simd" / "simd.f")
SEED = 2025


def check(path: Path, blocks: Iterable[NDArray[np.uint32]], sources: list[Path] = SOURCES) -> int:
    """Number of records that the RTL answered as the model does; MeasurementError if one differs."""
    try:
        count = vectors.write(path, blocks)
        run_cocotb(
            HERE / "cocotb_simd_vectors.py",
            top="simd_bench",
            sources=[*sources, HERE / "simd_bench.sv"],
            env={"VECTOR_COUNT": str(count)},
            plusargs=[f"+vectors={path}"],
        )
    finally:
        path.unlink(missing_ok=True)
    return count


def test_100_000_random_operations_of_every_pair_and_sign(tmp_path: Path) -> None:
    assert check(tmp_path / "random.bin", vectors.random_operations(100_000, SEED)) == 16 * 2 * 100_000


def test_every_product_of_every_lane(tmp_path: Path) -> None:
    assert check(tmp_path / "products.bin", vectors.every_product(SEED)) > 500_000


def test_every_value_of_every_sub_word(tmp_path: Path) -> None:
    assert check(tmp_path / "sub_words.bin", vectors.every_sub_word(SEED)) > 1_500_000


def test_function_ids_outside_the_table_answer_0(tmp_path: Path) -> None:
    assert check(tmp_path / "illegal.bin", vectors.illegal_operations(200, SEED)) == (1024 - 96) * 200


def test_one_wrong_expectation_among_many_is_found_and_named(tmp_path: Path) -> None:
    blocks = list(vectors.random_operations(800, SEED))
    blocks[50][7, 3] ^= 1
    first = sum(len(block) for block in blocks[:50]) + 7
    with pytest.raises(MeasurementError, match=rf"1 of \d+ differ; first is record {first}:"):
        check(tmp_path / "wrong.bin", blocks)


@pytest.mark.slow  # a build each
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("simd_dot.sv", "a_signed & a[7]", "a[7]"),
        ("simd_dot.sv", "a_signed & a[2*i+1]", "1'b0"),
        ("simd_dot.sv", "(a_signed & a[i])", "a[i]"),
        ("simd_widen.sv", "is_signed | part[i]};", "part[i]};"),
        ("simd_widen.sv", "word_i >> shift", "word_i >> (shift & 5'h18)"),
        ("simd_decode.sv", "(index_o >> ratio_log2) == 3'd0", "1'b1"),
        ("simd_decode.sv", "{~function_id_i[2], function_id_i[9:8]}", "{function_id_i[2], function_id_i[9:8]}"),
    ],
)
def test_a_fault_in_the_rtl_is_found(tmp_path: Path, file: str, right: str, wrong: str) -> None:
    sources = []
    for source in SOURCES:
        text = source.read_text()
        if source.name == file:
            assert right in text
            text = text.replace(right, wrong)
        copy = tmp_path / source.name
        copy.write_text(text)
        sources.append(copy)
    blocks = [*vectors.random_operations(800, SEED), *vectors.illegal_operations(10, SEED)]
    with pytest.raises(MeasurementError, match=r"\d+ of \d+ differ"):
        check(tmp_path / "fault.bin", blocks, sources)


@pytest.mark.parametrize("pipeline", [0, 1])
def test_handshake_with_and_without_stalls(pipeline: int) -> None:
    results = run_cocotb(
        HERE / "cocotb_simd_handshake.py", top="simd_unit", sources=SOURCES, parameters={"Pipeline": pipeline}
    )
    assert {result.name.split(".")[-1] for result in results} == {
        "back_to_back",
        "stalled_responses",
        "idle_and_stalled",
    }
