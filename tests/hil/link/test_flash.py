"""Flashing the real loader over a real pty or socket that damages bytes: the whole image or a clear error."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from hil.link.flash import FlashReport, flash
from hil.link.port import Port, open_port
from mico.errors import DeviceError, FlashError, MicoError, ProtocolTimeout
from tests.firmware.host_build import host_loader
from tests.hil.link.faulty_line import Faults, FaultyLine

BASE = 0x4000_0000
IMAGE = random.Random(1).randbytes(20_011)


def send(
    folder: Path, faults: Faults, seed: int, kind: str = "pty", image: bytes = IMAGE, **options: int
) -> tuple[FlashReport | MicoError, bytes | None]:
    """Flash; the report or the error, and the loader's RAM if it started an image."""
    dump = folder / f"ram-{seed}-{kind}"
    with FaultyLine([host_loader(), dump], faults, seed, kind) as line, line.open() as port:
        try:
            result: FlashReport | MicoError = flash(
                port, image, base=BASE, entry=BASE, **{"timeout_s": 0.3, "retries": 10, **options}
            )
            deadline = time.monotonic() + 60
            while not dump.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        except MicoError as error:
            result = error
        time.sleep(0.05)
    return result, dump.read_bytes() if dump.exists() else None


@pytest.mark.parametrize("kind", ["pty", "socket"])
def test_a_good_line_needs_no_retransmission(tmp_path: Path, kind: str):
    report, ram = send(tmp_path, Faults(), 0, kind, timeout_s=60)
    assert isinstance(report, FlashReport)
    assert (report.frames, report.resent, report.size) == (20, 0, len(IMAGE))
    assert ram is not None
    assert ram[: len(IMAGE)] == IMAGE


@pytest.mark.parametrize("kind", ["pty", "socket"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "faults",
    [
        Faults(flip=1e-4),
        Faults(drop=1e-4),
        Faults(double=1e-4),
        Faults(silence=5e-5),
        Faults(flip=5e-5, drop=5e-5, double=5e-5, silence=1e-5),
    ],
    ids=["flip", "drop", "double", "silence", "all"],
)
def test_a_bad_line_is_recovered_from(tmp_path: Path, faults: Faults, seed: int, kind: str):
    report, ram = send(tmp_path, faults, seed, kind)
    assert isinstance(report, FlashReport), report
    assert ram is not None
    assert ram[: len(IMAGE)] == IMAGE


def test_what_was_lost_is_sent_again(tmp_path: Path):
    report, ram = send(tmp_path, Faults(drop=5e-4), 0)
    assert isinstance(report, FlashReport)
    assert report.resent >= 3
    assert ram is not None
    assert ram[: len(IMAGE)] == IMAGE


@pytest.mark.parametrize("seed", range(3))
def test_a_hopeless_line_ends_in_an_error_and_never_in_a_wrong_image(tmp_path: Path, seed: int):
    started = time.monotonic()
    faults = Faults(flip=3e-3, drop=1e-3, double=1e-3)
    result, ram = send(tmp_path, faults, seed, timeout_s=0.05, retries=5)
    assert time.monotonic() - started < 60
    if isinstance(result, FlashReport):
        assert ram is not None
    else:
        assert isinstance(result, (FlashError, ProtocolTimeout))
        assert result.exit_code in (4, 5)
    assert ram is None or ram[: len(IMAGE)] == IMAGE


def test_a_dead_line_is_a_timeout_that_says_what_was_awaited(tmp_path: Path):
    started = time.monotonic()
    result, ram = send(tmp_path, Faults(drop=1.0), 0, timeout_s=0.05, retries=3)
    assert isinstance(result, ProtocolTimeout)
    assert "awaited HELLO 4 times" in str(result)
    assert "nothing arrived" in str(result)
    assert time.monotonic() - started < 30
    assert ram is None


def test_an_image_larger_than_the_ram_is_refused_before_it_is_sent(tmp_path: Path):
    result, ram = send(tmp_path, Faults(), 0, image=bytes(70_000))
    assert isinstance(result, FlashError)
    assert "does not fit" in str(result)
    assert ram is None


def test_an_empty_image_is_refused(tmp_path: Path):
    assert isinstance(send(tmp_path, Faults(), 0, image=b"")[0], FlashError)


def test_an_entry_outside_the_image_is_refused_by_the_device(tmp_path: Path):
    with (
        FaultyLine([host_loader(), tmp_path / "ram"], Faults(), 0) as line,
        line.open() as port,
        pytest.raises(FlashError, match="entry"),
    ):
        flash(port, IMAGE, base=BASE, entry=BASE + 65532, timeout_s=1)
    assert not (tmp_path / "ram").exists()


@pytest.mark.parametrize("kind", ["pty", "socket"])
def test_a_device_that_goes_away_is_a_device_error(tmp_path: Path, kind: str):
    with FaultyLine([host_loader(), tmp_path / "ram"], Faults(), 0, kind) as line, line.open() as port:

        def die() -> None:
            raise DeviceError("gone")

        line.process.kill()
        with pytest.raises((DeviceError, ProtocolTimeout)):
            flash(port, IMAGE, base=BASE, entry=BASE, timeout_s=0.2, retries=1, watch=die)


def test_a_port_that_was_closed_is_a_device_error(tmp_path: Path):
    with FaultyLine([host_loader(), tmp_path / "ram"], Faults(), 0) as line:
        port = line.open()
        port.close()
        port.close()
        with pytest.raises(DeviceError, match="the port cannot be"):
            flash(port, IMAGE, base=BASE, entry=BASE)


def test_a_port_that_is_not_there_is_a_device_error():
    for url in ("/dev/no-such-port", "socket://127.0.0.1:1"):
        with pytest.raises(DeviceError, match="cannot be opened"):
            open_port(url)


class LateAck(Port):
    """Of what answers END, all but the first byte comes when the host has given up waiting and sent END again."""

    _ends = 0
    _held = b""

    def write(self, data: bytes) -> None:
        self._ends += data[2:3] == b"E"
        super().write(data)

    def read(self, timeout_s: float) -> bytes:
        if self._ends == 0:
            return super().read(timeout_s)
        if self._ends > 1:
            held, self._held = self._held, b""
            return held or super().read(timeout_s)
        if self._held:
            time.sleep(timeout_s)
            return b""
        data = self._whole_answer()
        self._held = data[1:]
        return data[:1]

    def _whole_answer(self) -> bytes:
        data = b""
        while b"m-ready" not in data:
            data += super().read(1.0)
        return data


def test_an_acknowledgement_in_two_pieces_is_not_taken_for_the_programs_text(tmp_path: Path):
    with FaultyLine([host_loader(), tmp_path / "ram"], Faults(), 0) as line, line.open() as port:
        late = LateAck(port._stream, port.url)
        report = flash(late, IMAGE[:2000], base=BASE, entry=BASE, timeout_s=0.3)
    assert report.text.startswith(b"m-timestamp-mode-performance\r\n")
