"""The binary frames of firmware/boot/README.md: encode, and decode from a stream with text and garbage between them."""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum

from mico.errors import UsageError

__all__ = ["MAX_PAYLOAD", "Frame", "FrameReader", "FrameType", "NakReason"]

SYNC = b"\xa5\x5a"
MAX_PAYLOAD = 1024
_HEADER = struct.Struct("<BBHI")  # type, sequence, length, address
OVERHEAD = len(SYNC) + _HEADER.size + 2


class FrameType(IntEnum):
    """What a frame is for."""

    HELLO = ord("H")
    DATA = ord("D")
    END = ord("E")
    ABORT = ord("X")
    BAUD = ord("B")
    ACK = ord("A")
    NAK = ord("N")


class NakReason(IntEnum):
    """Why the device refuses a frame."""

    CRC = 1
    SEQUENCE = 2
    ADDRESS = 3
    IMAGE_CRC = 4
    TYPE = 5
    TOO_LONG = 6


@dataclass(frozen=True)
class Frame:
    """One frame; ``sequence`` counts modulo 256, ``payload`` holds at most MAX_PAYLOAD bytes."""

    type: int
    sequence: int
    address: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        if len(self.payload) > MAX_PAYLOAD:
            raise UsageError(f"a frame holds at most {MAX_PAYLOAD} bytes, not {len(self.payload)}")
        body = _HEADER.pack(self.type, self.sequence & 0xFF, len(self.payload), self.address) + self.payload
        return SYNC + body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))


class FrameReader:
    """Finds frames in what a device sends. What is no frame is text: see ``text``.

    Parameters
    ----------
    max_payload
        A longer length field is taken for garbage; devices answer with at most 16 bytes.

    Attributes
    ----------
    text
        All bytes so far that belong to no frame.
    """

    def __init__(self, max_payload: int = 64) -> None:
        self._max_payload = max_payload
        self._pending = bytearray()
        self.text = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Takes bytes; returns the frames that they complete. A frame with a wrong CRC becomes text."""
        self._pending += data
        frames: list[Frame] = []
        while True:
            start = self._pending.find(SYNC)
            if start < 0:
                keep = 1 if self._pending.endswith(SYNC[:1]) else 0
                self._skip(len(self._pending) - keep)
                return frames
            self._skip(start)
            if len(self._pending) < OVERHEAD:
                return frames
            kind, sequence, length, address = _HEADER.unpack_from(self._pending, len(SYNC))
            if length > self._max_payload:
                self._skip(1)
                continue
            size = OVERHEAD + length
            if len(self._pending) < size:
                return frames
            body = bytes(self._pending[len(SYNC) : size - 2])
            if binascii.crc_hqx(body, 0xFFFF) != int.from_bytes(self._pending[size - 2 : size], "little"):
                self._skip(1)
                continue
            frames.append(Frame(kind, sequence, address, body[_HEADER.size :]))
            del self._pending[:size]

    def give_up(self) -> list[Frame]:
        """After a time-out: no more bytes will complete the frame begun, so look behind its first byte."""
        self._skip(min(1, len(self._pending)))
        return self.feed(b"")

    def rest(self) -> bytes:
        """Takes out what is not yet known to be frame or text."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest

    def _skip(self, count: int) -> None:
        self.text += self._pending[:count]
        del self._pending[:count]
