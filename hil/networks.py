"""A network named on the command line: from the zoo, or a class in a file of the user's; trained, or loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from mico import models, shipped
from mico.cache import default_cache
from mico.checkpoint import Checkpoint
from mico.data import Dataset
from mico.errors import UsageError
from mico.models.recipe import Recipe
from mico.train import Progress, train, trained

__all__ = ["Network", "load_network"]


@dataclass(frozen=True)
class Network:
    """A trained network and the recipe of its training."""

    name: str
    module: nn.Module
    recipe: Recipe


def load_network(
    spec: str, dataset: Dataset, *, seed: int = 0, weights: Path | None = None, progress: Progress | None = None
) -> Network:
    """The network *spec*, trained on *dataset* from *seed* or with the weights of a file.

    A network of the zoo takes the weights that come with the project where they were trained on *dataset* from *seed*.

    Parameters
    ----------
    spec
        Name in the zoo, or ``path.py:Class``: a class whose constructor takes no arguments. A ``RECIPE`` in that file
        sets its training, otherwise LeNet-5's is used.
    weights
        A state dict as safetensors; then nothing is trained.

    Raises
    ------
    UsageError
        No such network, file or class; the file does not run; weights of another network.
    """
    if ":" not in spec:
        source = models.get(spec)
        if weights is None:
            result = shipped.find(spec, dataset, seed) or trained(spec, dataset, seed, progress=progress)
            return Network(spec, result.model, source.RECIPE)
        module, recipe = source.build(seed), source.RECIPE
        return Network(spec, _with_weights(module, weights), recipe)
    path_text, _, class_name = spec.rpartition(":")
    path = Path(path_text)
    module, recipe = _own(path, class_name, seed)
    if weights is not None:
        return Network(class_name.lower(), _with_weights(module, weights), recipe)
    parts = [path.read_text(), class_name, recipe.to_json(), dataset.digest, seed, torch.__version__]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    cached = default_cache() / f"own-{class_name}-{key[:24]}.safetensors"
    if cached.exists():
        return Network(class_name.lower(), _with_weights(module, cached), recipe)
    checkpoint = Checkpoint(cached.with_suffix(".checkpoint"), key)
    train(module, dataset, recipe, seed, progress, checkpoint)
    cached.parent.mkdir(parents=True, exist_ok=True)
    scratch = cached.with_suffix(f".{os.getpid()}.part")
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, scratch)
    os.replace(scratch, cached)
    checkpoint.remove()
    return Network(class_name.lower(), module, recipe)


def _own(path: Path, class_name: str, seed: int) -> tuple[nn.Module, Recipe]:
    cure = "expected a name of the zoo or path.py:Class"
    if not path.is_file():
        raise UsageError("no such file", where=str(path), cure=cure)
    name = f"_mico_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError("not a Python file", where=str(path), cure=cure)
    source = importlib.util.module_from_spec(spec)
    sys.modules[name] = source
    try:
        spec.loader.exec_module(source)
        factory = getattr(source, class_name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = factory()
    except Exception as error:  # whatever the user's file does wrong, say it in the user's terms
        raise UsageError(f"cannot make {class_name}: {error!r}", where=str(path), cure=cure) from error
    if not isinstance(module, nn.Module):
        raise UsageError(f"{class_name}() is not a torch module", where=str(path), cure=cure)
    return module, getattr(source, "RECIPE", models.get("lenet5").RECIPE)


def _with_weights(module: nn.Module, path: Path) -> nn.Module:
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UsageError(
            f"cannot load the weights: {error}", where=str(path), cure="a state dict of this network as safetensors"
        ) from error
    return module.eval()
