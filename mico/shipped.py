"""Trained weights that come with the project: ``models/weights/NAME-DATASET.safetensors`` with a JSON beside each.

``python -m mico.shipped resnet8 --dataset cifar10`` makes an entry. An entry is used where network, recipe, seed and
dataset are those that it was made with; the dataset is told by its name and all labels in their order, so that decoding
the same images with another library changes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mico import models
from mico.cache import write_whole
from mico.data import Dataset, load
from mico.errors import UsageError
from mico.models.recipe import Recipe
from mico.train import TrainResult, accuracy, trained

__all__ = ["FOLDER", "LARGEST_BYTES", "find", "keep"]

FOLDER = Path(models.__file__).parent / "weights"

LARGEST_BYTES = 2_000_000
"""No larger file of weights is kept in the repository."""


def find(
    name: str, dataset: Dataset, seed: int = 0, recipe: Recipe | None = None, folder: Path = FOLDER
) -> TrainResult | None:
    """The zoo's network *name* with weights that came with the project, or None where there are none that match.

    Raises
    ------
    UsageError
        There is a matching entry, but its weights are damaged, changed, or of another network.
    """
    path = _path(name, dataset, folder)
    note_path = path.with_suffix(".json")
    if not note_path.is_file():
        return None
    try:
        note = json.loads(note_path.read_text())
        wanted = _identity(name, dataset, seed, recipe or models.get(name).RECIPE)
        if {key: note[key] for key in wanted} != wanted:
            return None
        if hashlib.sha256(path.read_bytes()).hexdigest() != note["sha256"]:
            raise ValueError("the checksum is wrong")
        model = models.get(name).build(seed)
        model.load_state_dict(load_file(path))
        figures = note["accuracy_val"], note["seconds"], note["steps"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"cannot use the weights: {error}", where=str(path), cure="restore the file, or delete it and its JSON"
        ) from error
    return TrainResult(model.eval(), float(figures[0]), float(figures[1]), int(figures[2]), cached=True)


def keep(name: str, dataset: Dataset, seed: int, command: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Train the network, unless it is cached, and write its entry; returns what the JSON says.

    Raises
    ------
    UsageError
        The weights need more than :data:`LARGEST_BYTES`.
    """
    result = trained(name, dataset, seed, progress=_show)
    path = _path(name, dataset, folder)
    tensors = {key: tensor.contiguous() for key, tensor in result.model.state_dict().items()}
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > LARGEST_BYTES:
        raise UsageError(f"{size} bytes of weights are too many for the repository", where=name)
    write_whole(path, lambda scratch: save_file(tensors, scratch))
    path.chmod(0o644)
    note = {
        **_identity(name, dataset, seed, models.get(name).RECIPE),
        "command": command,
        "dataset_digest": dataset.digest,
        "accuracy_val": result.accuracy_val,
        "accuracy_test": accuracy(result.model, dataset.test),
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "torch": torch.__version__,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(note, indent=2) + "\n")
    return note


def _identity(name: str, dataset: Dataset, seed: int, recipe: Recipe) -> dict[str, Any]:
    """What must agree for weights to be used."""
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.val, dataset.test):
        digest.update(np.ascontiguousarray(split.labels.astype("<i8")).data)
    return {
        "network": name,
        "dataset": dataset.name,
        "labels_sha256": digest.hexdigest(),
        "seed": seed,
        "recipe": recipe.to_json(),
    }


def _path(name: str, dataset: Dataset, folder: Path) -> Path:
    data = re.sub(r"[^a-z0-9]+", "-", dataset.name.lower()).strip("-")
    return folder / f"{name}-{data}.safetensors"


def _show(step: int, steps: int, loss: float) -> None:
    print(f"\rstep {step} of {steps}, loss {loss:.3f}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Make one entry."""
    parser = argparse.ArgumentParser(description="train a network of the zoo and keep its weights in the repository")
    parser.add_argument("network", choices=models.NAMES)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    command = f"python -m mico.shipped {given.network} --dataset {given.dataset} --seed {given.seed}"
    print(json.dumps(keep(given.network, load(given.dataset), given.seed, command), indent=2))


if __name__ == "__main__":
    main()
