"""Graph + Scheme + scales -> IntegerModel: everything becomes integers here, by the rules of README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mico.errors import QuantError
from mico.graph import Graph, Layer, OpKind, Shape
from mico.quant.calibrate import TRANSPARENT, Calibration
from mico.quant.check import check
from mico.quant.integer import Format, IntegerModel, IntegerOp, Requant, Tensor
from mico.quant.scheme import Scheme

__all__ = ["lower", "multiplier_shift", "quantise_weight", "require_layers", "weight_scale"]

_INT32 = Format(32, True)
_HEADROOM_BITS = 30  # logits and biases stay below 2^30
_LOGIT_FRACTION_BITS = 16  # of an output that no accumulator feeds


def lower(
    graph: Graph,
    scheme: Scheme,
    calibration: Calibration,
    weight_scales: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> IntegerModel:
    """The integer program of *graph* at the bits of *scheme*.

    Parameters
    ----------
    calibration
        Scales of the activations of this graph, and its refined weights, if it has any.
    weight_scales
        Scales ``(OC,)`` by layer, for instance trained ones: such a layer's weights are rounded to the nearest. Layers
        that it leaves out take their refined weights, or :func:`weight_scale`.

    Raises
    ------
    QuantError
        The scheme misses a layer or names one that is not there, or an accumulator could overflow: names the layer.
    """
    require_layers(graph, scheme)
    unknown = set(weight_scales or {}) - set(graph.layer_names)
    if unknown:
        raise QuantError(f"weight scales name {sorted(unknown)}, which the network does not have", where=graph.name)
    model = _Lowering(graph, scheme, calibration, weight_scales or {}).run()
    check(model)
    return model


def require_layers(graph: Graph, scheme: Scheme) -> None:
    """Refuse, as a QuantError, a scheme that misses a layer of *graph* or names one that is not there."""
    missing, invented = set(graph.layer_names) - set(scheme), set(scheme) - set(graph.layer_names)
    if missing or invented:
        raise QuantError(
            f"the scheme misses {sorted(missing)} and names {sorted(invented)}, which the network does not have",
            where=graph.name,
            cure=f"quantisable layers: {', '.join(graph.layer_names)}",
        )


def weight_scale(weight: NDArray[np.floating[Any]], bits: int) -> NDArray[np.float64]:
    """Per-channel scales ``(OC,)`` of least squared error for *weight* ``(OC, ...)``; 1 bit: the mean magnitude.

    A channel of zeros gets a scale far below the others, so that nothing it holds counts.
    """
    rows = np.asarray(weight, dtype=np.float64).reshape(len(weight), -1)
    magnitudes = np.abs(rows)
    if bits == 1:
        best = magnitudes.mean(axis=1)
    else:
        form = Format(bits, True)
        widest = magnitudes.max(axis=1) / form.qmax
        best, least = widest.copy(), np.full(len(rows), np.inf)
        for factor in np.geomspace(0.1 if bits < 8 else 0.7, 1.05, 48):
            scale = widest * factor
            step = np.where(scale > 0, scale, 1.0)[:, None]
            difference = np.clip(np.floor(rows / step + 0.5), form.qmin, form.qmax) * step - rows
            error = (difference * difference).sum(axis=1)
            best, least = np.where(error < least, scale, best), np.minimum(error, least)
    top = float(best.max(initial=0.0))
    floored: NDArray[np.float64] = np.maximum(best, (top if top > 0 else 1.0) * 2.0**-20)
    return floored


def quantise_weight(weight: NDArray[np.floating[Any]], scale: NDArray[np.floating[Any]], bits: int) -> NDArray[np.int8]:
    """Integers of *weight* ``(OC, ...)`` for scales ``(OC,)``: rounded half up, clamped; 1 bit: the sign, 0 is +1."""
    column = np.asarray(scale, dtype=np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    if bits == 1:
        return np.where(weight >= 0, 1, -1).astype(np.int8)
    form = Format(bits, True)
    return np.clip(np.floor(weight / column + 0.5), form.qmin, form.qmax).astype(np.int8)


def multiplier_shift(factors: NDArray[np.float64], where: str) -> Requant:
    """Integers m, s with ``m / 2^s`` next to each of *factors* ``(n,)``.

    m has 31 bits, a relative error of at most 2^-31; below 2^-32 the shift stops at 62 and m loses bits, at least 1.
    """
    if not (np.isfinite(factors).all() and (factors > 0).all() and (factors < 2.0**30).all()):
        raise QuantError(f"scales are too far apart: a factor of {factors.max():.3g} is needed", where=where,
                         cure="are the calibration images of the right kind?")  # fmt: skip
    fraction, exponent = np.frexp(factors)
    multiplier = np.rint(np.ldexp(fraction, 31)).astype(np.int64)
    carried = multiplier == 1 << 31
    multiplier[carried] >>= 1
    shift = 31 - (exponent + carried)
    low = shift > 62
    multiplier[low] = np.maximum(1, np.rint(np.ldexp(factors[low], 62)).astype(np.int64))
    return Requant(multiplier.astype(np.int32), np.minimum(shift, 62).astype(np.int32))


class _Lowering:
    def __init__(
        self,
        graph: Graph,
        scheme: Scheme,
        calibration: Calibration,
        weight_scales: Mapping[str, NDArray[np.floating[Any]]],
    ) -> None:
        self.graph = graph
        self.scheme = scheme
        self.calibration = calibration
        self.weight_scales = weight_scales
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[IntegerOp] = []
        self.demands = self._demands()
        self.last = graph.layers[-1]
        while self.last.kind is OpKind.FLATTEN and self.last.inputs[0] != "input":
            if len(graph.consumers(self.last.inputs[0])) > 1:
                break
            self.last = graph[self.last.inputs[0]]  # logits leave in this order anyway

    def run(self) -> IntegerModel:
        source = Format(8, self.calibration.signed("input"))
        self.tensors["input"] = Tensor("input", self.graph.input_shape, source, self.calibration.input_scale)
        for layer in self.graph.layers:
            self._layer(layer)
            if layer is self.last:
                break
        output = self.last.name
        if self.tensors[output].format != _INT32:
            wide = self._write(f"{output}__out", self.last.out_shape, _INT32, self.tensors[output].scale)
            factor = np.ones(1)
            requant = multiplier_shift(factor, wide)
            self.ops.append(IntegerOp(wide, "requant", (output,), wide, requant=requant))
            output = wide
        return IntegerModel(self.graph.name, "input", output, self.tensors, tuple(self.ops))

    def _demands(self) -> dict[str, int]:
        """Bits that each tensor is written with: the widest that a consumer asks for."""
        demands: dict[str, int] = {}
        for layer in reversed(self.graph.layers):
            own = demands.get(layer.name, 8)  # nobody reads the last one
            asked = own if layer.kind in TRANSPARENT else 8
            if layer.quantisable:
                asked = self.scheme[layer.name].activation
            for name in layer.inputs:
                demands[name] = max(asked, demands.get(name, 0))
        return demands

    def _layer(self, layer: Layer) -> None:
        inputs = [self.tensors[name] for name in layer.inputs]
        if layer.kind in TRANSPARENT:
            self._write(layer.name, layer.out_shape, inputs[0].format, inputs[0].scale)
            self.ops.append(IntegerOp(layer.name, layer.kind, layer.inputs, layer.name, attrs=layer.attrs))
        elif layer.quantisable:
            self._weighted(layer, self._narrowed(layer, inputs[0]))
        else:
            self._rescaled(layer, inputs)

    def _narrowed(self, layer: Layer, source: Tensor) -> Tensor:
        """*source*, or a copy of it with the bits that *layer* asks for."""
        bits = self.scheme[layer.name].activation
        if source.format.bits == bits:
            return source
        name = f"{layer.name}__in"
        form = Format(bits, source.format.signed)
        self._write(name, source.shape, form, self.calibration.scale(name, bits))
        factor = np.array([source.scale / self.tensors[name].scale])
        self.ops.append(IntegerOp(name, "requant", (source.name,), name, requant=multiplier_shift(factor, name)))
        return self.tensors[name]

    def _weighted(self, layer: Layer, source: Tensor) -> None:
        assert layer.weight is not None
        if not np.isfinite(layer.weight).all() or not (layer.bias is None or np.isfinite(layer.bias).all()):
            raise QuantError("weights or biases are not finite", where=layer.name)
        bits = self.scheme[layer.name].weight
        weight, scale, shift = self._parameters(layer, source)
        accumulator = scale * source.scale
        bias = None if shift is None else np.rint(shift / accumulator).astype(np.int64)
        if layer is self.last and not layer.relu:
            sums = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1) * source.format.max_abs
            bound = (sums if bias is None else sums + np.abs(bias)) * accumulator
            finest = max(float(accumulator.min()), float(bound.max()) / 2.0**_HEADROOM_BITS)
            out = self._write(layer.name, layer.out_shape, _INT32, finest)
        else:
            out = self._output(layer)
        self.ops.append(
            IntegerOp(
                layer.name,
                layer.kind,
                (source.name,),
                layer.name,
                attrs=layer.attrs,
                weight=weight,
                weight_format=Format(bits, True),
                bias=None if bias is None else bias.astype(np.int32),
                requant=multiplier_shift(accumulator / self.tensors[out].scale, layer.name),
            )
        )

    def _parameters(
        self, layer: Layer, source: Tensor
    ) -> tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.float64] | None]:
        """Integers of the weights, their scales, and the real bias."""
        assert layer.weight is not None
        bits = self.scheme[layer.name]
        refined = self.calibration.refined.get(layer.name)
        given = self.weight_scales.get(layer.name)
        bias: NDArray[np.float64] | None = None if layer.bias is None else layer.bias.astype(np.float64)
        weight: NDArray[np.int8] | None = None
        if given is None and refined is not None:
            scale = refined.scales[bits.weight, bits.activation].astype(np.float64)
            weight = refined.integers[bits.weight]
            shift = refined.shifts[bits.weight, bits.activation].astype(np.float64)
            bias = shift if bias is None else bias + shift
        else:
            scale = np.asarray(weight_scale(layer.weight, bits.weight) if given is None else given, dtype=np.float64)
        if scale.shape != layer.weight.shape[:1] or not (np.isfinite(scale).all() and (scale > 0).all()):
            raise QuantError(f"weight scales must be positive, of shape {layer.weight.shape[:1]}", where=layer.name)
        # Where weights are next to nothing beside the bias, a coarser scale keeps the bias within int32.
        least = 0.0 if bias is None else np.abs(bias) / source.scale / 2.0**_HEADROOM_BITS
        coarse = scale < least
        scale = np.maximum(scale, least)
        if weight is None or coarse.any():
            rounded = quantise_weight(layer.weight, scale, bits.weight)
            column = coarse.reshape(-1, *[1] * (rounded.ndim - 1))
            weight = rounded if weight is None else np.where(column, rounded, weight)
        return weight, scale, bias

    def _rescaled(self, layer: Layer, inputs: list[Tensor]) -> None:
        """Add, concat, average pools, lone ReLU."""
        window = 1
        if layer.kind is OpKind.AVG_POOL:
            window = int(np.prod(layer.pair("kernel")))
        elif layer.kind is OpKind.GLOBAL_AVG_POOL:
            window = int(np.prod(layer.in_shapes[0][1:]))
        scales = np.array([tensor.scale / window for tensor in inputs])
        if layer is self.last and not layer.relu and layer.kind is not OpKind.RELU:
            fraction = 0 if window > 1 else _LOGIT_FRACTION_BITS
            out = self._write(layer.name, layer.out_shape, _INT32, float(scales.max()) / 2.0**fraction)
        else:
            out = self._output(layer)
        factors = scales / self.tensors[out].scale
        if layer.kind is OpKind.ADD:
            requant = _common_shift(factors, layer.name)
        else:
            requant = multiplier_shift(factors, layer.name)
        kind = "requant" if layer.kind is OpKind.RELU else layer.kind
        attrs = {} if layer.kind is OpKind.RELU else layer.attrs
        self.ops.append(IntegerOp(layer.name, kind, layer.inputs, layer.name, attrs=attrs, requant=requant))

    def _output(self, layer: Layer) -> str:
        bits = self.demands.get(layer.name, 8)
        form = Format(bits, self.calibration.signed(layer.name))
        return self._write(layer.name, layer.out_shape, form, self.calibration.scale(layer.name, bits))

    def _write(self, name: str, shape: Shape, form: Format, scale: float) -> str:
        self.tensors[name] = Tensor(name, shape, form, float(scale))
        return name


def _common_shift(factors: NDArray[np.float64], where: str) -> Requant:
    """One shift for all: the largest factor gets 31 bits, the others what remains, at least 1."""
    largest = multiplier_shift(factors.max(keepdims=True), where)
    multiplier = np.rint(np.ldexp(factors, int(largest.shift[0])))
    multiplier[factors == factors.max()] = largest.multiplier[0]
    return Requant(np.clip(multiplier, 1, 2**31 - 1).astype(np.int32), largest.shift)
