"""The worked example of rtl/simd/stream/README.md, run as its tables stand: by the RTL and the Python model."""

from __future__ import annotations

import re

import numpy as np

from hil.harness.runner import ROOT
from tests.rtl.simd_stream.script import RAM_BASE, Script

README = ROOT / "rtl" / "simd" / "stream" / "README.md"
REGISTERS = 12 << 20 | 11 << 15 | 10 << 7 | 0x0B  # rs2, rs1, rd, opcode
USED = 0x100


def section() -> str:
    return README.read_text().split("## Worked example, in words\n")[1].split("\n## ")[0]


def memories(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Memory before and after: rows that begin with an address; the last table is the memory afterwards."""
    before = np.zeros(USED // 4, dtype="<u4")
    first, _, last = text.partition("Memory afterwards:")
    rows = re.compile(r"^\| (0x4000\w{4}) \| ((?:0x\w{8} ?)+)\|", re.MULTILINE)
    for address, words in rows.findall(first):
        place = (int(address, 16) - RAM_BASE) // 4
        values = [int(word, 16) for word in words.split()]
        before[place : place + len(values)] = values
    after = before.copy()
    for address, words in rows.findall(last):
        place = (int(address, 16) - RAM_BASE) // 4
        after[place : place + len(words.split())] = [int(word, 16) for word in words.split()]
    return before, after


def test_worked_example_of_the_readme() -> None:
    text = section()
    before, after = memories(text)
    assert (before != after).sum() == 2
    script = Script(np.random.default_rng(0), used_bytes=USED)
    script.load(before.view(np.uint8))
    lines = re.findall(r"^\| [^|]+ \| (0x\w{8}) \| (0x\w{8}) \| (0x\w{8}) \| (0x\w{8}) \|$", text, re.MULTILINE)
    assert len(lines) == 18
    for line in lines:
        instruction, rs1, rs2, rd = (int(word, 16) for word in line)
        funct7, funct3 = instruction >> 25, instruction >> 12 & 7
        assert instruction == funct7 << 25 | funct3 << 12 | REGISTERS
        assert script.command(funct7 << 3 | funct3, rs1, rs2) == rd
    assert script.memory[:USED].tobytes() == after.tobytes()
    script.check()
    script.run("example")
