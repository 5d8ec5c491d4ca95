"""Sends an image to a device in frames: window, go-back-N, retry cap, CRC-32 of the whole image at the end.

The device is the boot ROM (an image into its RAM) or the console's ``load`` (an input into the model's buffer): both
run firmware/boot/loader.c.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from hil.link.frame import MAX_PAYLOAD, OVERHEAD, Frame, FrameReader, FrameType, NakReason
from hil.link.port import Port
from mico.errors import FlashError, ProtocolError, ProtocolTimeout

__all__ = ["DEFAULT_BAUD", "FlashReport", "flash"]

_CRC_BYTES_PER_S = 50_000  # the slowest device's CRC-32 of the image, by far
DEFAULT_BAUD = 115_200  # of the boot loader after a reset, and of every program
_FAST_TRIALS = 2  # of a higher rate, before the image goes at the default one
_FLUSH = bytes(MAX_PAYLOAD + OVERHEAD)  # completes whatever frame the device still waits for


@dataclass(frozen=True)
class FlashReport:
    """What a transfer took.

    Attributes
    ----------
    size
        Bytes of the image.
    frames, resent
        Data frames of the image; frames of any type that were sent again, because one was lost or damaged.
    seconds
        Wall-clock time.
    text
        What the device sent behind the last frame: the beginning of the program's own lines.
    baud
        Rate at which the data went; 0: that of the port, which was not changed.
    """

    size: int
    frames: int
    resent: int
    seconds: float
    text: bytes
    baud: int = 0


class _RestartError(Exception):
    """The device lost its place: begin again with HELLO."""


def flash(
    port: Port,
    image: bytes,
    *,
    base: int,
    entry: int,
    timeout_s: float = 2.0,
    retries: int = 10,
    baud: int | None = None,
    started: bytes = b"m-timestamp-mode",
    watch: Callable[[], None] | None = None,
) -> FlashReport:
    """Send *image* to address *base* and start it at *entry*.

    Parameters
    ----------
    timeout_s
        Longest wait for an answer before frames are sent again.
    retries
        How many times in a row a step may fail.
    baud
        Rate to propose for the data; the port must be at 115,200, and is so again afterwards. Where the device keeps
        its rate, or cannot be heard at the new one, the data goes at 115,200. Default: the rate stays.
    started
        Text that only a started program sends: stands in for an acknowledgement of END that was lost.
    watch
        Called between waits; raises when the device is known to be dead.

    Raises
    ------
    FlashError
        The device refuses the image: no room, wrong CRC in its memory.
    ProtocolTimeout, DeviceError
        The device does not answer, or the port is gone.
    """
    if not image:
        raise FlashError("the image is empty", where=port.url)
    start = time.monotonic()
    sender = _Sender(port, timeout_s, retries, watch)
    fast_trials = _FAST_TRIALS if baud not in (None, DEFAULT_BAUD) and port.has_baud else 0
    used = 0
    for attempt in range(retries + 1):
        try:
            sender.hello(attempt, base, len(image))
            if baud is not None and attempt < fast_trials and sender.speed_up(baud):
                sender.hello(attempt + 128, base, len(image))
            used = sender.fast
            sender.data(image, base)
            if sender.fast:
                sender.slow_down()
            sender.end(image, base, entry, started)
            break
        except _RestartError as lost:
            problem = str(lost)
        finally:
            sender.back_to_default()
    else:
        raise FlashError(
            f"the image did not arrive whole in {retries + 1} attempts: {problem}",
            where=port.url,
            cure="a bad cable or baud rate, faulty RAM, or a device that resets",
        )
    frames = -(-len(image) // MAX_PAYLOAD)
    text = bytes(sender.reader.text[sender.text_mark :]) + sender.reader.rest()
    if started in text:  # it may stand behind an acknowledgement that came in two pieces, or damaged
        text = text[text.index(started) :]
    return FlashReport(len(image), frames, sender.sent - frames, time.monotonic() - start, text, used)


class _Sender:
    def __init__(self, port: Port, timeout_s: float, retries: int, watch: Callable[[], None] | None) -> None:
        self.port = port
        self.timeout_s = timeout_s
        self.retries = retries
        self.watch = watch
        self.reader = FrameReader()
        self.inbox: list[Frame] = []
        self.window = 1
        self.first_sequence = 0
        self.sent = 0
        self.text_mark = 0
        self.fast = 0  # the rate agreed upon, while it is in use
        self._proposals = 0

    def hello(self, attempt: int, base: int, length: int) -> None:
        """Agree on the sequence; learn window and RAM. Each HELLO has another sequence: no old answer fits it."""
        for trial in range(self.retries + 1):
            if trial == _FAST_TRIALS and self.fast:
                raise _RestartError(f"nothing is heard at {self.fast} baud")
            if trial or attempt not in (0, 128):
                self.port.write(_FLUSH)
                self.sent += 1
            sequence = (37 * attempt + 11 * trial) & 0xFF
            self.port.write(Frame(FrameType.HELLO, sequence).encode())
            deadline = time.monotonic() + self.timeout_s
            while (frame := self._receive(deadline)) is not None:
                if frame.type == FrameType.ACK and frame.sequence == sequence and len(frame.payload) == 16:
                    version, self.window, payload, _, ram_base, ram_bytes = struct.unpack("<HHHHII", frame.payload)
                    if version != 1 or payload < MAX_PAYLOAD or not 1 <= self.window <= 64:
                        raise ProtocolError(
                            f"the loader speaks version {version}, window {self.window}, payload {payload}",
                            where=self.port.url,
                            cure="the boot ROM is older or newer than this program",
                        )
                    if base < ram_base or base + length > ram_base + ram_bytes:
                        raise FlashError(
                            f"an image of {length} bytes at {base:#x} does not fit into the device's RAM,"
                            f" {ram_bytes} bytes at {ram_base:#x}",
                            where=self.port.url,
                            cure="choose a device with more RAM or a smaller model",
                        )
                    self.first_sequence = (sequence + 1) & 0xFF
                    return
        raise self._timed_out(
            "HELLO", "the device is not in its boot loader (reset it), is hung, or the baud rate is wrong"
        )

    def speed_up(self, baud: int) -> bool:
        """Agree on a higher rate, and switch to it. False where the device keeps its rate, or says nothing of it."""
        if self._propose(baud, 2) != baud:
            return False
        if not self.port.set_baud(baud):
            raise _RestartError(f"the port cannot be set to {baud} baud")
        self.fast = baud
        return True

    def slow_down(self) -> None:
        """Both back to the default rate. A device that has not heard of it returns there by itself."""
        if self._propose(DEFAULT_BAUD, 1) == DEFAULT_BAUD:
            self.back_to_default()
            return
        self.back_to_default()
        if self._propose(DEFAULT_BAUD, self.retries + 1) is None:
            raise _RestartError("the device did not come back from a higher baud rate")

    def back_to_default(self) -> None:
        if self.fast:
            self.fast = 0
            self.port.set_baud(DEFAULT_BAUD)

    def _propose(self, baud: int, trials: int) -> int | None:
        """The rate that the device changes to; 0 where it keeps its rate; None where it does not answer."""
        for _ in range(trials):
            self._proposals += 1
            sequence = (5 * self._proposals) & 0xFF
            self.port.write(Frame(FrameType.BAUD, sequence, 0, struct.pack("<I", baud)).encode())
            deadline = time.monotonic() + self.timeout_s
            while (frame := self._receive(deadline)) is not None:
                if frame.type == FrameType.ACK and frame.sequence == sequence and len(frame.payload) == 4:
                    return int.from_bytes(frame.payload, "little")
                if frame.type == FrameType.NAK and frame.payload[:1] == bytes([NakReason.TYPE]):
                    return 0  # a loader that knows nothing of rates
            self.port.write(_FLUSH)
            self.sent += 1
        return None

    def data(self, image: bytes, base: int) -> None:
        """Frames in flight up to the window; from the first one missing again after a NAK or a time-out."""
        count = -(-len(image) // MAX_PAYLOAD)
        acked = following = failures = 0
        patience_s = 2 * (self.retries + 1) * self.timeout_s
        give_up = time.monotonic() + patience_s
        while acked < count:
            if time.monotonic() > give_up:
                raise self._timed_out(f"ACK of data frame {acked} of {count}", "the device only repeats old answers")
            while following < min(count, acked + self.window):
                offset = following * MAX_PAYLOAD
                self._send(
                    Frame(
                        FrameType.DATA, self._sequence(following), base + offset, image[offset : offset + MAX_PAYLOAD]
                    )
                )
                following += 1
            frame = self._receive(time.monotonic() + self.timeout_s)
            if frame is None:
                if self.fast:  # by now the device has gone back to the default rate
                    raise _RestartError(f"silence at {self.fast} baud")
                failures += 1
                if failures > self.retries:
                    raise self._timed_out(
                        f"ACK of data frame {acked} of {count}", "the line is cut or the device is hung"
                    )
                self.port.write(_FLUSH)
                following = acked
                continue
            # ACK names the last frame accepted, NAK the one expected next; both say how far the device is.
            ahead = (frame.sequence - self._sequence(acked) + (frame.type == FrameType.ACK)) & 0xFF
            if frame.type == FrameType.NAK:
                self._refused(frame, acked, base)
                if ahead > following - acked:
                    raise _RestartError("the device expects another frame than any in flight")
                failures = failures + 1 if ahead == 0 else 0
                if failures > _FAST_TRIALS and self.fast:
                    raise _RestartError(f"frames arrive damaged at {self.fast} baud")
                if failures > self.retries:
                    raise FlashError(
                        f"data frame {acked} of {count} was damaged {failures} times in a row",
                        where=self.port.url,
                        cure="a bad cable or a wrong baud rate",
                    )
                following = acked = acked + ahead
            elif frame.type == FrameType.ACK and not frame.payload and 1 <= ahead <= following - acked:
                acked += ahead
                failures = 0
                give_up = time.monotonic() + patience_s

    def end(self, image: bytes, base: int, entry: int, started: bytes) -> None:
        """The device sums up its memory, acknowledges, and starts the program."""
        count = -(-len(image) // MAX_PAYLOAD)
        sequence = self._sequence(count)
        payload = struct.pack("<IIII", base, len(image), zlib.crc32(image), entry)
        self.text_mark = len(self.reader.text)
        for trial in range(self.retries + 1):
            if trial:
                self.port.write(_FLUSH)
                self.sent += 1
            self.port.write(Frame(FrameType.END, sequence, 0, payload).encode())
            deadline = time.monotonic() + self.timeout_s + len(image) / _CRC_BYTES_PER_S
            while (frame := self._receive(deadline, started)) is not None:
                if frame.type == FrameType.ACK and frame.sequence == sequence:
                    return
                if frame.type == FrameType.NAK:
                    self._refused(frame, count, base)
                    if frame.sequence != sequence:
                        raise _RestartError("the device expects another frame than END")
                    if frame.payload[:1] == bytes([NakReason.IMAGE_CRC]):
                        raise _RestartError("the CRC-32 of the image in the device's memory is wrong")
                    break
            if started in self.reader.text[self.text_mark :]:
                return
        raise self._timed_out("ACK of END", "the line is cut, or the device is hung")

    def _sequence(self, index: int) -> int:
        return (self.first_sequence + index) & 0xFF

    def _send(self, frame: Frame) -> None:
        self.port.write(frame.encode())
        self.sent += 1

    def _receive(self, deadline: float, text: bytes | None = None) -> Frame | None:
        """The next frame; None at the deadline, or once *text* has come."""
        while not self.inbox:
            left = deadline - time.monotonic()
            data = self.port.read(min(max(left, 0.0), 0.5))
            self.inbox += self.reader.feed(data) if data else []
            if text is not None and not self.inbox and text in self.reader.text[self.text_mark :]:
                return None
            if not data and self.watch is not None:
                self.watch()
            if left <= 0 and not self.inbox:
                self.inbox += self.reader.give_up()
                if not self.inbox:
                    return None
        return self.inbox.pop(0)

    def _refused(self, frame: Frame, index: int, base: int) -> None:
        if frame.payload[:1] == bytes([NakReason.ADDRESS]):
            raise FlashError(
                f"the device refuses the address of frame {index} (image at {base:#x}) or the entry",
                where=self.port.url,
                cure="the program was linked for other RAM than the device has",
            )

    def _timed_out(self, awaited: str, cure: str) -> ProtocolTimeout:
        arrived = bytes(self.reader.text[-120:])
        return ProtocolTimeout(
            f"awaited {awaited} {self.retries + 1} times, {self.timeout_s:g} s each; "
            + (f"arrived instead: {arrived!r}" if arrived else "nothing arrived"),
            where=self.port.url,
            cure=cure,
        )
