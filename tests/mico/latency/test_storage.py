"""Files of models and corpora: they come back whole, or are refused with what is wrong."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from mico.errors import UsageError
from mico.latency import storage
from mico.latency.corpus import Corpus, corpus_graph
from mico.latency.engines import Stream
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.latency.samples import Operations
from mico.latency.storage import load_model, read_model, save_model
from mico.latency.trees import Forest
from mico.quant.scheme import BITS


def edited(path: Path, change: Any) -> Path:
    """The file with *change* made to it, and its digest made right again."""
    content = json.loads(path.read_text())
    change(content)
    content.pop("digest")
    content["digest"] = storage._digest(content)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def saved(soc_model: LayerModel, tmp_path: Path) -> Path:
    save_model(soc_model, tmp_path / "model.json")
    return tmp_path / "model.json"


def test_a_model_comes_back_as_it_was(soc_model: LayerModel, soc_corpus: Corpus, saved: Path) -> None:
    loaded = load_model(saved, soc_corpus.target)
    operations = Operations.of(soc_corpus, Stream())
    np.testing.assert_array_equal(loaded.cycles(operations.counts), soc_model.cycles(operations.counts))
    vectors = np.random.default_rng(1).choice(BITS, (100, 10))
    graph = corpus_graph("lenet5")
    before, after = (NetworkLatency(graph, model=model).predict_interval(vectors) for model in (soc_model, loaded))
    np.testing.assert_array_equal(before, after)
    assert [path.name for path in saved.parent.iterdir()] == ["model.json"]


@pytest.mark.parametrize("key", ["hardware", "firmware", "parameters", "clock_hz"])
def test_a_model_of_another_target_is_stale(soc_corpus: Corpus, saved: Path, key: str) -> None:
    other = {**soc_corpus.target, key: "other"}
    with pytest.raises(UsageError, match=rf"stale.*{key}.*mico latency fit"):
        load_model(saved, other)


def test_a_model_of_other_code_is_stale(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "counting_digest", lambda: "other")
    with pytest.raises(UsageError, match=r"stale.*have changed"):
        read_model(saved)


def test_damage_is_found(saved: Path) -> None:
    text = saved.read_text()
    saved.write_text(text.replace('"floor":', '"floor":1', 1))
    with pytest.raises(UsageError, match="damaged or edited"):
        read_model(saved)
    saved.write_text(text[: len(text) // 2])
    with pytest.raises(UsageError, match="no latency model"):
        read_model(saved)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["prices"].update(coef=c["prices"]["coef"][:-1]),
        lambda c: c["prices"]["coef"].__setitem__(0, -1.0),
        lambda c: c["spread"]["left"].__setitem__(0, 0),  # a tree that never ends
        lambda c: c["spread"]["feature"].__setitem__(0, 10**6),
        lambda c: c["calibrated"].update(layer=[[1.0]]),
        lambda c: c.pop("process"),
        lambda c: c["process"].update(shared="__import__('os')"),
        lambda c: c["unit"].__setitem__(0, 0.0),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused(saved: Path, change: Any) -> None:
    with pytest.raises(UsageError):
        read_model(edited(saved, change))


def test_foreign_files_are_refused_and_run_nothing(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    foreign = tmp_path / "model.json"
    for data in (pickle.dumps(Bomb()), b"[]", b'{"format": "mico-latency-model-0"}', b"", b"\xff\xfe"):
        foreign.write_bytes(data)
        with pytest.raises(UsageError, match="latency model"):
            read_model(foreign)
        with pytest.raises(UsageError, match="corpus"):
            Corpus.load(foreign)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(UsageError, match="no latency model"):
        read_model(tmp_path / "missing.json")


def test_a_corpus_comes_back_as_it_was(soc_corpus: Corpus, tmp_path: Path) -> None:
    soc_corpus.save(tmp_path / "corpus.json")
    loaded = Corpus.load(tmp_path / "corpus.json")
    assert loaded == soc_corpus
    assert loaded.digest() == soc_corpus.digest()
    data = soc_corpus.to_json()
    del data["networks"]["lenet5"]["layers"]
    (tmp_path / "corpus.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match="damaged"):
        Corpus.load(tmp_path / "corpus.json")


def test_a_forest_of_arrays_predicts_what_scikit_learn_does() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(300, 4)), rng.normal(size=300)
    trees = RandomForestRegressor(7, min_samples_leaf=3, random_state=3).fit(x, y)
    forest = Forest.from_json(json.loads(json.dumps(Forest.of(trees).to_json())))
    fresh = rng.normal(size=(200, 4))
    np.testing.assert_allclose(forest.predict(fresh), trees.predict(fresh), rtol=1e-12)
