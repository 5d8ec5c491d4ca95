"""Random programs for the whole accelerator: chains of runs with their loads, and what they leave by the model."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Buffer, Engine, Instruction, LoadReg, RunReg, encode
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.model import execute
from tests.rtl.bitfusion.back.runs import Run, fill_obuf, random_params, random_run

RESULTS = 8192  # bytes at the start of the window
_INPUT, _INPUT_READ, _WEIGHT, _WEIGHT_READ = range(4)  # semaphores


@dataclass
class Chain:
    """Each run has its own input, weights and parameters, loaded as soon as the run before has read its own."""

    seed: int
    machine: Machine
    count: int = 6
    code: list[Instruction] = field(init=False, default_factory=list)
    memory: NDArray[np.uint8] = field(init=False)
    program: int = field(init=False)
    """Offset of the first instruction."""

    def __post_init__(self) -> None:
        m, rng = self.machine, random.Random(self.seed)
        data = np.random.default_rng(self.seed)
        self.areas = [data.integers(0, 256, RESULTS, np.uint8)]
        self._at = RESULTS
        runs: list[Run] = [fill_obuf(rng, m)]
        while len(runs) < self.count:
            runs += random_run(rng, m, RESULTS)
        for number, run in enumerate(runs):
            self._loads(rng, data, first=number == 0)
            self.code += [Instruction.wait(Engine.EXEC, _INPUT), Instruction.wait(Engine.EXEC, _WEIGHT)]
            self.code += [Instruction.setx(register, value) for register, value in run.loops.registers.items()]
            self.code.append(Instruction.setx(RunReg.MODE, run.loops.mode.encode()))
            self.code.append(Instruction.run(run.loops.offset, input=_INPUT_READ, weight=_WEIGHT_READ))
            if rng.random() < 0.3:
                self.code += [Instruction.fence(), Instruction.mark(number)]
        self.code.append(Instruction.end())
        self.program = self._at
        self.areas.append(np.frombuffer(encode(self.code), np.uint8))
        self.memory = np.concatenate(self.areas)
        self.memory = np.append(self.memory, np.zeros(-len(self.memory) % m.beat, np.uint8))

    def _area(self, content: NDArray[np.uint8]) -> int:
        content = np.append(content, np.zeros(-len(content) % self.machine.beat, np.uint8))
        offset, self._at = self._at, self._at + len(content)
        self.areas.append(content)
        return offset

    def _loads(self, rng: random.Random, data: np.random.Generator, *, first: bool) -> None:
        m, code = self.machine, self.code
        if not first:
            code.append(Instruction.wait(Engine.LOAD, _INPUT_READ))
        beats = m.ibuf_bytes // m.beat if first else rng.choice([1, 7, m.ibuf_bytes // m.beat])
        code += [Instruction.setl(LoadReg.ROWS, 1), Instruction.setl(LoadReg.BEATS, beats)]
        code.append(Instruction.setl(LoadReg.DST, 0 if first else rng.randrange(m.ibuf_bytes // m.beat)))
        image = self._area(data.integers(0, 256, beats * m.beat, np.uint8))
        code.append(Instruction.load(Buffer.IBUF, image, _INPUT))
        if not first:
            code.append(Instruction.wait(Engine.LOAD, _WEIGHT_READ))
        code.append(Instruction.setl(LoadReg.DST, 0))
        rows = m.wbuf_rows if first else rng.choice([1, m.wbuf_rows])
        weights = self._area(data.integers(0, 256, rows * m.wbuf_row_beats * m.beat, np.uint8))
        code += [Instruction.setl(LoadReg.BEATS, rows * m.wbuf_row_beats), Instruction.load(Buffer.WBUF, weights)]
        params = np.zeros((m.param_depth, 3, m.param_row_beats * m.beat // 4), np.int32)
        params[:, :, : m.cols] = random_params(rng, m)
        code.append(Instruction.setl(LoadReg.BEATS, m.param_depth * 3 * m.param_row_beats))
        code.append(Instruction.load(Buffer.PBUF, self._area(params.reshape(-1).view(np.uint8)), _WEIGHT))

    def after(self) -> NDArray[np.uint8]:
        """The window when the program has run, by the instruction-level model."""
        memory = self.memory.copy()
        execute(self.code, memory, self.machine)
        return memory
