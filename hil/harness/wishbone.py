"""Wishbone master for cocotb benches: single accesses and incrementing bursts, with stalls when asked.

Signals are driven behind a falling edge and sampled when they have settled, before the rising edge that acts on them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import FallingEdge, ReadOnly

__all__ = ["CTI_BURST", "CTI_END", "CTI_SINGLE", "Beat", "WishboneMaster", "no_gap", "random_gap"]

CTI_SINGLE, CTI_BURST, CTI_END = 0b000, 0b010, 0b111


@dataclass(frozen=True)
class Beat:
    """One finished beat: data read (0 of a write), whether it ended in an error, cycles from its strobe to its end."""

    data: int
    error: bool
    cycles: int


def no_gap() -> int:
    """Cycles with the strobe low before a beat: none, back to back."""
    return 0


def random_gap(seed: int, most: int = 3) -> Callable[[], int]:
    """Cycles with the strobe low before a beat, 0 to *most*, often 0."""
    source = random.Random(seed)
    return lambda: source.choice((0, source.randint(0, most)))


class WishboneMaster:
    """Drives the signals ``{prefix}cyc_i`` ... of *dut*, as far as they exist (an instruction bus has no ``we``).

    Parameters
    ----------
    lane
        Bit of ``cyc``, ``ack`` and ``rdata`` where several slaves share the other signals; None: they are plain.
    rdata
        Name of the data signal, where it is not ``{prefix}rdata_o``.
    """

    def __init__(self, dut: Any, prefix: str = "", *, lane: int | None = None, rdata: str | None = None) -> None:
        self.dut = dut
        self.lane = lane
        self._pin = {
            name: getattr(dut, f"{prefix}{name}_i", None) for name in ("cyc", "stb", "we", "adr", "wdata", "sel", "cti")
        }
        self._ack = getattr(dut, f"{prefix}ack_o")
        self._err = getattr(dut, f"{prefix}err_o", None)
        self._rdata = getattr(dut, rdata or f"{prefix}rdata_o")
        self.idle()

    def idle(self) -> None:
        for pin in self._pin.values():
            if pin is not None:
                pin.value = 0

    def _drive(self, **values: int) -> None:
        for name, value in values.items():
            pin = self._pin[name]
            if pin is not None:
                pin.value = value << self.lane if name == "cyc" and self.lane is not None else value

    def _bit(self, pin: Any) -> bool:
        value = int(pin.value)
        return bool(value >> (self.lane or 0) & 1)

    async def _beat(self, adr: int, data: int | None, sel: int, cti: int, gap: int) -> Beat:
        if gap:
            self._drive(cyc=1, stb=0)
            for _ in range(gap):
                await FallingEdge(self.dut.clk_i)
        self._drive(cyc=1, stb=1, we=int(data is not None), adr=adr, wdata=data or 0, sel=sel, cti=cti)
        cycles = 0
        while True:
            await ReadOnly()
            cycles += 1
            error = self._err is not None and self._bit(self._err)
            done = self._bit(self._ack) or error
            word = int(self._rdata.value) >> (32 * (self.lane or 0)) & 0xFFFFFFFF if done and data is None else 0
            await FallingEdge(self.dut.clk_i)
            if done:
                return Beat(word, error, cycles)

    async def burst(
        self, adr: int, count: int, *, data: Sequence[int] | None = None, gap: Callable[[], int] = no_gap
    ) -> list[Beat]:
        """Incrementing burst of *count* words from word address *adr*; writes *data* if given."""
        beats = []
        for i in range(count):
            cti = CTI_END if i == count - 1 else CTI_BURST
            beats.append(await self._beat(adr + i, data[i] if data is not None else None, 0b1111, cti, gap()))
        self.idle()
        return beats

    async def access(
        self,
        adr: int,
        *,
        data: int | None = None,
        sel: int = 0b1111,
        gap: Callable[[], int] = no_gap,
        last: bool = True,
    ) -> Beat:
        """Single access to word address *adr*: a write if *data* is given. With *last* false the bus stays taken."""
        beat = await self._beat(adr, data, sel, CTI_SINGLE, gap())
        if last:
            self.idle()
        return beat
