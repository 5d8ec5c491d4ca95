"""Latency models and active profiling against the simulated SoC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.active import profile
from hil.cli import app
from hil.latency_corpus import Untrained, corpus_schemes, measure_corpus
from hil.latency_models import CORPORA, corpus_of, facts_of, fitted, model_path
from hil.store import Store
from hil.targets.soc_sim import SocSim
from mico.latency.corpus import Corpus
from mico.latency.engines import Stream
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.latency.storage import save_model
from mico.quant.scheme import Scheme


def small_model() -> LayerModel:
    whole = Corpus.load(CORPORA / "soc-sim.json")
    kept = ("cmsiscnn", "corners")
    runs = tuple(run for run in whole.runs if run.network in kept)
    return LayerModel.fit(Corpus(whole.target, {name: whole.structures[name] for name in kept}, runs), Stream())


def test_profiling_measures_what_tells_most_and_predictions_follow(tmp_path: Path) -> None:
    network, store = Untrained.of("lenet5"), Store(tmp_path / "store.sqlite")
    latency = NetworkLatency(network.graph, model=small_model())
    with SocSim() as target:
        steps = list(profile(latency, lambda scheme: network.measure(scheme, target, store), runs=2))
        again = list(
            profile(
                NetworkLatency(network.graph, model=latency.model),
                lambda scheme: network.measure(scheme, target, store),
                runs=2,
            )
        )
    assert steps[0].scheme != steps[1].scheme
    assert [step.scheme for step in again] == [step.scheme for step in steps]
    assert [step.cached for step in (*steps, *again)] == [False, False, True, True]
    assert steps[1].error < steps[0].error
    for step in steps:
        assert step.predicted == pytest.approx(step.measured, rel=0.1)  # before it was measured
        after = latency.predict(np.array([step.scheme.vector()]))[0]
        assert after == pytest.approx(step.measured, rel=2e-3)


def test_the_corpus_of_the_project_is_what_the_target_measures(tmp_path: Path) -> None:
    """At one mixed scheme: every layer to the cycle, but for what moving code in the cache costs."""
    target, store = SocSim(), Store(tmp_path / "store.sqlite")
    corpus, facts = Corpus.load(CORPORA / "soc-sim.json"), facts_of(target)
    different = [key for key in facts if facts[key] != corpus.target[key]]
    if different:
        pytest.skip(f"the corpus was measured with other {', '.join(different)}: `make bench-latency` measures anew")
    assert corpus_of(target, store) == corpus
    network = Untrained.of("lenet5")
    scheme = corpus_schemes(network.graph, 1)[-1]
    run = next(run for run in corpus.of("lenet5") if run.vector == scheme.vector())
    with target:
        found = network.measure(scheme, target, store)
    assert [(layer.name, layer.cycles) for layer in found.layers] == list(run.layers)


@pytest.mark.slow
def test_a_target_without_a_corpus_gets_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, store, said = SocSim(ram_latency=1), Store(tmp_path / "store.sqlite"), list[str]()
    monkeypatch.setattr("hil.latency_corpus.NETWORKS", ("lenet5",))
    corpus = measure_corpus(target, store, ("lenet5",), mixed=1)
    assert len(corpus.runs) == 17
    assert corpus.target["parameters"]["ram_latency"] == 1
    assert measure_corpus(target, store, ("lenet5",), mixed=1) == corpus  # looked up
    path = model_path(facts_of(target), tmp_path)
    save_model(small_model(), path)  # of a SoC without wait states

    def ends(*_: object, **__: object) -> Corpus:
        raise KeyboardInterrupt

    monkeypatch.setattr("hil.latency_models.measure_corpus", ends)
    with pytest.raises(KeyboardInterrupt):
        fitted(target, store, path=path, say=said.append)
    assert "stale" in said[0]
    assert "measuring anew" in said[1]


def test_the_command_shows_prices_and_provenance(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path / "model.json")
    result = CliRunner().invoke(app, ["latency", "show", str(tmp_path / "model.json")])
    assert result.exit_code == 0, result.output
    assert "run_stream" in result.output
    assert str(model.target["hardware"])[:16] in result.output


def test_schemes_of_a_corpus_measure_every_pair_in_every_layer() -> None:
    graph = Untrained.of("lenet5").graph
    schemes = corpus_schemes(graph, 3)
    assert len(set(schemes)) == 19
    assert schemes[:16] == [Scheme.uniform(graph.layer_names, w, a) for w in (8, 4, 2, 1) for a in (8, 4, 2, 1)]
    for name in graph.layer_names:
        assert len({scheme[name] for scheme in schemes[:16]}) == 16
