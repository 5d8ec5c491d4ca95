"""Bus-level model of a cacheless VexiiRiscv core: issues what it issues, checks that answers are due and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import Event, FallingEdge, ReadOnly

from hil.harness.wishbone import no_gap


@dataclass
class Transaction:
    """One command, and its answer when ``done`` is set."""

    address: int
    write: bool = False
    data: int = 0
    size: int = 2
    io: bool = False
    id: int = 0
    error: bool = False
    accepted_at: int = -1
    answered_at: int = -1
    done: Event | None = None

    @property
    def mask(self) -> int:
        return ((1 << (1 << self.size)) - 1) << (self.address & 3) & 0xF

    @property
    def bus_data(self) -> int:
        """Store data as the core puts it on the bus: repeated over the word."""
        bits = 8 << self.size
        return sum((self.data & ((1 << bits) - 1)) << shift for shift in range(0, 32, bits))


class VexiiBus:
    """One of the two buses; commands are issued from a queue, back to back but for *gap*.

    A command, once valid, stands until accepted. Answers have no ready and are taken whenever they come.
    """

    def __init__(self, core: Any, clk: Any, name: str, *, ids: int, gap: Callable[[], int] = no_gap) -> None:
        self._pin = {
            key: getattr(core, f"{name}_logic_bus_{key}", None)
            for key in (
                *("cmd_valid", "cmd_ready", "cmd_payload_id", "cmd_payload_write", "cmd_payload_address"),
                *("cmd_payload_data", "cmd_payload_size", "cmd_payload_mask", "cmd_payload_io"),
                *("rsp_valid", "rsp_payload_id", "rsp_payload_error", "rsp_payload_data", "rsp_payload_word"),
            )
        }
        self._clk = clk
        self.ids = ids
        self.gap = gap
        self.cycle = 0
        self.log: list[Transaction] = []
        self._next_id = 0
        self._queue: deque[Transaction] = deque()
        self._pending: deque[Transaction] = deque()
        cocotb.start_soon(self._run())

    def submit(self, address: int, **fields: Any) -> Transaction:
        """Queue a command; it is issued as soon as those before it are accepted."""
        transaction = Transaction(address, id=self._next_id, done=Event(), **fields)
        self._next_id = (self._next_id + 1) % self.ids
        self._queue.append(transaction)
        return transaction

    async def load(self, address: int, **fields: Any) -> int:
        """Word at *address*; it must not end in an error."""
        transaction = self.submit(address, **fields)
        await transaction.done.wait()
        assert not transaction.error, f"bus error at {address:#x}"
        return transaction.data

    async def store(self, address: int, data: int, **fields: Any) -> None:
        transaction = self.submit(address, write=True, data=data, **fields)
        await transaction.done.wait()
        assert not transaction.error, f"bus error at {address:#x}"

    async def fails(self, address: int, **fields: Any) -> bool:
        transaction = self.submit(address, **fields)
        await transaction.done.wait()
        return transaction.error

    def _drive(self, current: Transaction | None) -> None:
        values = {"cmd_valid": 0}
        if current is not None:
            values = {
                "cmd_valid": 1,
                "cmd_payload_id": current.id,
                "cmd_payload_write": int(current.write),
                "cmd_payload_address": current.address,
                "cmd_payload_data": current.bus_data,
                "cmd_payload_size": current.size,
                "cmd_payload_mask": current.mask,
                "cmd_payload_io": int(current.io),
            }
        for key, value in values.items():
            if self._pin[key] is not None:
                self._pin[key].value = value

    async def _run(self) -> None:
        current: Transaction | None = None
        wait = 0
        while True:
            if current is None and self._queue:
                if wait == 0:
                    current = self._queue.popleft()
                else:
                    wait -= 1
            self._drive(current)
            await ReadOnly()
            # Answers belong to commands accepted in an earlier cycle.
            answered = self._answer() if self._pin["rsp_valid"].value else None
            if current is not None and self._pin["cmd_ready"].value:
                current.accepted_at = self.cycle
                self._pending.append(current)
                assert len(self._pending) <= self.ids, "more answers outstanding than ids"
                current = None
                wait = self.gap()
            await FallingEdge(self._clk)
            self.cycle += 1
            if answered is not None:
                answered.done.set()  # only now: who waits for it may want to drive signals

    def _answer(self) -> Transaction:
        assert self._pending, "an answer without a command"
        transaction = self._pending.popleft()
        assert int(self._pin["rsp_payload_id"].value) == transaction.id, "answers out of order"
        transaction.error = bool(self._pin["rsp_payload_error"].value)
        word = self._pin["rsp_payload_data"]
        if word is None:
            word = self._pin["rsp_payload_word"]
        if not transaction.write:
            transaction.data = int(word.value)
        transaction.answered_at = self.cycle
        self.log.append(transaction)
        return transaction
