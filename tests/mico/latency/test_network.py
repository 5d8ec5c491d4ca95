"""Features, the network's predictor, and its evaluation on shapes left out."""

from __future__ import annotations

import numpy as np
import pytest

from mico.errors import UsageError
from mico.graph import Graph, Layer, OpKind
from mico.latency.evaluate import compare, held_out
from mico.latency.features import FEATURES, columns, features, tensor_bits
from mico.latency.linear import Cbops
from mico.latency.network import NetworkLatency
from mico.quant.scheme import BITS, LayerBits, Scheme


def conv(name: str, source: str, cin: int, cout: int, size: int) -> Layer:
    return Layer(
        name,
        OpKind.CONV2D,
        (source,),
        ((cin, size, size),),
        (cout, size, size),
        {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "groups": 1},
        np.zeros((cout, cin, 3, 3), dtype=np.float32),
        relu=True,
    )


def linear(name: str, source: str, n: int, m: int) -> Layer:
    return Layer(name, OpKind.LINEAR, (source,), ((n,),), (m,), {}, np.zeros((m, n), dtype=np.float32))


def network() -> Graph:
    """Two convolutions of which the second's input is also added to its output; a pool; three linear layers."""
    c1, c2 = conv("c1", "input", 1, 8, 8), conv("c2", "c1", 8, 8, 8)
    add = Layer("add", OpKind.ADD, ("c1", "c2"), (c1.out_shape, c2.out_shape), c2.out_shape)
    pool = Layer("pool", OpKind.MAX_POOL, ("add",), (c2.out_shape,), (8, 4, 4), {"kernel": (2, 2)})
    flat = Layer("flat", OpKind.FLATTEN, ("pool",), ((8, 4, 4),), (128,))
    layers = (c1, c2, add, pool, flat, linear("f1", "flat", 128, 64), linear("f2", "f1", 64, 32))
    return Graph("net", (1, 8, 8), (*layers, linear("f3", "f2", 32, 10)))


def cost(layer: Layer, bits: LayerBits) -> int:
    """True cycles of the tests: compute at the wider width, packed loads, a constant an output."""
    return int(
        200
        + layer.macs * max(bits.weight, bits.activation) / 32
        + 0.2 * layer.macs * bits.weight / 8
        + 0.1 * layer.macs * bits.activation / 8
        + 3 * int(np.prod(layer.out_shape))
    )


def run(graph: Graph, scheme: Scheme) -> list[tuple[str, int]]:
    layers = [(layer.name, cost(layer, scheme[layer.name])) for layer in graph.quantisable]
    if scheme["c1"].activation < 8:
        layers.insert(0, ("c1__in", 77))
    return [*layers, ("pool", 400), ("flat", 0), ("add", 900), ("glue", 50)]


def some_schemes(graph: Graph, n: int, seed: int) -> list[Scheme]:
    rng = np.random.default_rng(seed)
    return [Scheme.from_vector(graph.layer_names, [int(b) for b in rng.choice(BITS, 10)]) for _ in range(n)]


def test_features_of_a_convolution() -> None:
    layer = conv("c", "input", 4, 6, 5)
    macs = 4 * 6 * 9 * 25
    got = dict(zip(FEATURES, features(layer, LayerBits(4, 2), 8), strict=True))
    assert got == {
        "bmacs": macs * 4,
        "wloads": macs * 4,
        "aloads": macs * 2,
        "bops": macs * 8,
        "macs": macs,
        "weight_bytes": 4 * 6 * 9 / 2,
        "input_bytes": 25,
        "output_bytes": 150,
        "outputs": 150,
        "patch": 25 * 36,
    }


def test_unknown_feature_is_named() -> None:
    with pytest.raises(UsageError, match="flops"):
        columns(["flops"])


def test_tensor_has_the_widest_bits_that_a_consumer_asks_for() -> None:
    graph = network()
    vector = Scheme({n: LayerBits(8, a) for n, a in zip(graph.layer_names, (4, 2, 1, 4, 2), strict=True)}).vector()
    bits = {name: int(b[0]) for name, b in tensor_bits(graph, np.array([vector])).items()}
    assert bits["c1"] == 8  # c2 asks for 2, the add for 8
    assert bits["c2"] == 8
    assert bits["add"] == bits["pool"] == bits["flat"] == 1  # handed up from f1
    assert (bits["f1"], bits["f2"], bits["f3"]) == (4, 2, 32)


def test_measured_scheme_is_predicted_as_measured() -> None:
    graph = network()
    model = NetworkLatency(graph)
    schemes = some_schemes(graph, 6, seed=1)
    for scheme in schemes:
        model.observe(scheme, run(graph, scheme))
    for scheme in schemes:
        true = sum(cycles for _, cycles in run(graph, scheme))
        assert model.predict(np.array([scheme.vector()]))[0] == pytest.approx(true, rel=0.002)


def test_unmeasured_schemes_are_predicted_within_ten_percent_after_twelve_runs() -> None:
    graph = network()
    model = NetworkLatency(graph)
    for scheme in [Scheme.uniform(graph.layer_names, 8), *some_schemes(graph, 11, seed=2)]:
        model.observe(scheme, run(graph, scheme))
    fresh = some_schemes(graph, 200, seed=3)
    predicted = model.predict(np.array([s.vector() for s in fresh]))
    true = np.array([sum(c for _, c in run(graph, s)) for s in fresh])
    assert np.mean(np.abs(predicted / true - 1)) < 0.1


def test_order_of_prediction_and_batching_do_not_matter() -> None:
    graph = network()
    model = NetworkLatency(graph)
    for scheme in some_schemes(graph, 5, seed=4):
        model.observe(scheme, run(graph, scheme))
    vectors = np.array([s.vector() for s in some_schemes(graph, 20, seed=5)])
    together = model.predict(vectors)
    np.testing.assert_array_equal(together, [model.predict(v[None])[0] for v in vectors])


def test_prediction_without_a_run_is_an_error() -> None:
    with pytest.raises(UsageError, match="no run"):
        NetworkLatency(network()).predict(np.array([[8] * 10]))


def test_run_that_lacks_a_layer_is_an_error() -> None:
    graph = network()
    with pytest.raises(UsageError, match="no cycles of f3"):
        NetworkLatency(graph).observe(
            Scheme.uniform(graph.layer_names, 8), [r for r in run(graph, some_schemes(graph, 1, 6)[0]) if r[0] != "f3"]
        )


def test_cbops_beat_bops_on_held_out_shapes() -> None:
    graph = network()
    model = NetworkLatency(graph)
    for scheme in some_schemes(graph, 24, seed=7):
        model.observe(scheme, run(graph, scheme))
    scores = compare(model.samples())
    assert scores["cbops"].shapes == 5
    assert scores["cbops"].mape < scores["bops"].mape
    assert scores["cbops"].r2 > scores["bops"].r2


def test_held_out_means_whole_shapes() -> None:
    """A target that depends on the shape alone cannot be predicted for an unseen shape."""
    rng = np.random.default_rng(8)
    shapes = [str(i % 5) for i in range(50)]
    level = dict(zip("01234", rng.uniform(1e3, 1e6, 5), strict=True))
    y = np.array([level[s] for s in shapes])
    score = held_out(Cbops(), rng.uniform(size=(50, 2)), y, shapes)
    assert score.r2 < 0.1
    with pytest.raises(UsageError, match="left out"):
        held_out(Cbops(), rng.uniform(size=(4, 2)), y[:4], ["a"] * 4)
