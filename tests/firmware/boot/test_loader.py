"""The boot loader's state machine, compiled for the host under sanitisers, against byte streams of every kind."""

from __future__ import annotations

import binascii
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.link.frame import Frame, FrameReader, FrameType, NakReason
from tests.firmware.host_build import host_loader

BASE = 0x4000_0000
RAM = 65536


def exchange(stream: bytes) -> tuple[list[Frame], bytes | None]:
    """Feed *stream*; the loader's answers, and its RAM if it started an image. Any sanitiser finding fails."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "ram"
        done = subprocess.run([host_loader(), dump], input=stream, capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        ram = dump.read_bytes() if dump.exists() else None
    return FrameReader().feed(done.stdout), ram


def hello(sequence: int = 0) -> bytes:
    return Frame(FrameType.HELLO, sequence).encode()


def data(sequence: int, address: int, payload: bytes) -> bytes:
    return Frame(FrameType.DATA, sequence & 0xFF, address, payload).encode()


def end(sequence: int, image: bytes, base: int = BASE, entry: int = BASE, crc: int | None = None) -> bytes:
    crc = zlib.crc32(image) if crc is None else crc
    return Frame(FrameType.END, sequence & 0xFF, 0, struct.pack("<IIII", base, len(image), crc, entry)).encode()


def answers(stream: bytes) -> list[tuple[str, int, int]]:
    """Type, sequence and reason (0: none) of every answer."""
    frames, _ = exchange(stream)
    return [(chr(f.type), f.sequence, f.payload[0] if f.type == FrameType.NAK else 0) for f in frames]


def test_hello_tells_version_window_and_ram():
    frames, _ = exchange(hello(7))
    assert [(f.type, f.sequence) for f in frames] == [(FrameType.ACK, 7)]
    assert struct.unpack("<HHHHII", frames[0].payload) == (1, 4, 1024, 0, BASE, RAM)


def test_an_image_is_stored_and_started_only_after_its_crc():
    image = bytes(range(256)) * 10
    stream = hello(250) + b"".join(data(251 + i, BASE + 512 * i, image[512 * i : 512 * i + 512]) for i in range(5))
    frames, ram = exchange(stream)
    assert ram is None
    assert [f.sequence for f in frames] == [250, 251, 252, 253, 254, 255]
    frames, ram = exchange(stream + end(0, image))
    assert (frames[-1].type, frames[-1].sequence) == (FrameType.ACK, 0)
    assert ram is not None
    assert ram[: len(image)] == image
    assert set(ram[len(image) :]) == {0xEE}


def test_a_wrong_image_crc_is_refused_and_nothing_starts():
    stream = hello() + data(1, BASE, b"abcd") + end(2, b"abcd", crc=1)
    frames, ram = exchange(stream)
    assert (frames[-1].type, frames[-1].payload) == (FrameType.NAK, bytes([NakReason.IMAGE_CRC]))
    assert ram is None


def test_a_damaged_frame_is_refused_and_taken_when_sent_again():
    good = data(1, BASE, b"abcd")
    bad = bytearray(good)
    bad[11] ^= 4
    assert answers(hello() + bytes(bad) + good) == [("A", 0, 0), ("N", 1, NakReason.CRC), ("A", 1, 0)]


def test_a_gap_is_reported_once_and_a_duplicate_acknowledged_again():
    stream = hello() + data(2, BASE, b"x") + data(3, BASE, b"y") + data(1, BASE, b"a") + data(1, BASE, b"b")
    assert answers(stream) == [("A", 0, 0), ("N", 1, NakReason.SEQUENCE), ("A", 1, 0), ("A", 1, 0)]
    _, ram = exchange(stream + end(2, b"a"))
    assert ram is not None
    assert ram[0] == ord("a"), "a duplicate was stored"


def test_data_before_hello_is_refused():
    assert answers(data(0, BASE, b"x")) == [("N", 0, NakReason.SEQUENCE)]


@pytest.mark.parametrize(
    ("address", "size"),
    [(BASE - 1, 4), (BASE + RAM - 3, 4), (BASE + RAM, 1), (0, 4), (0xFFFF_FFFC, 4), (BASE + RAM + 1, 0)],
)
def test_an_address_outside_the_ram_is_refused(address: int, size: int):
    assert answers(hello() + data(1, address, bytes(size)))[-1] == ("N", 1, NakReason.ADDRESS)


def test_the_last_bytes_of_the_ram_are_usable():
    assert answers(hello() + data(1, BASE + RAM - 4, b"abcd"))[-1] == ("A", 1, 0)


@pytest.mark.parametrize(
    ("base", "length", "entry"),
    [
        (BASE, RAM + 1, BASE),
        (BASE - 4, 8, BASE),
        (BASE, 0, BASE),
        (BASE, 8, BASE + 8),
        (BASE, 8, BASE - 4),
        (BASE, 8, BASE + 2),
        (0xFFFF_FFF0, 32, BASE),
    ],
)
def test_an_end_that_makes_no_sense_is_refused(base: int, length: int, entry: int):
    frame = Frame(FrameType.END, 1, 0, struct.pack("<IIII", base, length, 0, entry)).encode()
    assert answers(hello() + frame)[-1] == ("N", 1, NakReason.ADDRESS)


def test_a_frame_that_claims_too_much_is_refused_and_the_next_one_read():
    body = struct.pack("<BBHI", FrameType.DATA, 1, 1025, BASE)
    stream = hello() + b"\xa5\x5a" + body + data(1, BASE, b"x")
    assert answers(stream) == [("A", 0, 0), ("N", 1, NakReason.TOO_LONG), ("A", 1, 0)]


def test_an_unknown_type_is_refused():
    assert answers(hello() + Frame(ord("?"), 1).encode())[-1] == ("N", 1, NakReason.TYPE)


def test_garbage_between_frames_is_skipped():
    stream = b"\xa5\xa5" + hello() + b"\x00\xa5noise\xa5" + data(1, BASE, b"x") + b"\xa5" + data(2, BASE, b"y")
    assert answers(stream) == [("A", 0, 0), ("A", 1, 0), ("A", 2, 0)]


def test_abort_forgets_the_session():
    stream = hello() + Frame(FrameType.ABORT, 9).encode() + data(1, BASE, b"x")
    assert answers(stream) == [("A", 0, 0), ("A", 9, 0), ("N", 0, NakReason.SEQUENCE)]


frames_of_any_kind = st.builds(
    lambda kind, sequence, address, payload: Frame(kind, sequence, address, payload).encode(),
    st.one_of(st.sampled_from([int(t) for t in FrameType]), st.integers(0, 255)),
    st.integers(0, 255),
    st.one_of(st.integers(0, 2**32 - 1), st.integers(BASE - 8, BASE + 8), st.integers(BASE + RAM - 1100, BASE + RAM)),
    st.binary(max_size=1024),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(frames_of_any_kind))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(frame) - 1))
        frame[place] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(1, len(frame)))])


ends_of_any_kind = st.builds(
    lambda sequence, base, length, entry: Frame(
        FrameType.END, sequence, 0, struct.pack("<IIII", base, length, zlib.crc32(b"\xee" * min(length, RAM)), entry)
    ).encode(),
    st.integers(0, 3),
    st.sampled_from([BASE, BASE + 4, BASE + RAM - 4, 0]),
    st.one_of(st.integers(0, 64), st.integers(0, 2**32 - 1)),
    st.sampled_from([BASE, BASE + 4, 0, 3]),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.one_of(frames_of_any_kind, damaged(), st.binary(max_size=64), ends_of_any_kind), max_size=12))
def test_no_stream_breaks_the_loader(pieces: list[bytes]):
    """Streams of frames, damaged frames and noise: no sanitiser finding, and afterwards a HELLO is still answered."""
    flush = bytes(1024 + 12)
    frames, ram = exchange(b"".join([hello(), *pieces, flush, hello(77)]))
    assert frames[0].type == FrameType.ACK
    if ram is None:
        assert (frames[-1].type, frames[-1].sequence) == (FrameType.ACK, 77)


def test_crc_tables_agree_with_the_standard_library():
    """CRC-16 and CRC-32 over all byte values and odd lengths: answers and END would fail otherwise."""
    image = bytes(range(256)) + b"odd"
    frames, ram = exchange(hello() + data(1, BASE + 1, image) + end(2, image, base=BASE + 1, entry=BASE + 4))
    assert [f.type for f in frames] == [FrameType.ACK] * 3
    assert ram is not None
    assert ram[1 : 1 + len(image)] == image
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1
