"""Latency models of targets: fitted to a measured corpus, kept in a file, used as long as the target is what it was.

The corpora of the simulated targets come with the project (``mico/latency/data``). They hold for the hardware, the
firmware and the parameters that they were measured with; for anything else the corpus is measured anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hil.latency_corpus import Untrained, measure_corpus, target_facts
from hil.store import Store
from hil.targets.base import Provenance, Target
from mico.errors import CompileError, UsageError
from mico.graph import Graph
from mico.latency.corpus import Corpus
from mico.latency.engines import engine_for
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.latency.samples import cached_table
from mico.latency.storage import load_model, save_model
from mico.quant.lower import lower
from mico.quant.scheme import Scheme

__all__ = ["CORPORA", "FOLDER", "corpus_of", "facts_of", "fitted", "model_path", "network_latency"]

_ROOT = Path(__file__).resolve().parents[1]
CORPORA = _ROOT / "mico" / "latency" / "data"
FOLDER = _ROOT / "build" / "latency"


def facts_of(target: Target) -> dict[str, Any]:
    """Kind, parameters, hardware, firmware and clock of *target*: what a latency model holds for."""
    network = Untrained.of("lenet5")
    program = target.build(lower(network.graph, Scheme.uniform(network.graph.layer_names, 8), network.calibration))
    return target_facts(target, program)


def network_latency(graph: Graph, provenance: Provenance, *, seed: int = 0) -> NetworkLatency:
    """What predicts cycles of *graph* on a target of *provenance*, from the runs that it observes.

    By what the target's engine does where the project knows that and can map every layer at every bits; else by
    features that hold for any target. No files play a part: the same runs give the same predictions.
    """
    try:
        engine = engine_for(provenance.kind, provenance.parameters)
        cached_table(engine, graph)
    except (UsageError, CompileError):
        return NetworkLatency(graph, seed=seed)
    return NetworkLatency(graph, seed=seed, engine=engine)


def corpus_of(
    target: Target, store: Store, *, facts: Mapping[str, Any] | None = None, say: Callable[[str], None] = lambda _: None
) -> Corpus:
    """The corpus that comes with the project if it is of this very target, else one that is measured now.

    Parameters
    ----------
    facts
        Of *target*, where they are known.
    say
        Is told what is measured, and why.
    """
    facts = facts_of(target) if facts is None else facts
    path = CORPORA / f"{facts['kind']}.json"
    if path.exists():
        corpus = Corpus.load(path)
        different = sorted(key for key in facts if facts[key] != corpus.target.get(key))
        if not different:
            return corpus
        say(f"{path.name} was measured with other {', '.join(different)}: measuring anew, which takes minutes")
    else:
        say(f"no corpus of {facts['kind']}: measuring one, which takes minutes")
    return measure_corpus(target, store, say=say)


def model_path(facts: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Where the model of a target with *facts* is kept."""
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()
    return folder / f"{facts['kind']}-{digest[:16]}.json"


def fitted(
    target: Target,
    store: Store,
    *,
    path: Path | None = None,
    again: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[LayerModel, Path]:
    """The model of *target* and its file: loaded, or fitted to :func:`corpus_of` and kept.

    Parameters
    ----------
    path
        Of the file, by default :func:`model_path`.
    again
        Fit even where there is a file.

    Raises
    ------
    UsageError
        No engine of the project is known in *target*.
    """
    facts = facts_of(target)
    where = path or model_path(facts)
    if where.exists() and not again:
        try:
            return load_model(where, facts), where
        except UsageError as error:
            say(str(error))
    engine = engine_for(str(facts["kind"]), facts["parameters"])
    corpus = corpus_of(target, store, facts=facts, say=say)
    say(f"fitting {engine.name} to {len(corpus.runs)} runs")
    model = LayerModel.fit(corpus, engine)
    save_model(model, where)
    return model, where
