"""Scripts for stream_bench.sv: commands with the answers and memories that the Python model gives for them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.harness import simd_model
from hil.harness.runner import ROOT, read_file_list, run_cocotb
from hil.harness.stream_model import Op, Register, StreamModel, function_id

FOLDER = Path(__file__).resolve().parent
RAM_BASE = 0x4000_0000
RAM_BYTES = 0x1C000
USED_BYTES = 0x4000
BUFFER_WORDS = 2048
BENCH = "bench_cocotb.py"


class Script:
    """Commands for the bench, executed by the model as they are added.

    Parameters
    ----------
    rng
        Fills the RAM of every :meth:`load` without content.
    used_bytes
        What :meth:`load` fills and :meth:`check` compares, from the RAM's beginning.
    gate_clock
        Of the RTL: clocks inside the engine rest.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        lanes: int = 4,
        *,
        used_bytes: int = USED_BYTES,
        fifo_depth: int = 8,
        gate_clock: bool = False,
    ) -> None:
        self.rng = rng
        self.memory = np.zeros(RAM_BYTES, dtype=np.uint8)
        self.model = StreamModel(self.memory, ram_base=RAM_BASE, lanes=lanes, buffer_words=BUFFER_WORDS)
        self.used_bytes = used_bytes
        self.fifo_depth = fifo_depth
        self.gate_clock = gate_clock
        self.answers = 0
        self._records: list[bytes] = []

    def _words(self, *words: int) -> None:
        self._records.append(struct.pack(f">{len(words)}I", *(word & 0xFFFF_FFFF for word in words)))

    def _ram(self, kind: int) -> None:
        self._words(kind, self.used_bytes // 4)
        self._records.append(self.memory[: self.used_bytes].view("<u4").astype(">u4").tobytes())

    def command(self, function: int, rs1: int = 0, rs2: int = 0, check: bool = True) -> int:
        """One command of the engine or of version 1; *check* False: its answer is not compared but :meth:`run`'s."""
        if function >> 3 & 0xF:
            expected = simd_model.dot(function, rs1 & 0xFFFF_FFFF, rs2 & 0xFFFF_FFFF)
        else:
            expected = self.model.execute(function, rs1, rs2)
        self._words(1, function, rs1, rs2, expected, int(check))
        self.answers += not check
        return expected

    def op(self, op: Op, rs1: int = 0, rs2: int = 0, funct3: int = 0) -> int:
        return self.command(function_id(op, funct3), rs1, rs2)

    def set(self, **registers: int) -> None:
        """SET of registers by name: ``set(k=25, lanes_on=4)``."""
        for name, value in registers.items():
            self.op(Op.SET, value, Register[name.upper()])

    def load(self, content: NDArray[np.uint8] | None = None) -> None:
        """Give the RAM new content, random bytes unless *content* is given for its beginning."""
        self.memory[: self.used_bytes] = self.rng.integers(0, 256, self.used_bytes, dtype=np.uint8)
        if content is not None:
            self.memory[: len(content)] = content
        self._ram(2)

    def reload(self) -> None:
        """Give the RAM the model's content, after a change of ``memory`` from outside."""
        self._ram(2)

    def check(self) -> None:
        """Wait, and compare STATUS, OPS and the RAM."""
        self.op(Op.WAIT)
        self.op(Op.GET, 0, Register.OPS)
        self._ram(3)

    def peek_all(self, words: int) -> None:
        """Compare the first *words* of every lane buffer."""
        for lane in range(self.model.lanes):
            for word in range(words):
                self.op(Op.GET, word, lane, funct3=1)

    def timing(self, grant: int = 256, latency: int = 1, ready: int = 256, decoy: int = 0) -> None:
        """Rates per 256 of grants, answers taken and commands withdrawn; longest read in cycles."""
        self._words(4, grant, latency, ready, decoy)

    def random_timing(self) -> None:
        """Half the time no stalls at all, else any."""
        if self.rng.integers(2):
            self.timing()
        else:
            rng = self.rng
            self.timing(
                int(rng.integers(20, 257)),
                int(rng.choice([1, 2, 3, 8, 40])),
                int(rng.integers(60, 257)),
                int(rng.choice([0, 60])),
            )

    def write(self, path: Path) -> None:
        """Write the script to *path*."""
        path.write_bytes(b"".join([*self._records, struct.pack(">I", 0)]))

    def run(self, name: str) -> list[int]:
        """Play the script; returns the answers not compared. Raises MeasurementError where the RTL differs."""
        folder = ROOT / "build" / "stream"
        folder.mkdir(parents=True, exist_ok=True)
        path, answers = folder / f"{name}.script", folder / f"{name}.answers"
        self.write(path)
        answers.unlink(missing_ok=True)
        parameters = {
            "Lanes": self.model.lanes,
            "BufWords": self.model.buffers.shape[1],
            "FifoDepth": self.fifo_depth,
            "RamBytes": len(self.memory),
            "GateClock": int(self.gate_clock),
        }
        run_cocotb(
            FOLDER / BENCH,
            top="stream_bench",
            sources=[*read_file_list(ROOT / "rtl/simd/stream/simd_top.f"), FOLDER / "stream_bench.sv"],
            parameters=parameters,
            plusargs=[f"+script={path}", f"+answers={answers}"],
            env={"MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include"},  # the quirk of BUILD_QUIRKS, for make run by cocotb
        )
        values = [int(line) for line in answers.read_text().split()]
        assert len(values) == self.answers
        return values
