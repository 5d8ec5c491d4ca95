"""The Python model of the SIMD unit: its encodings are those of the table, its two evaluations agree."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hil.harness.runner import ROOT
from hil.harness.simd_model import Encoding, decode, dot, dot_many, encodings, function_id
from mico.errors import UsageError

# VexiiMiCo: funct7 is the activation width, one-hot; funct3 = 4..7 the weight width 8, 4, 2, 1.
VEXIIMICO = {
    (a, w): (funct7, funct3)
    for a, funct7 in ((8, 1), (4, 2), (2, 4), (1, 8))
    for w, funct3 in ((8, 4), (4, 5), (2, 6), (1, 7))
    if a >= w
}


def test_vexiimico_encodings() -> None:
    assert len(VEXIIMICO) == 10
    for (a, w), fields in VEXIIMICO.items():
        encoding = Encoding(a, w)
        assert (encoding.funct7, encoding.funct3) == fields


def test_function_ids_decode_to_the_encoding_they_came_from() -> None:
    ids = {encoding.function_id: encoding for encoding in encodings()}
    assert len(ids) == 96
    for identity in range(1 << 10):
        assert decode(identity) == ids.get(identity)


@pytest.mark.parametrize(
    ("a", "w", "index"), [(8, 8, 1), (8, 4, 2), (2, 8, 4), (1, 8, 8), (8, 8, -1), (3, 8, 0), (8, 16, 0)]
)
def test_impossible_encodings_are_refused(a: int, w: int, index: int) -> None:
    with pytest.raises(UsageError, match="SIMD encoding"):
        function_id(a, w, index)


@pytest.mark.parametrize(
    ("encoding", "rs1", "rs2", "result"),
    [
        # README: activations 1, -2, 3, 127; weights of sub-word 1 are 7, -8, -1, 2.
        (Encoding(8, 4, 1), 0x7F03FE01, 0x2F87_0000, 7 + 16 - 3 + 254),
        (Encoding(8, 8, unsigned=True), 0xFFFFFFFF, 0x80808080, 4 * 255 * -128),
        (Encoding(8, 8), 0x80808080, 0x80808080, 4 * 128 * 128),
        (Encoding(1, 1), 0x00000000, 0xFFFFFFFF, -32),
        (Encoding(1, 1), 0xFFFFFFFF, 0xFFFFFFFF, 32),
        (Encoding(1, 1, unsigned=True), 0xFFFF0000, 0x0F000000, 16 - 2 * 4),
        (Encoding(1, 8, 7, unsigned=True), 0x50000000, 0x04030201, 1 + 3),
        (Encoding(1, 8, 7), 0x50000000, 0x04030201, -1 + 2 - 3 + 4),
        (Encoding(2, 1, 1), 0xAAAAAAAA, 0x0001FFFF, 15 * -2 + 2),
    ],
    ids=str,
)
def test_results_worked_by_hand(encoding: Encoding, rs1: int, rs2: int, result: int) -> None:
    assert dot(encoding.function_id, rs1, rs2) == result


def test_scalar_and_vector_evaluation_agree() -> None:
    rng = np.random.default_rng(3)
    for identity in [*(encoding.function_id for encoding in encodings()), 0x000, 0x3FF]:
        rs1, rs2 = (rng.integers(0, 1 << 32, 50, dtype=np.uint32) for _ in range(2))
        expected = [dot(identity, int(a), int(w)) for a, w in zip(rs1, rs2, strict=True)]
        assert dot_many(identity, rs1, rs2).tolist() == expected


def test_worked_example_of_the_readme() -> None:
    """The instruction word and the words of its table, as they stand in rtl/simd/README.md."""
    text = (ROOT / "rtl" / "simd" / "README.md").read_text().split("### Example")[1].split("\n## ")[0]
    instruction = int(re.findall(r"instruction word is (0x\w{8})", text)[0], 16)
    rs1, rs2, rd = (int(re.findall(rf"\| {name} \| (0x\w{{8}})", text)[0], 16) for name in ("rs1", "rs2", "rd"))
    assert instruction & 0x01FF8FFF == 12 << 20 | 11 << 15 | 10 << 7 | 0x0B
    assert dot(instruction >> 25 << 3 | instruction >> 12 & 7, rs1, rs2) == rd
