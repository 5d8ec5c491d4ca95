"""Folds batch-norm and ReLU into the layers before them and leaves out what the output does not need."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mico.errors import GraphError
from mico.graph import Layer, OpKind, Shape

__all__ = ["BATCH_NORM", "Draft", "fold"]

BATCH_NORM = "batch_norm"
"""Kind of a draft that folding removes: ``y = weight * x + bias`` per channel."""

_TRANSPARENT = (OpKind.MAX_POOL, OpKind.FLATTEN)
_WEIGHTED = (OpKind.CONV2D, OpKind.LINEAR)


@dataclass
class Draft:
    """A Layer in the making."""

    name: str
    kind: OpKind | str
    inputs: list[str]
    in_shapes: list[Shape]
    out_shape: Shape
    module: str
    where: str
    attrs: dict[str, tuple[int, int] | int] = field(default_factory=dict)
    weight: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None
    relu: bool = False


def fold(drafts: list[Draft], output: str) -> tuple[Layer, ...]:
    """Layers of the network that ends in *output*."""
    network = _Network(drafts, output)
    network.prune()
    for draft in [d for d in network.drafts if d.kind == BATCH_NORM]:
        network.fold_batch_norm(draft)
    for draft in [d for d in network.drafts if d.kind == OpKind.RELU]:
        network.fold_relu(draft)
    return tuple(
        Layer(d.name, OpKind(d.kind), tuple(d.inputs), tuple(d.in_shapes), d.out_shape, d.attrs, d.weight, d.bias,
              d.relu, d.module)
        for d in network.drafts
    )  # fmt: skip


class _Network:
    def __init__(self, drafts: list[Draft], output: str) -> None:
        self.drafts = drafts
        self.output = output

    def prune(self) -> None:
        """Drop what does not reach the output."""
        needed = {self.output}
        for draft in reversed(self.drafts):
            if draft.name in needed:
                needed.update(draft.inputs)
        self.drafts = [draft for draft in self.drafts if draft.name in needed]

    def fold_batch_norm(self, norm: Draft) -> None:
        producer = self._producer(norm.inputs[0])
        if producer is None or producer.kind not in _WEIGHTED or self._uses(producer.name) != 1:
            raise GraphError(
                "batch-norm that does not follow a convolution or linear layer of its own is not supported",
                where=norm.where,
                cure="put it directly after the layer whose output it alone reads",
            )
        assert producer.weight is not None
        assert norm.weight is not None
        assert norm.bias is not None
        scale = norm.weight.astype(np.float64)
        bias = norm.bias.astype(np.float64)
        if producer.bias is not None:
            bias = bias + scale * producer.bias
        column = scale.reshape(-1, *[1] * (producer.weight.ndim - 1))
        producer.weight = (producer.weight * column).astype(np.float32)
        producer.bias = bias.astype(np.float32)
        self._remove(norm)

    def fold_relu(self, relu: Draft) -> None:
        """Into the producer, also through max-pool and flatten, with which a ReLU commutes."""
        producer = self._producer(relu.inputs[0])
        alone = True
        while producer is not None:
            alone = alone and self._uses(producer.name) == 1
            if producer.relu or producer.kind is OpKind.RELU:
                self._remove(relu)  # the tensor is not negative already
                return
            if producer.kind not in _TRANSPARENT:
                break
            producer = self._producer(producer.inputs[0])
        if producer is not None and alone:
            producer.relu = True
            self._remove(relu)

    def _producer(self, tensor: str) -> Draft | None:
        return next((draft for draft in self.drafts if draft.name == tensor), None)

    def _uses(self, tensor: str) -> int:
        return sum(draft.inputs.count(tensor) for draft in self.drafts) + (tensor == self.output)

    def _remove(self, draft: Draft) -> None:
        """Take *draft* out; who read its output reads its input."""
        source = draft.inputs[0]
        self.drafts.remove(draft)
        for other in self.drafts:
            other.inputs = [source if name == draft.name else name for name in other.inputs]
        if self.output == draft.name:
            self.output = source
