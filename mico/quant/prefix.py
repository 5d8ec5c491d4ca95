"""Many schemes of one network, bit for bit as ``execute.run(lower(...))``, sharing what they have in common.

What an operation writes depends on the bits of the layers before it and, through the format of its output, on what its
consumers ask for. Schemes are therefore computed in an order in which neighbours differ late in the network, and only
what differs from the neighbour is computed again. An operation that does not depend on all layers before it (parallel
branches) keeps its results for as long as what it reads stays.

That rests on one property of ``lower``: the integers of a layer depend on its own bits and on the formats of the
tensors that it reads and writes, not on the bits of other layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mico.data import Dataset
from mico.data.dataset import spread
from mico.errors import UsageError
from mico.evaluate import evaluate
from mico.graph import Graph
from mico.quant.calibrate import TRANSPARENT, Calibration
from mico.quant.execute import Step, Values, exact_arithmetic
from mico.quant.fast import fast_step
from mico.quant.integer import Format
from mico.quant.lower import lower
from mico.quant.scheme import Scheme

__all__ = ["NetworkProbe", "PrefixEvaluator", "signed_margins"]

Vectors = NDArray[np.int64]
Consumer = Callable[[int, slice, torch.Tensor, float], None]
"""Takes the position of a scheme, the images, their logits ``(n, classes)`` int32 and the logits' scale."""

_PATH_BYTES = 48 << 20  # of all tensors of one scheme: what is computed again and again should stay in the cache
_BASE = 64  # bits are below


@dataclass(frozen=True)
class _Unit:
    """What one layer becomes at some bits: its operations, and the scale of what it writes."""

    steps: tuple[tuple[str, Step, tuple[int, ...]], ...]
    scratch: tuple[str, ...]
    output: str
    scale: float


class PrefixEvaluator:
    """Logits, answers and divergence of many schemes of *graph*, each lowered without training.

    Schemes are vectors ``(N, 2 L)`` of weight bits, then activation bits, as :meth:`mico.quant.scheme.Scheme.vector`
    gives them. Operations that were prepared are kept for the next call.

    Parameters
    ----------
    graph, calibration
        As :func:`mico.quant.lower.lower` takes them.
    """

    def __init__(self, graph: Graph, calibration: Calibration) -> None:
        self.graph, self.calibration = graph, calibration
        self._position = {layer.name: i for i, layer in enumerate(graph.layers)}
        self._inputs = [[self._position[n] for n in layer.inputs if n != "input"] for layer in graph.layers]
        ancestors: list[set[int]] = []
        for inputs in self._inputs:
            ancestors.append(set(inputs).union(*(ancestors[i] for i in inputs)))
        self._keeps = [ancestors[i] != set(range(i)) for i in range(len(graph.layers))]
        self._units: dict[tuple[int, int], _Unit] = {}
        elements = sum(int(np.prod(layer.out_shape)) for layer in graph.layers) + int(np.prod(graph.input_shape))
        self._batch = int(np.clip(_PATH_BYTES // (4 * elements), 16, 1024))

    def __getstate__(self) -> tuple[Graph, Calibration]:
        return self.graph, self.calibration

    def __setstate__(self, state: tuple[Graph, Calibration]) -> None:
        PrefixEvaluator.__init__(self, *state)

    def logits(self, vectors: Vectors, images: NDArray[Any]) -> NDArray[np.int32]:
        """``(S, N, classes)``, and nothing shorter than all of it: for few schemes or few images."""
        vectors = self._checked(vectors)
        result = np.empty((len(vectors), len(images), self._classes()), dtype=np.int32)

        def take(scheme: int, part: slice, logits: torch.Tensor, _scale: float) -> None:
            result[scheme, part] = logits.numpy()

        self.visit(vectors, images, take)
        return result

    def answers(self, vectors: Vectors, images: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the largest logit, the first of equals, is that of the label: ``(S, N)``."""
        vectors = self._checked(vectors)
        result = np.empty((len(vectors), len(images)), dtype=np.bool_)
        expected = torch.from_numpy(np.array(labels, dtype=np.int64))

        def take(scheme: int, part: slice, logits: torch.Tensor, _scale: float) -> None:
            result[scheme, part] = (logits.argmax(dim=1) == expected[part]).numpy()

        self.visit(vectors, images, take)
        return result

    def divergence(self, vectors: Vectors, images: NDArray[Any]) -> NDArray[np.float64]:
        """Kullback-Leibler divergence of the integers' answers from the float network's, in nats: ``(S, N)``.

        Both answers are the softmax of logits, the integers' multiplied by their scale. Needs no labels.
        """
        vectors = self._checked(vectors)
        result = np.empty((len(vectors), len(images)), dtype=np.float64)
        expected = self._float_answers(images)
        own = (expected.exp() * expected).sum(dim=1)
        shares = expected.exp()

        def take(scheme: int, part: slice, logits: torch.Tensor, scale: float) -> None:
            log = torch.log_softmax(logits.double().mul_(scale), dim=1)
            result[scheme, part] = (own[part] - (shares[part] * log).sum(dim=1)).numpy()

        self.visit(vectors, images, take)
        return result

    def margins(self, vector: Vectors, images: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """How sure one scheme ``(2 L,)`` is of its answers, ``(N,)``: :func:`signed_margins` of its logits."""
        result = np.empty(len(images), dtype=np.float64)

        def take(_scheme: int, part: slice, logits: torch.Tensor, scale: float) -> None:
            result[part] = signed_margins(logits.numpy(), labels[part]) * scale

        self.visit(self._checked(np.asarray(vector)[None]), images, take)
        return result

    def visit(self, vectors: Vectors, images: NDArray[Any], consume: Consumer) -> None:
        """Compute every scheme on *images* ``(N, C, H, W)``, raw 8-bit values, and hand its logits to *consume*.

        Raises
        ------
        UsageError
            The vectors or images are not of this network.
        QuantError
            An accumulator could overflow, or a scheme cannot be lowered: names the layer.
        """
        vectors = self._checked(vectors)
        dtype = Format(8, self.calibration.signed("input")).dtype
        if images.dtype != dtype or images.shape[1:] != self.graph.input_shape:
            expected = f"{np.dtype(dtype)} (N, {', '.join(map(str, self.graph.input_shape))})"
            raise UsageError(f"images are {images.dtype} {images.shape}, not {expected}", where=self.graph.name)
        if not len(vectors):
            return
        codes = self.codes(vectors)
        order = np.lexsort(codes.T[::-1])
        codes = codes[order]
        differs = codes[1:] != codes[:-1]
        first = np.concatenate([[0], np.where(differs.any(axis=1), differs.argmax(axis=1), codes.shape[1])])
        self._prepare(codes, vectors[order])
        rows = codes.tolist()
        with exact_arithmetic(), torch.no_grad():
            for start in range(0, len(images), self._batch):
                part = slice(start, start + self._batch)
                x = torch.from_numpy(np.asarray(images[part]).astype(np.float32))
                self._walk(rows, first.tolist(), order.tolist(), x, part, consume)

    def _walk(
        self, rows: list[list[int]], first: list[int], order: list[int], x: torch.Tensor, part: slice, consume: Consumer
    ) -> None:
        layers, last = self.graph.layers, len(self.graph.layers)
        values: Values = {"input": x}
        now: list[int | None] = [None] * last
        kept: list[dict[int, torch.Tensor]] = [{} for _ in layers]
        logits, scale = x, 1.0
        for row, since, scheme in zip(rows, first, order, strict=True):
            changed: set[int] = set()
            for i in range(since, last):
                fresh = not changed.isdisjoint(self._inputs[i])
                if fresh:
                    kept[i].clear()
                elif now[i] == row[i]:
                    continue
                now[i] = row[i]
                changed.add(i)
                unit = self._units[i, row[i]]
                found = kept[i].get(row[i])
                if found is None:
                    for name, step, shape in unit.steps:
                        result = step(values)
                        values[name] = result.reshape(len(x), *shape)
                    for name in unit.scratch:
                        del values[name]
                    if self._keeps[i] and unit.steps:
                        kept[i][row[i]] = values[unit.output]
                else:
                    values[unit.output] = found
                if unit.steps:
                    logits, scale = values[unit.output].reshape(len(x), -1), unit.scale
            consume(scheme, part, logits, scale)

    def _prepare(self, codes: Vectors, vectors: Vectors) -> None:
        """Lower so many of the schemes that every layer was lowered at all bits that it has in any."""
        names = self.graph.layer_names
        for i in range(codes.shape[1]):
            values, where = np.unique(codes[:, i], return_index=True)
            for code, at in zip(values.tolist(), where.tolist(), strict=True):
                if (i, code) not in self._units:
                    self._lower(Scheme.from_vector(names, [int(b) for b in vectors[at]]), codes[at].tolist())

    def _lower(self, scheme: Scheme, row: list[int]) -> None:
        model = lower(self.graph, scheme, self.calibration)
        by_name = {op.name: op for op in model.ops}
        for i, layer in enumerate(self.graph.layers):
            if (i, row[i]) in self._units:
                continue
            names = [f"{layer.name}__in", layer.name, f"{layer.name}__out"]
            ops = [by_name[name] for name in names if name in by_name]
            output = ops[-1].output if ops else layer.name
            self._units[i, row[i]] = _Unit(
                tuple((op.output, fast_step(model, op), model.tensors[op.output].shape) for op in ops),
                tuple(op.output for op in ops if op.output not in (output, layer.name)),
                output,
                model.tensors[output].scale if ops else 1.0,
            )

    def codes(self, vectors: Vectors) -> Vectors:
        """One number for all bits that decide a layer's integers, and its cycles: ``(S, layers)`` of all layers.

        Two schemes with the same number for a layer have the same operations for it, formats included.
        """
        half = len(self.graph.quantisable)
        where = {name: i for i, name in enumerate(self.graph.layer_names)}
        demands: dict[str, Vectors] = {}
        for layer in reversed(self.graph.layers):
            asked = np.full(len(vectors), 8, dtype=np.int64)
            if layer.kind in TRANSPARENT:
                asked = demands.get(layer.name, asked)
            elif layer.quantisable:
                asked = vectors[:, half + where[layer.name]]
            for name in layer.inputs:
                demands[name] = np.maximum(asked, demands[name]) if name in demands else asked
        eight = np.full(len(vectors), 8, dtype=np.int64)
        bits = {"input": eight}
        codes = np.zeros((len(vectors), len(self.graph.layers)), dtype=np.int64)
        for i, layer in enumerate(self.graph.layers):
            parts = []  # layers that neither have bits nor hand them on read 8 bits
            if layer.quantisable or layer.kind in TRANSPARENT:
                parts = [bits[layer.inputs[0]]]
            if layer.quantisable:
                parts += [vectors[:, where[layer.name]], vectors[:, half + where[layer.name]]]
            bits[layer.name] = parts[0] if layer.kind in TRANSPARENT else demands.get(layer.name, eight)
            for part in (*parts, bits[layer.name]):
                codes[:, i] = codes[:, i] * _BASE + part
        return codes

    def bits(self, layer: int, code: int) -> tuple[int, int, int, int]:
        """Weight, activation, input and output bits that *code* of *layer* stands for; 0 where it has none."""
        parts = [code // _BASE**place % _BASE for place in (2, 1, 3, 0)]
        if self.graph.layers[layer].quantisable:
            return parts[0], parts[1], parts[2], parts[3]
        return 0, 0, parts[1] or 8, parts[3]

    def _float_answers(self, images: NDArray[Any]) -> torch.Tensor:
        """Logarithm of the float network's softmax, ``(N, classes)`` float64."""
        x = torch.from_numpy(images.astype(np.float64) * self.calibration.input_scale)
        with exact_arithmetic():
            parts = [
                evaluate(self.graph, part)[self.graph.output].reshape(len(part), -1) for part in torch.split(x, 64)
            ]
        return torch.log_softmax(torch.cat(parts), dim=1)

    def _classes(self) -> int:
        return int(np.prod(self.graph.shape(self.graph.output)))

    def _checked(self, vectors: Vectors) -> Vectors:
        result = np.asarray(vectors, dtype=np.int64)
        if result.ndim != 2 or result.shape[1] != 2 * len(self.graph.quantisable):
            raise UsageError(
                f"schemes of {len(self.graph.quantisable)} layers are (N, {2 * len(self.graph.quantisable)}), not "
                f"{result.shape}",
                where=self.graph.name,
            )
        return result


def signed_margins(logits: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Largest minus second-largest of every row ``(N, classes)``, negative where the largest is not the label's."""
    top = np.sort(logits.astype(np.float64), axis=1)[:, -2:]
    right = logits.argmax(axis=1) == labels
    margins: NDArray[np.float64] = np.where(right, 1.0, -1.0) * (top[:, -1] - top[:, 0])
    return margins


class NetworkProbe:
    """:class:`mico.search.base.Probe` of a network: schemes lowered without training, on a few images.

    Parameters
    ----------
    graph, calibration, dataset
        The network, its scales, and its validation and calibration images.
    widest
        Bits of the scheme whose margins are asked for, the space's widest.
    faithful
        False where an evaluation trains its schemes, so that ``answers`` are not those of the evaluation.
    """

    def __init__(
        self,
        graph: Graph,
        calibration: Calibration,
        dataset: Dataset,
        *,
        widest: tuple[int, int] = (8, 8),
        faithful: bool = True,
    ) -> None:
        self.dataset = dataset
        self.images = len(dataset.val)
        self.faithful = faithful
        self._evaluator = PrefixEvaluator(graph, calibration)
        self._widest = np.repeat(np.array(widest, dtype=np.int64), len(graph.quantisable))
        self._margins: NDArray[np.float64] | None = None

    def divergence(self, vectors: Vectors, images: int = 128) -> NDArray[np.float64]:
        """Mean KL to the float network ``(n,)`` on *images* of the calibration images, or all where there are fewer.

        Raises
        ------
        UsageError
            *images* is below 1.
        """
        if images < 1:
            raise UsageError(f"the divergence needs at least 1 image, not {images}")
        calibration = self.dataset.calibration
        each = self._evaluator.divergence(vectors, calibration[spread(len(calibration), images)])
        mean: NDArray[np.float64] = each.mean(axis=1)
        return mean

    def answers(self, vectors: Vectors, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Right or wrong ``(n, len(images))`` on these validation images."""
        val = self.dataset.val
        chosen = np.asarray(images, dtype=np.int64)
        return self._evaluator.answers(vectors, val.images[chosen], val.labels[chosen])

    def margins(self) -> NDArray[np.float64]:
        """Signed margin ``(N,)`` of the widest scheme on every validation image."""
        if self._margins is None:
            val = self.dataset.val
            self._margins = self._evaluator.margins(self._widest, val.images, val.labels)
        return self._margins
