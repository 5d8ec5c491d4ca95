"""The network as the accelerator sees it: array layers and vector layers over pictures in memory.

Flattens disappear (a linear layer reads the picture as it lies), max-pools join the convolution before them where they
can, concatenations that are not whole bytes and all weighted layers go through the array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mico.codegen.bitfusion.isa import Vector
from mico.codegen.bitfusion.layout import Place
from mico.codegen.bitfusion.machine import Machine
from mico.errors import CompileError
from mico.graph import OpKind
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant

__all__ = ["ArrayLayer", "Layer", "Network", "Operand", "VectorLayer", "Window", "lower"]


@dataclass(frozen=True)
class Window:
    """How outputs look at a picture: (y, x) pairs of kernel, stride and padding."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Operand:
    """A picture that an array layer reads, and its weights.

    Attributes
    ----------
    tensor
        Its name; the picture may be a view of it (a whole picture as one pixel).
    height, width, pixel
        As the layer sees it; *pixel* in bytes, rows dense.
    weights
        Makes int8 ``(OC, KH, KW, elements of a pixel)``, zeros where there is nothing.
    weight_bits
        Of the weights; 1-bit weights have no zero.
    channels, groups
        Of the picture, padding left out; of a grouped convolution.
    zeros
        Whether some weights are zero: between groups, or where elements are padding.
    """

    tensor: str
    height: int
    width: int
    pixel: int
    format: Format
    window: Window
    weights: Callable[[], NDArray[np.int8]]
    weight_bits: int
    channels: int
    groups: int = 1
    zeros: bool = False

    @property
    def row(self) -> int:
        return self.pixel * self.width


@dataclass(frozen=True)
class ArrayLayer:
    """Convolution, linear layer or concatenation: sums of products, requantised per channel, then max-pooled.

    Attributes
    ----------
    name, output
        Of the operation; of the tensor that it writes (of the max-pool behind it where there is one).
    operands
        Their sums add up.
    outputs
        Channels.
    conv
        (height, width) before pooling.
    pool
        Window (= stride) of the max-pool, (1, 1) without.
    bias, multiplier, shift
        int64 ``(outputs,)``.
    """

    name: str
    output: str
    operands: tuple[Operand, ...]
    outputs: int
    conv: tuple[int, int]
    pool: tuple[int, int]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]


@dataclass(frozen=True)
class VectorLayer:
    """Pool, addition, requantisation, copy: element by element, M channels at a time.

    Attributes
    ----------
    operands
        Names of one tensor, or of two of one format for an addition.
    window
        What an output looks at.
    multiplier, shift
        One each; an addition two multipliers; None where values pass unchanged.
    channel
        First channel of the output that it writes.
    mixed
        The second operand's signedness is the opposite of the first's.
    """

    name: str
    output: str
    operands: tuple[str, ...]
    window: Window
    operation: Vector
    multiplier: tuple[int, ...] | None = None
    shift: int = 0
    channel: int = 0
    mixed: bool = False


Layer = ArrayLayer | VectorLayer


@dataclass
class Network:
    """Layers in order and the place (geometry; offsets are given later) of every tensor that lies in memory.

    ``marks`` are the names that get a MARK: ``layers[i]`` belongs to ``marks[owner[i]]``.
    """

    input: str
    output: str
    places: dict[str, Place]
    storage: dict[str, str]
    layers: list[Layer] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def place(self, tensor: str) -> Place:
        return self.places[self.storage[tensor]]


def lower(model: IntegerModel, machine: Machine, apart: Collection[str] = ()) -> Network:
    """Layers of *model*; max-pools behind the convolutions named in *apart* stay layers of their own.

    Raises
    ------
    CompileError
        An operation cannot be mapped; names it.
    """
    first = model.tensors[model.input]
    network = Network(model.input, model.output, {}, {model.input: model.input})
    network.places[model.input] = Place.of(first.shape, first.format, machine.beat)
    uses = Counter(name for op in model.ops for name in op.inputs)
    producers = {op.output: op for op in model.ops}
    pools = {op.inputs[0]: op for op in model.ops if _fusible(op, producers, uses, apart)}
    fused = {pool.name for pool in pools.values()}
    for op in model.ops:
        if op.name in fused:
            continue
        if op.kind is OpKind.FLATTEN:
            network.storage[op.output] = network.storage[op.inputs[0]]
            continue
        made = _lower_op(network, model, op, pools.get(op.output), machine)
        network.layers += made
        network.owner += [len(network.marks)] * len(made)
        network.marks.append(op.name)
    return network


def _fusible(op: IntegerOp, producers: dict[str, IntegerOp], uses: Counter[str], apart: Collection[str]) -> bool:
    """Whether *op* is a max-pool that its convolution can do on the way out."""
    if op.kind is not OpKind.MAX_POOL or op.inputs[0] not in producers or uses[op.inputs[0]] != 1:
        return False
    source = producers[op.inputs[0]]
    convolution = source.kind is OpKind.CONV2D and source.name not in apart
    return convolution and op.pair("stride") == op.pair("kernel") and op.pair("padding") == (0, 0)


def _lower_op(
    network: Network, model: IntegerModel, op: IntegerOp, pool: IntegerOp | None, machine: Machine
) -> list[Layer]:
    output = pool.output if pool is not None else op.output
    tensor = model.tensors[output]
    sources = [network.place(name) for name in op.inputs]
    elementwise = op.kind in ("requant", OpKind.ADD)
    shape = (sources[0].channels, sources[0].height, sources[0].width) if elementwise else tensor.shape
    out = Place.of(shape, tensor.format, machine.beat)
    network.places[output] = out
    network.storage[output] = output
    if machine.cols * tensor.format.bits % 8:
        raise CompileError(
            f"writes {tensor.format.bits}-bit results of {machine.cols} columns: {machine.cols * tensor.format.bits} "
            "bits are not whole bytes",
            where=op.name,
            cure="more activation bits behind it, or a multiple of 8 columns",
        )
    match op.kind:
        case OpKind.CONV2D | OpKind.LINEAR:
            return [_weighted(network, op, output, pool)]
        case OpKind.CONCAT:
            return _concat(network, op, output, machine)
        case OpKind.ADD:
            return _add(network, op, output, machine)
    if op.kind is OpKind.GLOBAL_AVG_POOL:
        window = Window((sources[0].height, sources[0].width))
    elif op.kind == "requant":
        window = Window()
    else:
        window = Window(op.pair("kernel"), op.pair("stride"), op.pair("padding"))
    average = op.kind in (OpKind.AVG_POOL, OpKind.GLOBAL_AVG_POOL)
    operation = Vector.SUM if average else Vector.MAX
    _whole_vectors(op.name, sources[0].format, machine)
    made = VectorLayer(op.name, output, (op.inputs[0],), window, operation)
    if op.requant is not None:
        made = replace(made, multiplier=(int(op.requant.multiplier[0]),), shift=int(op.requant.shift[0]))
    return [made]


def _whole_vectors(name: str, form: Format, machine: Machine) -> None:
    if machine.cols * form.bits % 8:
        raise CompileError(
            f"reads {form.bits}-bit vectors of {machine.cols} columns: not whole bytes",
            where=name,
            cure="more activation bits in front of it, or a multiple of 8 columns",
        )


def _weighted(network: Network, op: IntegerOp, output: str, pool: IntegerOp | None) -> ArrayLayer:
    assert op.weight is not None
    assert op.weight_format is not None
    assert op.requant is not None
    place, outputs = network.place(op.inputs[0]), len(op.weight)
    weight, form = op.weight, place.format
    padded = (0, place.elements - place.channels)
    if op.kind is OpKind.LINEAR:
        size = place.size
        if weight.shape[1] != place.channels * place.height * place.width:
            raise CompileError("reads a picture that is not flattened", where=op.name)

        def flat() -> NDArray[np.int8]:
            picture = weight.reshape(outputs, place.channels, place.height, place.width).transpose(0, 2, 3, 1)
            return np.pad(picture, ((0, 0), (0, 0), (0, 0), padded)).reshape(outputs, 1, 1, -1)

        operand = Operand(
            op.inputs[0],
            1,
            1,
            size,
            form,
            Window(),
            flat,
            op.weight_format.bits,
            weight.shape[1],
            zeros=not place.dense,
        )
        conv = (1, 1)
    else:
        groups = op.number("groups")

        def picture() -> NDArray[np.int8]:
            dense = weight
            if groups > 1:
                share, per = weight.shape[1], outputs // groups
                dense = np.zeros((outputs, place.channels, *weight.shape[2:]), np.int8)
                for g in range(groups):
                    rows = slice(g * per, (g + 1) * per)
                    dense[rows, g * share : (g + 1) * share] = weight[rows]
            return np.pad(dense.transpose(0, 2, 3, 1), ((0, 0), (0, 0), (0, 0), padded))

        kernel = (weight.shape[2], weight.shape[3])
        window = Window(kernel, op.pair("stride"), op.pair("padding"))
        operand = Operand(
            op.inputs[0], place.height, place.width, place.pixel, form, window, picture, op.weight_format.bits,
            place.channels, groups,            zeros=groups > 1 or not place.dense,
        )  # fmt: skip
        conv = _outputs(place.height, place.width, window)
    bias = np.zeros(outputs, np.int64) if op.bias is None else op.bias.astype(np.int64)
    return ArrayLayer(
        op.name, output, (operand,), outputs, conv, (1, 1) if pool is None else pool.pair("kernel"), bias,
        op.requant.multiplier.astype(np.int64), op.requant.shift.astype(np.int64),
    )  # fmt: skip


def _outputs(height: int, width: int, window: Window) -> tuple[int, int]:
    (kh, kw), (sh, sw), (ph, pw) = window.kernel, window.stride, window.padding
    return ((height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1)


def _identity(channels: int, elements: int, first: int, outputs: int) -> Callable[[], NDArray[np.int8]]:
    """Weights that bring element i to output *first* + i."""

    def make() -> NDArray[np.int8]:
        weights = np.zeros((outputs, 1, 1, elements), np.int8)
        weights[first + np.arange(channels), 0, 0, np.arange(channels)] = 1
        return weights

    return make


def _concat(network: Network, op: IntegerOp, output: str, machine: Machine) -> list[Layer]:
    """Vector runs where every input lies on whole bytes of the output, else a 1x1 convolution with ones."""
    requant: Requant | None = op.requant
    assert requant is not None
    places = [network.place(name) for name in op.inputs]
    out = network.places[output]
    if any((p.height, p.width) != (out.height, out.width) for p in places):
        raise CompileError("joins flattened pictures", where=op.name, cure="flatten behind the concat")
    starts = [int(i) for i in np.cumsum([0, *(p.channels for p in places)])]
    constants = list(zip(requant.multiplier.tolist(), requant.shift.tolist(), strict=True))
    aligned = all(start * out.format.bits % 8 == 0 for start in starts[:-1])
    if aligned and all(machine.cols * p.format.bits % 8 == 0 for p in places):
        return [
            VectorLayer(op.name, output, (name,), Window(), Vector.MAX, (m,), s, channel=start)
            for name, start, (m, s) in zip(op.inputs, starts, constants, strict=False)
        ]
    operands = tuple(
        Operand(name, p.height, p.width, p.pixel, p.format, Window(),
                _identity(p.channels, p.elements, start, out.channels), 2, p.channels, zeros=True)
        for name, p, start in zip(op.inputs, places, starts, strict=False)
    )  # fmt: skip
    spread = [np.full(p.channels, c, dtype=(np.int64, 2)) for p, c in zip(places, constants, strict=True)]
    columns = np.concatenate(spread)
    zero = np.zeros(out.channels, np.int64)
    return [
        ArrayLayer(op.name, output, operands, out.channels, (out.height, out.width), (1, 1), zero,
                   columns[:, 0], columns[:, 1])
    ]  # fmt: skip


def _add(network: Network, op: IntegerOp, output: str, machine: Machine) -> list[Layer]:
    """An addition, with operands of different widths first brought to one that holds both."""
    assert op.requant is not None
    places = [network.place(name) for name in op.inputs]
    a, b = places
    if (a.channels, a.height, a.width) != (b.channels, b.height, b.width):
        raise CompileError("adds a flattened picture to a vector", where=op.name, cure="flatten behind the add")
    made: list[Layer] = []
    names = list(op.inputs)
    common = _common(a.format, b.format)
    wanted = [common, common] if common else [Format(8, a.format.signed), Format(8, b.format.signed)]
    for index, (place, form) in enumerate(zip(places, wanted, strict=True)):
        if place.format != form:
            names[index] = f"{op.name}__{index}"
            _whole_vectors(op.name, place.format, machine)
            network.storage[names[index]] = names[index]
            shape = (place.channels, place.height, place.width)
            network.places[names[index]] = Place.of(shape, form, machine.beat)
            made.append(VectorLayer(op.name, names[index], (op.inputs[index],), Window(), Vector.MAX, (1 << 30,), 30))
    _whole_vectors(op.name, network.place(names[0]).format, machine)
    multipliers = tuple(int(m) for m in op.requant.multiplier)
    shift = int(op.requant.shift[0])
    made.append(
        VectorLayer(op.name, output, (names[0], names[1]), Window(), Vector.MAC, multipliers, shift,
                    mixed=common is None)
    )  # fmt: skip
    return made


def _common(a: Format, b: Format) -> Format | None:
    """The narrowest format that holds the values of both; None where 8 bits do not."""
    if a == b:
        return a
    for bits in (1, 2, 4, 8):
        for signed in (False, True):
            form = Format(bits, signed)
            fits = all(f.qmin >= form.qmin and f.qmax <= form.qmax for f in (a, b))
            if fits and not form.binary:
                return form
    return None
