"""From a Scheme to integers and their accuracy: PTQ where that is enough, training below, nothing trained twice."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from mico.cache import default_cache, write_whole
from mico.data import Dataset
from mico.device import device_of
from mico.errors import MicoError, UsageError
from mico.graph import Graph
from mico.models.recipe import Recipe
from mico.quant import fake, lower, qat
from mico.quant.calibrate import Calibration
from mico.quant.integer import IntegerModel
from mico.quant.scheme import Scheme
from mico.train import Progress, batches

__all__ = ["PTQ_BITS", "Evaluator", "Method", "Quantised"]

Method = Literal["ptq", "short-qat", "full-qat"]

PTQ_BITS = 4
"""Schemes with fewer bits than this anywhere are trained."""

SHORT_SHARE, FULL_SHARE = 1 / 20, 1 / 2
"""Steps of short and full training over those of the float network's training; measured, see README.md."""


_SHIFT = 1  # pixels of augmentation, at most


@dataclass(frozen=True)
class Quantised:
    """Integers of one scheme.

    Attributes
    ----------
    model
        The integers.
    method
        How they were made.
    seconds
        Wall time of the making; of a cached entry, that of its making then.
    cached
        Whether they came from the cache.
    """

    model: IntegerModel
    method: Method
    seconds: float
    cached: bool = False


class Evaluator:
    """Quantises one trained network by any scheme, and tells the accuracy of the result.

    Parameters
    ----------
    graph, calibration
        The trained float network and the scales of its tensors.
    dataset
        Its training split is trained on; a search asks for ``val``, a report once for ``test``.
    recipe
        The float network's: it sets the lengths of training.
    seed
        Of the training.
    cache_dir
        Folder of trained schemes, by default that of the float weights. Entries are keyed by everything that can change
        them and appear whole or not at all: a campaign that is killed repeats no training that had ended.
    progress
        Called while a training runs.
    """

    def __init__(
        self,
        graph: Graph,
        calibration: Calibration,
        dataset: Dataset,
        recipe: Recipe,
        seed: int = 0,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.graph, self.calibration, self.dataset = graph, calibration, dataset
        self.seed, self.progress = seed, progress
        self.cache_dir = default_cache() if cache_dir is None else cache_dir
        self.recipe = recipe
        self._shift = min(_SHIFT, recipe.shift)  # a network that never saw shifted images loses by them

    def steps(self, full: bool) -> int:
        """Optimiser steps of a short or a full training."""
        share = FULL_SHARE if full else SHORT_SHARE
        return max(1, round(share * self.recipe.steps(len(self.dataset.train))))

    def quantise(self, scheme: Scheme, full: bool = False) -> Quantised:
        """Integers for *scheme*: lowered directly at 4 bits and more, after a short training below, or the *full* one.

        Raises
        ------
        QuantError
            The scheme does not fit the network, or a layer could overflow.
        """
        if scheme.min_bits >= PTQ_BITS:
            started = time.perf_counter()
            model = lower.lower(self.graph, scheme, self.calibration)
            return Quantised(model, "ptq", time.perf_counter() - started)
        method: Method = "full-qat" if full else "short-qat"
        steps = self.steps(full)
        start = self._start(scheme, full)
        path = self.cache_dir / f"{method}-{self.graph.name}-{self._key(scheme, start, steps)[:32]}.npz"
        entry = _load(path)
        if entry is not None:
            return Quantised(entry[0], method, entry[1], cached=True)
        result = qat.finetune(
            self.graph,
            scheme,
            start,
            self.dataset,
            steps=steps,
            seed=self.seed,
            batch_size=self.recipe.batch_size,
            shift=self._shift,
            flip=self.recipe.flip,
            progress=self.progress,
        )
        _save(path, result.model, result.seconds)
        return Quantised(result.model, method, result.seconds)

    def accuracy(self, model: IntegerModel, split: str = "val", limit: int | None = None) -> float:
        """Share of *split* that the integers of *model* answer right; of its first *limit* images if that is given."""
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be at least 1, not {limit}")
        images, labels = self.dataset.split(split)
        answers = model.run(images[:limit]).argmax(axis=1)
        return float(np.mean(answers == labels[:limit]))

    def _start(self, scheme: Scheme, full: bool) -> Calibration:
        """Where training starts: with 1 bit everywhere, a full one at the nearest integers; measured, see README.md."""
        return replace(self.calibration, refined={}) if full and set(scheme.vector()) == {1} else self.calibration

    def _key(self, scheme: Scheme, start: Calibration, steps: int) -> str:
        """Hex SHA-256 of all that can change a training's result."""
        code = [inspect.getsource(item) for item in (fake, lower, qat, batches, Recipe)]
        parts = [_digest(self.graph), start.digest(), self.dataset.digest, scheme.digest()]
        numbers = [steps, self.seed, self.recipe.batch_size, self._shift, self.recipe.flip, device_of().type]
        return hashlib.sha256(json.dumps([code, parts, numbers, torch.__version__]).encode()).hexdigest()


def _digest(graph: Graph) -> str:
    """Hex SHA-256 of layers and weights."""
    digest = hashlib.sha256(repr((graph.name, graph.input_shape)).encode())
    for layer in graph.layers:
        digest.update(repr((layer.name, layer.kind, layer.inputs, sorted(layer.attrs.items()), layer.relu)).encode())
        for array in (layer.weight, layer.bias):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _save(path: Path, model: IntegerModel, seconds: float) -> None:
    """The model and, first, beside it how long it took and its digest: an entry without them does not count."""
    note = json.dumps({"digest": model.digest(), "seconds": seconds})
    write_whole(path.with_suffix(".json"), lambda scratch: scratch.write_text(note))
    write_whole(path, model.save)


def _load(path: Path) -> tuple[IntegerModel, float] | None:
    """Model and seconds; None where either file is missing, damaged or not of the other."""
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        model = IntegerModel.load(path)
        return (model, float(note["seconds"])) if model.digest() == note["digest"] else None
    except (OSError, ValueError, KeyError, TypeError, zlib.error, MicoError):
        return None
