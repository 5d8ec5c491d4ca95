"""What the host reads may be anything: its parsers answer, or say what is wrong; no damaged number is ever taken."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hil.lab import load_lab
from hil.link.console import Console
from hil.link.flash import flash
from hil.link.frame import Frame, FrameReader, FrameType
from hil.link.port import Port
from mico.errors import DeviceError, MicoError

BASE = 0x4000_0000


def failure(work: Callable[[], object]) -> str:
    """Where the error of the product says that it is; empty where there was none. Other errors are not expected."""
    try:
        work()
    except MicoError as error:
        return error.where
    return ""


class Recorded(Port):
    """A port from which *data* arrives, in pieces of *size* bytes, and which is then gone."""

    def __init__(self, data: bytes, size: int = 4096) -> None:
        self.url = "recorded"
        self._data, self._size = data, size

    def read(self, timeout_s: float) -> bytes:  # noqa: ARG002
        if not self._data:
            raise DeviceError("the recording is at its end", where=self.url)
        data, self._data = self._data[: self._size], self._data[self._size :]
        return data

    def write(self, data: bytes) -> None:
        pass


def checked(*lines: str) -> bytes:
    """An answer as the firmware sends it, with its CRC-32."""
    body = "".join(f"{line}\r\n" for line in lines)
    return f"{body}m-check-[{zlib.crc32(body.encode()):08x}]\r\nm-ready\r\n".encode()


ANSWERS: dict[str, tuple[bytes, Callable[[Console], Any]]] = {
    "info": (checked("m-info-[model=hand]", "m-info-[image-bytes=3000]", "m-info-[fault=none]"), Console.info),
    "logits": (checked("m-logits-[5186,-903178,72]"), Console.logits),
    "laps": (checked("m-lap-cycles-[33980]", "m-lap-cycles-[33980]"), Console.laps),
    "layers": (checked("m-layer-[conv 1] 700", "m-layer-[fc] 41", "m-glue 9", "m-total 750"), Console.layers),
    "counters": (checked("m-counters-[cycles,engine-busy]", "m-counts-[conv] 9,4"), Console.counters),
}
words = st.sampled_from(
    [
        b"m-ready",
        b"\r\n",
        b"m-check-[",
        b"]",
        b"m-logits-[",
        b"m-layer-[a] 1",
        b"m-total 1",
        b"m-glue 0",
        b"e-[x]",
        b",",
    ]
)
noise = st.lists(
    st.one_of(st.binary(max_size=30), words, st.sampled_from([a for a, _ in ANSWERS.values()])), max_size=12
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(noise.map(b"".join), st.sampled_from(sorted(ANSWERS)), st.integers(1, 64))
def test_whatever_arrives_the_console_answers_or_says_what_is_wrong(data: bytes, name: str, size: int):
    console = Console(Recorded(data, size), timeout_s=0.0)
    assert failure(lambda: ANSWERS[name][1](console)) in ("", "recorded")


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_a_damaged_answer_is_never_a_number(name: str, data: st.DataObject):
    """Up to three bytes changed, lost or doubled: the right answer, or an error."""
    answer, ask = ANSWERS[name]
    right = ask(Console(Recorded(answer), timeout_s=0.0))
    damaged = bytearray(answer)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        kind = data.draw(st.sampled_from(["flip", "drop", "double"]))
        if kind == "flip":
            damaged[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "drop":
            del damaged[place]
        else:
            damaged.insert(place, damaged[place])
    try:
        found = ask(Console(Recorded(bytes(damaged)), timeout_s=0.0))
    except MicoError:
        return
    assert found == right


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_a_frame_reader_loses_no_byte_and_invents_none(data: bytes, size: int):
    """Text and frames together are what came in."""
    reader = FrameReader()
    frames = [f for start in range(0, len(data), size) for f in reader.feed(data[start : start + size])]
    assert len(reader.text) + sum(len(f.encode()) for f in frames) + len(reader.rest()) == len(data)


ack_like = st.builds(
    lambda kind, sequence, payload: Frame(kind, sequence, 0, payload).encode(),
    st.sampled_from([FrameType.ACK, FrameType.NAK, FrameType.HELLO]),
    st.integers(0, 255),
    st.one_of(st.binary(max_size=16), st.binary(min_size=16, max_size=16)),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.one_of(ack_like, st.binary(max_size=30)), max_size=20).map(b"".join), st.integers(1, 100))
def test_whatever_a_loader_answers_flashing_ends_in_an_error_or_with_an_acknowledged_end(data: bytes, size: int):
    port = Recorded(data, size)
    where = failure(lambda: flash(port, bytes(2000), base=BASE, entry=BASE, timeout_s=0.0, retries=2))
    assert where == "recorded" or Frame(FrameType.ACK, 0).encode()[:3] in data


toml_words = st.sampled_from(
    ["[targets.a]", "[targets]", "kind", " = ", '"soc-sim"', '"serial"', '"tcp"', "\n", "count", "3", "-1", "[", "]",
     '"', "address", '"localhost:4000"', "port", '"/dev/serial/by-id/x"', "reset", '["a", "{port}"]', "true", "1e9",
     "#", "'"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=200), st.lists(toml_words, max_size=25).map("".join)))
def test_any_lab_file_is_a_lab_or_an_error_with_its_place(text: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        assert failure(lambda: load_lab(path).names()[0]) in (
            "",
            *(f"{path}:{line}" for line in range(-1, 300)),
            str(path),
        )
