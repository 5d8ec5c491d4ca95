"""Features of a layer at given bits, from which its cycles are predicted.

CBOPs (MiCo, arXiv 2508.09500, section IV-A) are the first three: what is computed at the wider of both widths, and
what is loaded of weights and of activations. BOPs is the usual proxy that they are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mico.errors import UsageError
from mico.graph import Graph, Layer, OpKind
from mico.quant.scheme import LayerBits

__all__ = ["BOPS", "CBOPS", "EXTENDED", "FEATURES", "columns", "features", "shape_of", "tensor_bits"]

FEATURES = (
    "bmacs",
    "wloads",
    "aloads",
    "bops",
    "macs",
    "weight_bytes",
    "input_bytes",
    "output_bytes",
    "outputs",
    "patch",
)
"""Columns: MAC*max(w,a), MAC*w, MAC*a, MAC*w*a, MAC, bytes of the packed tensors, output elements, and the elements
that im2col gathers (output positions times the size of a patch; 0 for a linear layer)."""

CBOPS = ("bmacs", "wloads", "aloads")
BOPS = ("bops",)
EXTENDED = (*CBOPS, "outputs")
"""CBOPs and the elements that are written: each pays for its requantisation and for the start of its dot product, which
is what a first convolution of one channel mostly consists of. More features do worse on unseen shapes (README.md)."""


def columns(names: Sequence[str]) -> list[int]:
    """Indices of *names* in FEATURES."""
    unknown = set(names) - set(FEATURES)
    if unknown:
        raise UsageError(f"no such feature: {', '.join(sorted(unknown))}", cure=f"there are {', '.join(FEATURES)}")
    return [FEATURES.index(name) for name in names]


def features(layer: Layer, bits: LayerBits, output_bits: int = 8) -> NDArray[np.float64]:
    """Feature vector of a convolution or linear layer.

    Parameters
    ----------
    layer
        The layer; for one sample.
    bits
        Its weight bits and the bits of its input.
    output_bits
        Bits of its output, 32 for the network's last layer.

    Returns
    -------
    ``(len(FEATURES),)``, in the order of FEATURES.
    """
    if layer.weight is None:
        raise UsageError("only convolution and linear layers have CBOPs", where=layer.name)
    w, a, macs = bits.weight, bits.activation, layer.macs
    inputs = sum(int(np.prod(shape)) for shape in layer.in_shapes)
    outputs = int(np.prod(layer.out_shape))
    patch = 0
    if layer.kind is OpKind.CONV2D:
        patch = int(np.prod(layer.out_shape[1:])) * int(np.prod(layer.weight.shape[1:]))
    return np.array(
        [
            macs * max(w, a),
            macs * w,
            macs * a,
            macs * w * a,
            macs,
            layer.weight.size * w / 8,
            inputs * a / 8,
            outputs * output_bits / 8,
            outputs,
            patch,
        ],
        dtype=np.float64,
    )


def shape_of(layer: Layer) -> str:
    """What two layers of the same cost share: kind, shapes and attributes. The group that is left out as a whole."""
    weight = () if layer.weight is None else layer.weight.shape
    return f"{layer.kind} {layer.in_shapes}->{layer.out_shape} {weight} {sorted(layer.attrs.items())}"


def tensor_bits(graph: Graph, vectors: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Bits of every tensor under each of several schemes: what its consumers ask for, the widest demand.

    Max-pool and flatten hand the demand up; add, average pools, concat and a lone ReLU read 8 bits; the network's input
    has 8 bits. Its output has 32 where the last operation can write them (mico/quant/README.md).

    Parameters
    ----------
    vectors
        ``(N, 2 L)``: schemes as :meth:`mico.quant.scheme.Scheme.vector` gives them.

    Returns
    -------
    Arrays ``(N,)`` by tensor name.
    """
    n, half = len(vectors), len(graph.quantisable)
    activation = {name: vectors[:, half + i] for i, name in enumerate(graph.layer_names)}
    transparent = (OpKind.MAX_POOL, OpKind.FLATTEN)
    last = graph.layers[-1]
    while last.kind is OpKind.FLATTEN and last.inputs[0] != "input" and len(graph.consumers(last.inputs[0])) == 1:
        last = graph[last.inputs[0]]
    wide = not last.relu and last.kind not in (OpKind.RELU, *transparent)
    bits: dict[str, NDArray[np.int64]] = {graph.layers[-1].name: np.full(n, 32)} if wide else {}
    for layer in reversed(graph.layers):
        own = bits.setdefault(layer.name, np.full(n, 8))
        if layer.quantisable:
            demand = activation[layer.name]
        elif layer.kind in transparent:
            demand = own
        else:
            demand = np.full(n, 8)
        for tensor in layer.inputs:
            bits[tensor] = np.maximum(bits[tensor], demand) if tensor in bits else demand
    bits["input"] = np.full(n, 8)
    return bits
