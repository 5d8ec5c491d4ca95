"""The fitted model on whole networks that were measured on the simulated SoC: errors, intervals, what is exact."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mico.errors import UsageError
from mico.latency.corpus import Corpus, corpus_graph
from mico.latency.engines import BitFusion, Stream, engine_for
from mico.latency.features import tensor_bits
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.latency.samples import Operations
from mico.quant.scheme import BITS, Scheme
from tests.mico.latency.conftest import DATA


def measured(network: str) -> tuple[np.ndarray, np.ndarray, list[tuple[Scheme, list[tuple[str, int]]]]]:
    corpus, graph = Corpus.load(DATA / "soc-sim.json"), corpus_graph(network)
    runs = corpus.of(network)
    schemes = [(Scheme.from_vector(graph.layer_names, run.vector), list(run.layers)) for run in runs]
    return np.array([run.vector for run in runs]), np.array([run.cycles for run in runs]), schemes


def test_a_network_that_was_never_seen_is_predicted_within_five_percent(soc_model: LayerModel) -> None:
    vectors, cycles, _ = measured("resnet8")
    latency = NetworkLatency(corpus_graph("resnet8"), model=soc_model)
    assert np.mean(np.abs(latency.predict(vectors) / cycles - 1)) < 0.05


def test_what_was_measured_is_exact_and_the_rest_is_closer_for_it(soc_model: LayerModel) -> None:
    vectors, cycles, schemes = measured("resnet8")
    latency = NetworkLatency(corpus_graph("resnet8"), model=soc_model)
    before = np.abs(latency.predict(vectors) / cycles - 1)
    width = np.subtract(*latency.predict_interval(vectors)[::-1])
    for scheme, layers in schemes[:3]:
        latency.observe(scheme, layers)
    after = np.abs(latency.predict(vectors) / cycles - 1)
    assert after[:3].max() < 2e-3  # laps of one layer differ by a few cycles, and the glue between layers is a mean
    assert after[3:].mean() < before[3:].mean()
    low, high = latency.predict_interval(vectors)
    assert np.all(high - low < width)
    np.testing.assert_allclose(high[:3], latency.predict(vectors)[:3], rtol=1e-6)


def test_intervals_hold_what_is_measured_and_widen_with_coverage(soc_model: LayerModel) -> None:
    vectors, cycles, _ = measured("squeezenet")
    latency = NetworkLatency(corpus_graph("squeezenet"), model=soc_model)
    low, high = latency.predict_interval(vectors, 0.9)
    assert np.mean((low <= cycles) & (cycles <= high)) >= 0.8
    wider = latency.predict_interval(vectors, 0.98)
    assert np.all((wider[0] <= low) & (wider[1] >= high))
    with pytest.raises(UsageError, match="coverage"):
        latency.predict_interval(vectors, 0.999)


def test_a_thousand_schemes_of_fifty_layers_take_milliseconds(soc_model: LayerModel) -> None:
    graph = corpus_graph("mobilenetv2")
    latency = NetworkLatency(graph, model=soc_model)
    vectors = np.random.default_rng(1).choice(BITS, (1000, 2 * len(graph.quantisable)))
    latency.predict(vectors)
    start = time.process_time()
    latency.predict(vectors)
    assert time.process_time() - start < 0.1


def test_prices_can_be_learnt_from_one_run_of_the_network_itself() -> None:
    vectors, cycles, schemes = measured("lenet5")
    latency = NetworkLatency(corpus_graph("lenet5"), engine=Stream())
    with pytest.raises(UsageError, match="no run"):
        latency.predict(vectors)
    for scheme, layers in schemes[:2]:
        latency.observe(scheme, layers)
    assert np.mean(np.abs(latency.predict(vectors) / cycles - 1)) < 0.1


def test_every_operation_of_a_run_is_counted(soc_corpus: Corpus) -> None:
    """Layers, requantisations and pools; so the sum of all predictions is the network's."""
    operations = Operations.of(soc_corpus, Stream())
    for index, run in enumerate(soc_corpus.runs):
        rows = operations.run == index
        assert operations.cycles[rows].sum() == run.cycles - dict(run.layers)["glue"]


def test_the_corpora_of_the_project_are_of_the_zoo_as_it_is_built() -> None:
    for name in ("soc-sim", "bitfusion-sim"):
        corpus = Corpus.load(DATA / f"{name}.json")
        for network in corpus.networks:
            uniform = [run for run in corpus.of(network) if run.uniform]
            assert len(uniform) == 16
            assert corpus.structures[network]


def test_the_engine_is_known_by_the_targets_parameters() -> None:
    assert isinstance(engine_for("soc-sim", {"simd_version": 2, "simd_lanes": 4}), Stream)
    found = engine_for("bitfusion-sim", {"rows": 8, "ibuf_bytes": 32768})
    assert isinstance(found, BitFusion)
    assert found.machine.rows == 8
    with pytest.raises(UsageError, match="no latency model"):
        engine_for("soc-sim", {"simd_version": 1, "simd_lanes": 4})


def test_a_layer_at_every_bits_of_its_output_has_counts() -> None:
    graph = corpus_graph("lenet5")
    table = Stream().table(graph)
    vectors = np.random.default_rng(2).choice(BITS, (50, 10))
    bits = tensor_bits(graph, vectors)
    assert {int(b) for layer in graph.quantisable for b in bits[layer.name]} == {8, 4, 2, 1, 32}
    assert np.all(table.layers[:-1, :, :, :4].any(axis=-1))  # 8, 4, 2, 1
    assert np.all(table.layers[-1, :, :, 4].any(axis=-1))  # the last layer writes int32
