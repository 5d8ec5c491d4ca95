"""Latency models as JSON: versions, provenance and numbers, nothing that loading could run.

A file holds for one target, as its provenance says it was, and for the code that counts what an engine does. Anything
else is refused with what differs and the cure; so is a file that was damaged or edited.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mico.errors import UsageError
from mico.latency.correction import PairProcess
from mico.latency.engines import engine_for
from mico.latency.mechanistic import Mechanistic
from mico.latency.model import COVERAGES, Calibrated, LayerModel
from mico.latency.samples import counting_digest
from mico.latency.trees import Forest

__all__ = ["FORMAT", "load_model", "read_model", "save_model"]

FORMAT = "mico-latency-model-1"
_CURE = "`mico latency fit` fits a new one"
_PARTS = ("prices", "process", "unit", "spread", "calibrated")


def save_model(model: LayerModel, path: Path) -> None:
    """Write *model*, whole or not at all."""
    prices = model.prices
    content = {
        "format": FORMAT,
        "versions": {name: metadata.version(name) for name in ("mico-hil", "numpy", "scipy", "scikit-learn")},
        "target": dict(model.target),
        "corpus": model.corpus,
        "counting": counting_digest(),
        "columns": list(model.engine.columns),
        "prices": {
            "shrink": float(prices.shrink),
            "coef": prices.coef_.tolist(),
            "floor": prices.floor_,
            "forest": None if prices.forest_ is None else prices.forest_.to_json(),
        },
        "process": model.process.to_json(),
        "unit": model.unit.tolist(),
        "spread": model.spread.to_json(),
        "calibrated": {
            "coverages": list(COVERAGES),
            "layer": model.calibrated.layer.tolist(),
            "network": model.calibrated.network.tolist(),
        },
    }
    content["digest"] = _digest(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    scratch.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    os.replace(scratch, path)


def read_model(path: Path) -> LayerModel:
    """The model in *path*, whatever target it is of; see :func:`load_model`.

    Raises
    ------
    UsageError
        No such file, not a latency model, of another version, damaged, or of code that counts otherwise.
    """
    where = str(path)
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"no latency model: {error}", where=where, cure=_CURE) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UsageError(f"not a latency model of the format {FORMAT}", where=where, cure=_CURE)
    if content.get("digest") != _digest({key: value for key, value in content.items() if key != "digest"}):
        raise UsageError("the latency model was damaged or edited: its digest is another", where=where, cure=_CURE)
    if content.get("counting") != counting_digest():
        raise UsageError(
            "the latency model is stale: compilers, or the code that counts what an engine does, have changed since",
            where=where,
            cure=_CURE,
        )
    try:
        return _made(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"a damaged latency model: {error!r}", where=where, cure=_CURE) from error


def load_model(path: Path, target: Mapping[str, Any]) -> LayerModel:
    """The model in *path*, if it is of *target*: kind, parameters, hardware, firmware and clock of a provenance.

    Raises
    ------
    UsageError
        As :func:`read_model`; or the model is of another target: says in what they differ.
    """
    model = read_model(path)
    mine = {key: value for key, value in target.items() if key != "program"}
    different = sorted(key for key in {*mine, *model.target} if mine.get(key) != model.target.get(key))
    if different:
        raise UsageError(
            f"the latency model is stale: it was fitted on a target with other {', '.join(different)}",
            where=str(path),
            cure=_CURE,
        )
    return model


def _made(content: Mapping[str, Any]) -> LayerModel:
    target = content["target"]
    engine = engine_for(target["kind"], target["parameters"])
    parts = {name: content[name] for name in _PARTS}
    if list(engine.columns) != content["columns"]:
        raise ValueError("other columns")
    data = parts["prices"]
    prices = Mechanistic(shrink=float(data["shrink"]))
    prices.coef_ = np.array(data["coef"], np.float64)
    prices.floor_ = float(data["floor"])
    prices.forest_ = None if data["forest"] is None else Forest.from_json(data["forest"])
    prices.n_features_in_ = len(engine.columns)
    spread = Forest.from_json(parts["spread"])
    process = PairProcess(**{name: float(value) for name, value in parts["process"].items()})
    calibrated = Calibrated(
        np.array(parts["calibrated"]["layer"], np.float64), np.array(parts["calibrated"]["network"], np.float64)
    )
    unit = np.array(parts["unit"], np.float64)
    numbers = (prices.coef_, unit, calibrated.layer, calibrated.network, process.variances)
    sound = (
        prices.coef_.shape == (len(engine.columns),)
        and all(bool(np.isfinite(array).all() and (array >= 0).all()) for array in numbers)
        and prices.floor_ > 0
        and unit.shape == (len(engine.columns) + 1,)
        and bool((unit > 0).all())
        and all(forest.features == len(engine.columns) + 1 for forest in (spread, prices.forest_) if forest is not None)
        and parts["calibrated"]["coverages"] == list(COVERAGES)
        and calibrated.layer.shape[0] == calibrated.network.shape[0] == len(COVERAGES)
    )
    if not sound:
        raise ValueError("numbers that do not fit each other")
    return LayerModel(engine, prices, process, unit, spread, calibrated, dict(target), str(content["corpus"]))


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
