"""IntegerModel to BitFusion program."""

from __future__ import annotations

from dataclasses import replace

from mico.codegen.bitfusion.ahead import weights_ahead
from mico.codegen.bitfusion.array import ArraySteps
from mico.codegen.bitfusion.cycles import Timeline, Timing, simulate
from mico.codegen.bitfusion.emit import emit
from mico.codegen.bitfusion.isa import Opcode
from mico.codegen.bitfusion.layers import ArrayLayer, Network, lower
from mico.codegen.bitfusion.layout import Place
from mico.codegen.bitfusion.link import Ending, Linked, link
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.program import BitFusionProgram
from mico.codegen.bitfusion.search import choose
from mico.codegen.bitfusion.steps import Constants, Step
from mico.codegen.bitfusion.vector import VectorSteps
from mico.errors import CompileError, UsageError
from mico.quant.check import check
from mico.quant.integer import IntegerModel

__all__ = ["compile_model"]

_MARKS = 256
_TRIES = 1


def compile_model(
    model: IntegerModel,
    *,
    batch: int = 1,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    weights: bool = True,
    timing: Timing | None = None,
) -> BitFusionProgram:
    """Compile *model* for *machine*.

    Parameters
    ----------
    batch
        Images that a run of the program computes.
    weights
        Without them the program is the same, but its memory holds no weights and parameters and *model* is not
        checked: for builds without a datapath. Weights can then be arrays of stride zero.
    timing
        Constants of the cycle model that chooses tiles and loop orders.

    Raises
    ------
    CompileError
        A layer cannot be mapped; names it.
    QuantError
        *model* breaks its contract.
    """
    if batch < 1:
        raise UsageError(f"batch must be at least 1, not {batch}")
    if weights:
        check(model)
    network = _lower(model, batch, machine, timing or Timing())
    used = _allocate(network, machine, batch)
    constants = Constants(used)
    steps = _steps(network, machine, batch, constants, timing or Timing())
    endings = _endings(network, steps)
    names = [layer.name for layer in network.layers]
    linked, timeline = _schedule(steps, endings, names, machine, timing or Timing())
    instructions = emit(linked.loads, linked.runs, timeline)
    shift = -(-8 * len(instructions) // machine.beat) * machine.beat  # the program comes first in memory
    moved = [replace(i, imm=i.imm + shift) if i.opcode in (Opcode.LOAD, Opcode.RUN) else i for i in instructions]
    source, result = network.place(network.input), network.place(network.output)
    parts = tuple((offset + shift, make) for offset, make in constants.parts) if weights else ()
    return BitFusionProgram(
        model.name, machine, batch, moved, constants.offset + shift, source.at(source.offset + shift),
        result.at(result.offset + shift), model.tensors[model.input], tuple(network.marks),
        tuple(round(cycles) for cycles in (*timeline.marks, timeline.total)), parts,
    )  # fmt: skip


def _lower(model: IntegerModel, batch: int, machine: Machine, timing: Timing) -> Network:
    """Layers that can all be mapped: a max-pool leaves a convolution that cannot be mapped with it."""
    apart: set[str] = set()
    while True:
        network = lower(model, machine, apart)
        found = len(apart)
        for layer in network.layers:
            if isinstance(layer, ArrayLayer):
                try:
                    choose(layer, network.place(layer.output), batch, machine, timing)
                except CompileError:
                    if layer.pool == (1, 1):
                        raise
                    apart.add(layer.name)
        if len(apart) == found:
            return network


def _allocate(network: Network, machine: Machine, batch: int) -> int:
    """Give every tensor its memory; bytes used. Memory is not reused: no store ever meets a load of something else."""
    offset = 0
    for name, place in network.places.items():
        network.places[name] = place.at(offset)
        offset += place.image * batch
    return -(-offset // machine.beat) * machine.beat


def _steps(network: Network, machine: Machine, batch: int, constants: Constants, timing: Timing) -> list[Step]:
    written: dict[str, int] = {}
    steps: list[Step] = []
    for index, layer in enumerate(network.layers):
        out = network.place(layer.output)
        names = [o.tensor for o in layer.operands] if isinstance(layer, ArrayLayer) else list(layer.operands)
        places: tuple[Place, ...] = tuple(network.place(name) for name in names)
        after = tuple(written.get(network.storage[name], -1) for name in names)
        made: ArraySteps | VectorSteps
        if isinstance(layer, ArrayLayer):
            mapping = choose(layer, out, batch, machine, timing)
            made = ArraySteps(layer, index, mapping, places, after, out, batch, machine, constants)
        else:
            made = VectorSteps(layer, index, places, after, out, batch, machine, constants)
        steps += made.steps()
        written[network.storage[layer.output]] = index
    return steps


def _schedule(
    steps: list[Step], endings: list[Ending], names: list[str], machine: Machine, timing: Timing
) -> tuple[Linked, Timeline]:
    """Both engines' actions and when they start, with the number of weights in front of inputs that takes less time."""
    linked = link(steps, endings, names, machine)
    timeline = simulate(linked.loads, linked.runs, machine, timing)
    for _ in range(_TRIES):
        ahead = weights_ahead(linked, timeline)
        if not ahead:
            break
        other = link(steps, endings, names, machine, ahead)
        then = simulate(other.loads, other.runs, machine, timing)
        if then.total >= timeline.total:
            break
        linked, timeline = other, then
    return linked, timeline


def _endings(network: Network, steps: list[Step]) -> list[Ending]:
    awaited = {unit.after for step in steps for unit in step.inputs}
    last = {owner: index for index, owner in enumerate(network.owner)}
    if len(last) > _MARKS:
        last = {}
    return [
        Ending(owner if last.get(owner) == index else None, index in awaited)
        for index, owner in enumerate(network.owner)
    ]
