"""Instructions from the actions of both engines: registers set where they change, both lists merged into one.

Instructions are dispatched in order into two queues. They are merged in the order in which a simulation starts
them, which is an order in which the program can run without any queue: so it can with queues of any length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mico.codegen.bitfusion.cycles import Timeline
from mico.codegen.bitfusion.isa import Engine, Instruction, LoadReg, RunReg
from mico.codegen.bitfusion.link import Action, Fence, LoadAction, Mark, RunAction, Signal, Wait

__all__ = ["emit"]


def emit(loads: Sequence[Action], runs: Sequence[Action], timeline: Timeline) -> list[Instruction]:
    """The program, with END."""
    load_registers: dict[LoadReg, int] = {}
    run_registers: dict[RunReg, int] = {}
    program: list[Instruction] = []
    left = right = 0
    while left < len(loads) or right < len(runs):
        if right == len(runs) or (left < len(loads) and timeline.loads[left] < timeline.runs[right]):
            program += _load(loads[left], load_registers)
            left += 1
        else:
            program += _exec(runs[right], run_registers)
            right += 1
    return [*program, Instruction.end()]


def _load(action: Action, registers: dict[LoadReg, int]) -> Iterator[Instruction]:
    if isinstance(action, Wait):
        yield Instruction.wait(Engine.LOAD, action.semaphore)
        return
    assert isinstance(action, LoadAction)
    transfer = action.transfer
    wanted = {LoadReg.ROWS: transfer.rows, LoadReg.BEATS: transfer.beats, LoadReg.DST: action.destination}
    if transfer.rows > 1:
        wanted |= {LoadReg.MSTRIDE: transfer.mstride, LoadReg.DSTRIDE: transfer.dstride}
    for register, value in wanted.items():
        if registers.get(register) != value:
            registers[register] = value
            yield Instruction.setl(register, value)
    yield Instruction.load(transfer.buffer, transfer.offset, action.signal)


_IF_MANY = {  # distances that mean nothing where the count is 1
    RunReg.JSTEP: RunReg.J, RunReg.KSTEP: RunReg.K, RunReg.PXSTEP: RunReg.PX, RunReg.PYSTEP: RunReg.PY,
    RunReg.OXSTEP: RunReg.OX, RunReg.OYSTEP: RunReg.OY, RunReg.BSTEP: RunReg.B, RunReg.OSTEP_X: RunReg.OX,
    RunReg.OSTEP_Y: RunReg.OY, RunReg.OSTEP_B: RunReg.B, RunReg.GSTEP: RunReg.NOCT, RunReg.WSTEP: RunReg.NOCT,
    RunReg.OSTEP_O: RunReg.NOCT,
}  # fmt: skip


def _exec(action: Action, registers: dict[RunReg, int]) -> Iterator[Instruction]:
    match action:
        case Wait():
            yield Instruction.wait(Engine.EXEC, action.semaphore)
        case Signal():
            yield Instruction.signal(Engine.EXEC, action.semaphore)
        case Fence():
            yield Instruction.fence()
        case Mark():
            yield Instruction.mark(action.number)
        case RunAction():
            for register, value in action.registers.items():
                count = _IF_MANY.get(register)
                if registers.get(register) != value and (count is None or action.registers[count] > 1):
                    registers[register] = value
                    yield Instruction.setx(register, value)
            yield Instruction.run(action.offset, input=action.input, weight=action.weight)
