"""The far end of a serial line for cocotb benches: 8N1, bit by bit, as imperfect as asked."""

from __future__ import annotations

import random
from typing import Any

from cocotb.triggers import FallingEdge, Timer

__all__ = ["SerialSender", "receive_bytes"]


def _ps(time_ns: float) -> int:
    return round(1000 * time_ns)


class SerialSender:
    """Sends bytes on *line*.

    Parameters
    ----------
    bit_ns
        Length of a bit; other than the receiver's for a clock that drifts.
    jitter
        Every edge is early or late by up to this part of a bit, at random; edges do not push each other.
    seed
        Of the jitter.
    """

    def __init__(self, line: Any, bit_ns: float, *, jitter: float = 0.0, seed: int = 1) -> None:
        self.line = line
        self.bit_ns = bit_ns
        self.jitter = jitter
        self._rng = random.Random(seed)

    async def send(self, byte: int, *, stop: int = 1) -> None:
        """One byte with its start and stop bit; leaves the line high, a broken *stop* bit (0) included."""
        ahead = 0.0
        for bit in (0, *[byte >> i & 1 for i in range(8)], stop):
            self.line.value = bit
            late = self._rng.uniform(-self.jitter, self.jitter) / 2 * self.bit_ns
            await Timer(_ps(self.bit_ns + late - ahead), "ps")
            ahead = late
        self.line.value = 1


async def receive_bytes(line: Any, bit_ns: float, count: int) -> list[int]:
    """The next *count* bytes on *line*, each bit sampled in its middle.

    Raises
    ------
    AssertionError
        A start bit was not low in its middle, or a stop bit not high.
    """
    received = []
    for _ in range(count):
        if int(line.value) == 1:
            await FallingEdge(line)
        await Timer(_ps(bit_ns / 2), "ps")
        assert int(line.value) == 0, "start bit"
        byte = 0
        for i in range(8):
            await Timer(_ps(bit_ns), "ps")
            byte |= int(line.value) << i
        await Timer(_ps(bit_ns), "ps")
        assert int(line.value) == 1, "stop bit"
        received.append(byte)
    return received
