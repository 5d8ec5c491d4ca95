"""The frame codec on the host's side; what C makes of the same bytes is tested in tests/firmware/boot."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.link.frame import Frame, FrameReader, FrameType
from mico.errors import UsageError

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=64))
text = st.binary(max_size=20).filter(lambda b: 0xA5 not in b)


def test_bytes_of_a_known_frame():
    assert Frame(FrameType.DATA, 3, 0x40000400, b"ab").encode().hex() == "a55a44030200000400406162a07c"
    with pytest.raises(UsageError):
        Frame(FrameType.DATA, 0, 0, bytes(1025)).encode()


@settings(derandomize=True)
@given(st.lists(st.tuples(text, frames), max_size=6), st.integers(1, 30))
def test_frames_and_text_are_told_apart_however_they_arrive(parts: list[tuple[bytes, Frame]], size: int):
    stream = b"".join(before + frame.encode() for before, frame in parts)
    reader = FrameReader()
    found = [f for start in range(0, len(stream), size) for f in reader.feed(stream[start : start + size])]
    assert found == [frame for _, frame in parts]
    assert bytes(reader.text) == b"".join(before for before, _ in parts)


@settings(derandomize=True)
@given(frames, st.data())
def test_a_damaged_frame_is_never_accepted_and_the_next_one_is(frame: Frame, data: st.DataObject):
    raw = bytearray(frame.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reader = FrameReader()
    found = reader.feed(bytes(raw) + Frame(FrameType.ACK, 9).encode())
    while rest := reader.give_up():
        found += rest
    for _ in range(len(raw) + 20):
        found += reader.give_up()
    assert frame not in found
    assert Frame(FrameType.ACK, 9) in found
