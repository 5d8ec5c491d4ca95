"""The instruction-level model on programs written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mico.codegen.bitfusion.isa import Instruction, Mode, RunReg, assemble
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import Code, MachineError, execute

MACHINE = Machine(rows=4, cols=4, bus_bits=64, ibuf_bytes=1024, wbuf_bytes=1024, obuf_bytes=256)
CONV = f"""
SETL ROWS 1
SETL BEATS 10
LOAD ibuf 0 signal=-
SETL BEATS 16
LOAD wbuf 128 signal=-
SETL BEATS 6
LOAD pbuf 256 signal=0
WAIT exec 0
SETX MODE {Mode(out_signed=True).encode()}
SETX X0 -3        ; one pixel of three bytes to the left
SETX Y0 -15       ; one row of five pixels above
SETX XEND 15
SETX YEND 75
SETX SEG 9
SETX J 1
SETX K 3
SETX KSTEP 15
SETX PX 1
SETX PY 1
SETX OX 5
SETX OXSTEP 3
SETX OY 5
SETX OYSTEP 15
SETX B 1
SETX NCH 7        ; 27 elements, four rows
SETX NOCT 1
SETX OSTEP_X 4
SETX OSTEP_Y 20
SETX OLAST 4
SETX PO 1
RUN 1024 input=- weight=-
FENCE
MARK 7
END
"""


def test_convolution_with_padding_by_hand() -> None:
    """3x3 convolution of a 5x5x3 image to 4 channels at 8 bits, dense reduction of 27 elements."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
    kernel = rng.integers(-128, 128, (4, 3, 3, 3))  # (out, y, x, in)
    bias, multiplier, shift = np.array([5, -6, 7, 8]), 1 << 20, 29
    memory = np.zeros(2048, np.uint8)
    memory[:75] = image.reshape(-1)
    flat = np.pad(kernel.reshape(4, 27), ((0, 0), (0, 5)))  # 32 elements: 8 chunks of 4 rows
    words = flat.reshape(4, 2, 4, 4).transpose(1, 0, 3, 2)  # (buffer row, column, row, sub-word)
    memory[128:256] = words.astype(np.int8).view(np.uint8).reshape(-1)
    params = np.array([bias, [multiplier] * 4, [shift] * 4], np.int32)
    memory[256:304] = params.view(np.uint8).reshape(-1)
    assert execute(assemble(CONV), memory, MACHINE) == [7]
    acc = functional.conv2d(
        torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64)),
        torch.from_numpy(kernel.transpose(0, 3, 1, 2).astype(np.float64)),
        padding=1,
    )[0].numpy().transpose(1, 2, 0)  # fmt: skip
    expected = np.clip(((acc.astype(np.int64) + bias) * multiplier + (1 << shift - 1)) >> shift, -128, 127)
    np.testing.assert_array_equal(memory[1024:1124].view(np.int8).reshape(5, 5, 4), expected)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WAIT exec 1\nEND", Code.DEADLOCK),
        ("FENCE", Code.NO_END),
        (".word 0", Code.OPCODE),
        ("WAIT load 9", Code.FIELD),
        ("SETL ROWS 1\nSETL BEATS 1\nLOAD ibuf 2048 signal=-", Code.MEMORY),
        ("SETL ROWS 1\nSETL BEATS 1\nLOAD ibuf 4 signal=-", Code.MEMORY),
        ("SETL ROWS 1\nSETL BEATS 99\nLOAD wbuf 0 signal=-\nSETL DST 99\nLOAD wbuf 0 signal=-", Code.BUFFER),
        ("SETL BEATS 1\nLOAD ibuf 0 signal=-", Code.FIELD),
        ("SIGNAL load 2\n" * 256, Code.SEMAPHORE),
        ("MARK 1\n" * 257, Code.MARKS),
        (CONV.replace("RUN 1024", "RUN 1949"), Code.MEMORY),
        (CONV.replace("SETX NCH 7", "SETX NCH 0"), Code.FIELD),
        (CONV.replace("SETX NOCT 1", "SETX NOCT 9\nSETX WSTEP 2"), Code.BUFFER),
        (CONV.replace("SETX PO 1", "SETX PO 3"), Code.FIELD),
    ],
)
def test_illegal_programs_end_in_their_error(text: str, code: Code) -> None:
    memory = np.zeros(2048, np.uint8)
    with pytest.raises(MachineError) as caught:
        execute(assemble(text), memory, MACHINE)
    assert caught.value.code is code


def test_a_missing_wait_shows_under_some_order() -> None:
    """Without its WAIT the run may start before its input is there."""
    racy = [i for i in assemble(CONV) if i != Instruction.wait(1, 0)]  # type: ignore[arg-type]
    results = set()
    for seed in range(20):
        memory = np.zeros(2048, np.uint8)
        memory[:256] = np.arange(256)
        memory[256:304] = np.array([[0] * 4, [1] * 4, [8] * 4], np.int32).view(np.uint8).reshape(-1)
        execute(racy, memory, MACHINE, seed=seed)
        results.add(memory[1024:1124].tobytes())
    assert len(results) > 1


def test_every_exec_register_has_a_number_of_its_own() -> None:
    assert [int(register) for register in RunReg] == list(range(34))
