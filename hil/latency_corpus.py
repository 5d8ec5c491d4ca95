"""Measures the corpus that latency models are fitted on: networks of the zoo at all 16 pairs of bits, and mixed ones.

Every run goes through the store, so that a second call looks everything up. Weights and images are random: cycles do
not depend on them (tests/bench/latency.py checks that). A network at one pair in all its layers measures that pair in
every layer at once; mixed schemes bring outputs of other widths than a layer's own input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.result import versions
from hil.store import Measurement, Store
from hil.targets.base import Program, Target
from mico.graph import Graph
from mico.latency.corpus import CORNERS, Corpus, NetworkRun, corpus_graph, structure_digest
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.lower import lower
from mico.quant.scheme import BITS, Scheme

__all__ = ["NETWORKS", "Untrained", "corpus_schemes", "measure_corpus", "target_facts"]

NETWORKS = ("lenet5", "cmsiscnn", "resnet8", "dscnn", "squeezenet", "vgg7", "mobilenetv2", CORNERS)
"""Of the zoo, all that a simulated target runs in seconds; and corner cases."""

_IMAGES = 8


@dataclass(frozen=True)
class Untrained:
    """A network of the zoo with random weights, calibrated on random images."""

    graph: Graph
    calibration: Calibration
    images: NDArray[np.uint8]

    @classmethod
    def of(cls, name: str, seed: int = 0) -> Untrained:
        """Network *name*, all random numbers from *seed*."""
        graph = corpus_graph(name, seed)
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (_IMAGES, *graph.input_shape)).astype(np.uint8)
        return cls(graph, calibrate(graph, images, seed=seed), images)

    def measure(self, scheme: Scheme, target: Target, store: Store) -> Measurement:
        """Cycles of *scheme* on the open *target*, checked against Python's logits; looked up where they are known."""
        model = lower(self.graph, scheme, self.calibration)
        program = target.build(model)
        found = store.lookup(target.provenance(program).key())
        if found is not None:
            return found
        x = self.images[:1]
        return store.measure_once(target, program, x, expected=model.run(x), laps=1, tools=versions())


def corpus_schemes(graph: Graph, mixed: int, seed: int = 0) -> list[Scheme]:
    """All 16 pairs, each in all layers, and *mixed* schemes of random bits."""
    names = graph.layer_names
    pairs = [Scheme.uniform(names, w, a) for w in BITS for a in BITS]
    rng = np.random.default_rng([seed, len(names)])
    return [*pairs, *(Scheme.from_vector(names, rng.choice(BITS, 2 * len(names)).tolist()) for _ in range(mixed))]


def target_facts(target: Target, program: Program) -> dict[str, Any]:
    """What decides cycles on *target*, whatever the program."""
    facts = target.provenance(program).to_json()
    del facts["program"]
    return facts


def measure_corpus(
    target: Target,
    store: Store,
    networks: Sequence[str] = NETWORKS,
    *,
    mixed: int = 5,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> Corpus:
    """Measure or look up all runs.

    Parameters
    ----------
    mixed
        Schemes of random bits for each network.
    say
        Is told of every run.
    """
    runs: list[NetworkRun] = []
    facts: Mapping[str, Any] = {}
    structures = {}
    with target:
        for name in networks:
            network = Untrained.of(name, seed)
            structures[name] = structure_digest(network.graph)
            for scheme in corpus_schemes(network.graph, mixed, seed):
                found = network.measure(scheme, target, store)
                facts = {key: value for key, value in found.provenance.items() if key != "program"}
                layers = tuple((layer.name, layer.cycles) for layer in found.layers)
                runs.append(NetworkRun(name, scheme.vector(), layers))
                say(f"{name} {runs[-1].vector}: {runs[-1].cycles:,}")
    return Corpus(facts, structures, tuple(runs))
