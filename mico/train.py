"""Training of a float network by its recipe, and a cache of trained weights.

Inputs are pixels / 255: what a device sees as unsigned 8-bit integers with scale 1/255. Nothing here looks at the test
split.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from mico import models
from mico.cache import default_cache, write_whole
from mico.checkpoint import Checkpoint
from mico.data import Dataset, Split
from mico.device import device_of, on_device
from mico.errors import MeasurementError, UsageError
from mico.models.recipe import Recipe

__all__ = [
    "INPUT_SCALE",
    "Progress",
    "TrainResult",
    "accuracy",
    "batches",
    "one_thread",
    "train",
    "trained",
]

INPUT_SCALE = 1 / 255
"""Real value of one step of an 8-bit input."""

Progress = Callable[[int, int, float], None]
"""Called with the step that has ended, the number of steps, and the mean loss since the last call."""

_REPORT_EVERY = 50


@dataclass(frozen=True)
class TrainResult:
    """A trained network.

    Attributes
    ----------
    model
        In evaluation mode.
    accuracy_val
        Share of right answers on the validation split, float weights.
    seconds
        Wall time of the training since it was last started; of a cached network, that of its training then.
    steps
        Optimiser steps taken.
    cached
        Whether the weights came from the cache.
    key
        Hex SHA-256 of recipe, data, seed and code; empty for :func:`train`.
    """

    model: nn.Module
    accuracy_val: float
    seconds: float
    steps: int
    cached: bool = False
    key: str = ""


def batches(
    split: Split, batch_size: int, shift: int, rng: np.random.Generator, flip: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled batches: images / 255 ``(B, C, H, W)`` float32, labels ``(B,)`` int64.

    Every image is shifted by up to *shift* pixels in each direction and, with *flip*, every other one on average is
    mirrored left to right. A split smaller than a batch is one batch.
    """
    size = min(batch_size, len(split))
    height, width = split.images.shape[2:]
    padded = np.pad(split.images, ((0, 0), (0, 0), (shift, shift), (shift, shift)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    while True:
        order = rng.permutation(len(split))
        for start in range(0, len(order) - size + 1, size):
            index = order[start : start + size]
            rows, columns = rng.integers(0, 2 * shift + 1, (2, size))
            images = np.ascontiguousarray(windows[index, :, rows, columns])
            if flip:
                mirrored = rng.random(size) < 0.5
                images[mirrored] = images[mirrored, :, :, ::-1]
            yield to_input(images), torch.from_numpy(split.labels[index])


def to_input(images: NDArray[np.uint8]) -> Tensor:
    """Pixels / 255 as float32: what the network is trained on."""
    return torch.tensor(images).to(torch.float32) * INPUT_SCALE


def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    device: str | None = None,
) -> TrainResult:
    """Train *model* in place, on one thread: so a seed gives the same weights however many cores there are.

    Parameters
    ----------
    model
        Takes ``(N, C, H, W)`` in 0..1, gives ``(N, classes)`` logits.
    seed
        Of the order of images and of the augmentation; the weights are those that the model comes with.
    checkpoint
        Kept while training. Where it holds the state of this training, it goes on there, to the same weights.
    device
        As :func:`mico.device.device_of`: on a GPU, a seed does not decide the last digits. The result is on the CPU.

    Raises
    ------
    UsageError
        The network does not give one logit for every class.
    MeasurementError
        The loss became infinite or not a number.
    """
    with one_thread(), on_device(model, device_of(device)):
        return _train(model, dataset, recipe, seed, progress, checkpoint or Checkpoint(None))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch on one thread: sums are then formed in the same order everywhere, and small layers need no more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train(
    model: nn.Module, dataset: Dataset, recipe: Recipe, seed: int, progress: Progress | None, checkpoint: Checkpoint
) -> TrainResult:
    started = time.perf_counter()
    steps = recipe.steps(len(dataset.train))
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}], lr=recipe.lr
    )
    stream = batches(dataset.train, recipe.batch_size, recipe.shift, np.random.default_rng(seed), recipe.flip)
    # A third faster on a CPU.
    model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # dropout and the like
        done, total = checkpoint.restore(model, optimiser)
        since = done % _REPORT_EVERY
        for step in range(steps):
            x, y = next(stream)
            if step < done:
                continue  # the images that the kept state has seen
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr_at(step, steps)
            logits = model(x.contiguous(memory_format=torch.channels_last))
            if logits.shape != (len(y), dataset.classes):
                raise UsageError(
                    f"the network gives {tuple(logits.shape)}, not one of {dataset.classes} logits an image"
                )
            loss = functional.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, since = total + float(loss.detach()), since + 1
            if since == _REPORT_EVERY or step == steps - 1:
                if not np.isfinite(total):
                    raise MeasurementError(f"the loss is {total} at step {step}", cure="lower the recipe's lr")
                if progress is not None:
                    progress(step + 1, steps, total / since)
                total, since = 0.0, 0
            if checkpoint.due():
                checkpoint.save(step + 1, total, model, optimiser)
    model.eval()
    return TrainResult(model, accuracy(model, dataset.val), time.perf_counter() - started, steps)


def accuracy(model: nn.Module, split: Split, batch_size: int = 500) -> float:
    """Share of *split* that *model*, in float and in evaluation mode, answers right."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(split), batch_size):
            answers = model(to_input(split.images[start : start + batch_size])).argmax(1).numpy()
            right += int((answers == split.labels[start : start + batch_size]).sum())
    return right / len(split)


def trained(
    name: str,
    dataset: Dataset,
    seed: int = 0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
) -> TrainResult:
    """The zoo's network *name*, trained on *dataset*: from the cache where it is there, else trained and cached.

    Parameters
    ----------
    cache_dir
        Folder of the cache, by default :func:`default_cache`. Entries are written under another name and renamed, so a
        process that is killed leaves no half file behind; a training that is, goes on from its last checkpoint there.
        A damaged entry is trained again and replaced.
    recipe
        Instead of the network's own.
    """
    source = models.get(name)
    recipe = recipe or source.RECIPE
    folder = default_cache() if cache_dir is None else cache_dir
    model = source.build(seed)
    key = _key(source, model, dataset, recipe, seed)
    path = folder / f"{name}-{re.sub(r'[^A-Za-z0-9.]+', '-', dataset.name).strip('-')}-{key[:24]}.safetensors"
    entry = _load(path, key)
    if entry is not None:
        weights, meta = entry
        model.load_state_dict(weights)
        model.eval()
        return TrainResult(model, float(meta["accuracy_val"]), float(meta["seconds"]), int(meta["steps"]), True, key)
    checkpoint = Checkpoint(path.with_suffix(".checkpoint"), key)
    result = train(model, dataset, recipe, seed, progress, checkpoint)
    figures = {"accuracy_val": result.accuracy_val, "seconds": result.seconds, "steps": result.steps}
    _save(path, model.state_dict(), {"key": key, **{name: str(value) for name, value in figures.items()}})
    checkpoint.remove()
    return TrainResult(model, result.accuracy_val, result.seconds, result.steps, False, key)


def _key(source: models.ModelFile, model: nn.Module, dataset: Dataset, recipe: Recipe, seed: int) -> str:
    """What can change the weights: network, recipe, data, seed, the code of the training, torch's version."""
    files = sorted({source.__file__, inspect.getfile(type(model))})
    code = [
        *(Path(file).read_text() for file in files),
        *(inspect.getsource(item) for item in (Recipe, batches, _train)),
    ]
    parts = [*code, recipe.to_json(), dataset.digest, seed, torch.__version__]
    parts += [device.type] if (device := device_of()).type != "cpu" else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _save(path: Path, weights: dict[str, Tensor], meta: dict[str, str]) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_whole(path, lambda scratch: save_file(tensors, scratch, metadata=meta))


def _load(path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Weights and metadata of the entry at *path*; None where it is missing, damaged or of another key."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as entry:
            meta = dict(entry.metadata() or {})
            weights = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError):
        return None
    return (weights, meta) if meta.get("key") == key else None
