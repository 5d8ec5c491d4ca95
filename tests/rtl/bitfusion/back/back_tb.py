"""Drives ``back_bench``: runs, chunks and buffer writes in, an AXI4 slave behind; every cycle in one place."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from numpy.typing import NDArray
from runs import Run, chunks, run_bits

from mico.codegen.bitfusion.isa import Buffer, Vector
from mico.codegen.bitfusion.loopnest import Buffers, run_array, run_vector
from mico.codegen.bitfusion.machine import Machine

__all__ = ["Stalls", "Status", "Tb", "expected"]

BASE = 0x4000_0000


@dataclass(frozen=True)
class Stalls:
    """Probability that an interface waits in a cycle: chunks, AW, W; and the latency of B in cycles (least, most)."""

    chunk: float = 0.0
    aw: float = 0.0
    w: float = 0.0
    latency: tuple[int, int] = (4, 4)
    run: float = 0.0


@dataclass(frozen=True)
class Status:
    """``status_o`` of a cycle."""

    bits: int

    def __getattr__(self, name: str) -> int:
        low, width = _STATUS[name]
        return self.bits >> low & ((1 << width) - 1)


_STATUS = {
    "run_ready": (0, 1), "chunk_ready": (1, 1), "awvalid": (2, 1), "wvalid": (3, 1), "sem_valid": (4, 1),
    "sem": (5, 4), "runs_idle": (9, 1), "stores_idle": (10, 1), "error_valid": (11, 1), "error": (12, 8),
    "token": (20, 1), "wait_patch": (21, 1), "wait_store": (22, 1), "bready": (23, 1), "wlast": (24, 1),
    "mismatch": (25, 1),
}  # fmt: skip


@dataclass
class Tb:
    """State of the bench; *memory* is what the slave holds, *log* every cycle's status."""

    dut: Any
    machine: Machine
    memory: NDArray[np.uint8]
    stalls: Stalls
    rng: random.Random
    bresp: int = 0
    runs: deque[Run] = field(default_factory=deque)
    chunks: deque[tuple[int, int]] = field(default_factory=deque)
    loads: deque[tuple[int, int, int]] = field(default_factory=deque)  # buffer, beat, data
    log: list[Status] = field(default_factory=list)
    semaphores: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    beats: int = 0
    stop: bool = False
    _addresses: deque[int] = field(default_factory=deque)
    _data: deque[tuple[int, int]] = field(default_factory=deque)
    _answers: deque[int] = field(default_factory=deque)  # cycle from which on
    _waiting: dict[str, tuple[int, ...]] = field(default_factory=dict)

    async def start(self) -> None:
        """Clock and reset."""
        dut = self.dut
        inputs = "stop run_valid run chunk_valid chunk_data chunk_mask buf_we buf_sel buf_addr buf_data"
        for name in f"{inputs} awready wready bvalid bresp".split():
            getattr(dut, f"{name}_i").value = 0
        dut.mem_base_i.value = BASE
        dut.mem_bytes_i.value = len(self.memory)
        dut.rst_ni.value = 0
        Clock(dut.clk_i, 10, unit="ns").start()
        for _ in range(3):
            await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1

    def load(self, buffer: Buffer, data: NDArray[np.uint8], beat: int = 0) -> None:
        """Bytes into a buffer from *beat* on, a beat a cycle."""
        for i, part in enumerate(data.reshape(-1, self.machine.beat)):
            self.loads.append((int(buffer), beat + i, int.from_bytes(part.tobytes(), "little")))

    async def cycle(self) -> Status:
        """A clock cycle: inputs at the falling edge, handshakes as they stand before the rising one."""
        dut, rng, stalls = self.dut, self.rng, self.stalls
        await FallingEdge(dut.clk_i)
        dut.stop_i.value = int(self.stop)
        load = self.loads.popleft() if self.loads else None
        dut.buf_we_i.value = load is not None
        if load is not None:
            dut.buf_sel_i.value, dut.buf_addr_i.value, dut.buf_data_i.value = load
        offer_run = bool(self.runs) and rng.random() >= stalls.run
        dut.run_valid_i.value = offer_run
        if offer_run:
            dut.run_i.value = run_bits(self.runs[0])
        offer_chunk = bool(self.chunks) and rng.random() >= stalls.chunk
        dut.chunk_valid_i.value = offer_chunk
        if offer_chunk:
            dut.chunk_data_i.value, dut.chunk_mask_i.value = self.chunks[0]
        awready, wready = rng.random() >= stalls.aw, rng.random() >= stalls.w
        dut.awready_i.value, dut.wready_i.value = awready, wready
        now = len(self.log)
        answer = bool(self._answers) and self._answers[0] <= now
        dut.bvalid_i.value = answer
        dut.bresp_i.value = self.bresp
        await ReadOnly()
        status = Status(int(dut.status_o.value))
        self.log.append(status)
        assert not status.mismatch, f"cycle {now}: the builds differ"
        assert status.bready
        assert status.wlast
        if offer_run and status.run_ready:
            self.runs.popleft()
        if offer_chunk and status.chunk_ready:
            self.chunks.popleft()
        if answer:
            self._answers.popleft()
        if address := self._channel("AW", status.awvalid, awready, dut.awaddr_o):
            self._addresses.append(address[0])
        if data := self._channel("W", status.wvalid, wready, dut.wdata_o, dut.wstrb_o):
            self._data.append((data[0], data[1]))
        if self._addresses and self._data:
            self._write(self._addresses.popleft(), *self._data.popleft())
            self._answers.append(max(now + rng.randint(*stalls.latency), self._answers[-1] if self._answers else 0))
        if status.sem_valid:
            self.semaphores.append(status.sem)
        if status.error_valid:
            self.errors.append(status.error)
        return status

    def _channel(self, name: str, valid: int, ready: bool, *signals: Any) -> tuple[int, ...] | None:
        """What goes over a channel in this cycle; a payload that waits has to stay."""
        payload = tuple(int(signal.value) for signal in signals) if valid else ()
        before = self._waiting.pop(name, None)
        assert before is None or before == payload, f"{name} changed while it waited"
        if valid and not ready:
            self._waiting[name] = payload
        return payload if valid and ready else None

    def _write(self, address: int, data: int, strobes: int) -> None:
        beat = self.machine.beat
        assert address % beat == 0, f"write to {address:#x}"
        assert strobes, f"write to {address:#x} without a byte"
        for i, byte in enumerate(data.to_bytes(beat, "little")):
            if strobes >> i & 1:
                assert 0 <= address - BASE + i < len(self.memory), f"write outside the window: {address + i:#x}"
                self.memory[address - BASE + i] = byte
        self.beats += 1

    async def finish(self, limit: int = 20_000) -> int:
        """Cycles until everything offered is done and written."""
        for count in range(limit):
            status = await self.cycle()
            if not (self.runs or self.chunks or self.loads) and status.runs_idle and status.stores_idle:
                if self._data or self._addresses or self._answers:
                    raise AssertionError("idle with writes under way")
                return count
        raise AssertionError(f"not idle after {limit} cycles: {self.log[-1]}, {len(self.chunks)} chunks left")

    def offer(self, runs: Iterable[Run], buffers: Buffers) -> None:
        """Runs and their chunks; their input is *buffers*' IBUF."""
        for run in runs:
            self.runs.append(run)
            self.chunks.extend(chunks(run.loops, buffers.ibuf, self.machine))


def expected(runs: Iterable[Run], buffers: Buffers, machine: Machine, memory: NDArray[np.uint8]) -> None:
    """What the runs do to *buffers* and *memory*, by the instruction-level model."""

    def write(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> None:
        for offset, vector in zip(offsets, data, strict=True):
            memory[offset : offset + len(vector)] = vector

    for run in runs:
        vector = run.loops.mode.vector
        (run_vector if isinstance(vector, Vector) else run_array)(run.loops, buffers, machine, write)
