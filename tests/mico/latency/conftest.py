"""A model fitted to a part of the measured corpus of the simulated SoC."""

from __future__ import annotations

from pathlib import Path

import pytest

from mico.latency.corpus import Corpus
from mico.latency.engines import Stream
from mico.latency.model import LayerModel

DATA = Path(__file__).resolve().parents[3] / "mico" / "latency" / "data"
KEPT = ("lenet5", "cmsiscnn", "dscnn", "corners")


@pytest.fixture(scope="session")
def soc_corpus() -> Corpus:
    """LeNet-5, CmsisCNN, DS-CNN and the corner cases as they were measured."""
    whole = Corpus.load(DATA / "soc-sim.json")
    runs = tuple(run for run in whole.runs if run.network in KEPT)
    return Corpus(whole.target, {name: whole.structures[name] for name in KEPT}, runs)


@pytest.fixture(scope="session")
def soc_model(soc_corpus: Corpus) -> LayerModel:
    """Fitted to all of it."""
    return LayerModel.fit(soc_corpus, Stream())
