"""Instruction encoding and assembler text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico.codegen.bitfusion.isa import Instruction, Mode, Vector, assemble, decode, disassemble, encode
from mico.errors import UsageError

ANY = st.builds(
    Instruction, st.integers(0, 255) | st.sampled_from([1, 2, 3, 4, 5, 0x10, 0x11, 0x20, 0x21]),
    st.integers(0, (1 << 24) - 1) | st.integers(0, 300), st.integers(0, (1 << 32) - 1),
)  # fmt: skip


@given(st.lists(ANY, max_size=8))
def test_any_64_bits_survive_disassembly(program: list[Instruction]) -> None:
    assert assemble(disassemble(program)) == program == decode(encode(program))


@given(st.integers(0, (1 << 16) - 1).filter(lambda v: v >> 10 & 1 and v >> 11 & 3 != 3 and not v >> 8 & 1))
def test_mode_round_trip(value: int) -> None:
    assert Mode.decode(value).encode() == value


def test_mode_holds_what_it_says() -> None:
    mode = Mode(act_bits=2, wgt_bits=1, out_bits=32, out_signed=True, vector=Vector.MAC, emit=False)
    assert Mode.decode(mode.encode()) == mode


def test_comments_and_case() -> None:
    assert assemble("  wait EXEC 3 ; for weights\n\nRUN 0x40 input=1 weight=-\n") == [
        Instruction(0x02, 0x103, 0),
        Instruction(0x21, 0xF1, 0x40),
    ]


@pytest.mark.parametrize("line", ["JUMP 3", "SETX NOWHERE 1", "LOAD ibuf", "RUN 0 output=1", "MARK one"])
def test_what_is_not_an_instruction_is_named_with_its_line(line: str) -> None:
    with pytest.raises(UsageError, match="line 2"):
        assemble(f"END\n{line}\n")
