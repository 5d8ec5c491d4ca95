"""How many weights of a layer go in front of its first inputs.

Weights can be loaded while the layer before still computes, inputs only when it is done, and the load engine works in
order: with too few weights in front the memory idles until then, with too many the inputs wait behind them. Right are
those whose turn comes before the layer before is done; a simulation with all of them in front tells which.
"""

from __future__ import annotations

from mico.codegen.bitfusion.cycles import Timeline
from mico.codegen.bitfusion.link import LAYER_DONE, Linked, LoadAction, Signal, Wait

__all__ = ["weights_ahead"]


def weights_ahead(linked: Linked, timeline: Timeline) -> dict[int, int]:
    """Beats of weights in front of the inputs, for the layers whose inputs wait for another layer."""
    done = [
        time for action, time in zip(linked.runs, timeline.runs, strict=True) if action == Signal(LAYER_DONE)
    ]  # fmt: skip
    waits = 0
    ahead: dict[int, int] = {}
    ends = {part.stop: (layer, part) for layer, part in linked.hoisted.items()}
    layer, part = -1, slice(0, 0)
    for number, action in enumerate(linked.loads):
        layer, part = ends.get(number, (layer, part))
        if action == Wait(LAYER_DONE):
            waits += 1
            if layer >= 0:
                ahead[layer] = _moved_before(linked, timeline, part, done[waits - 1])
        elif isinstance(action, LoadAction) and number >= part.stop:
            layer = -1  # what follows are not its first inputs
    return ahead


def _moved_before(linked: Linked, timeline: Timeline, part: slice, time: float) -> int:
    """Beats of the loads of *part* that the memory moves before *time*."""
    beats = 0.0
    for number in range(part.start, part.stop):
        action = linked.loads[number]
        if not isinstance(action, LoadAction):
            continue
        end, start = timeline.moved[number], max(timeline.loads[number], timeline.moved[number - 1] if number else 0.0)
        if start >= time:
            break
        beats += action.transfer.size * min(1.0, (time - start) / max(end - start, 1.0))
    return int(beats)
