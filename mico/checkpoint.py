"""Checkpoint of a training under way: network, optimiser and random state, as safetensors and not as pickle."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from mico.cache import write_whole

__all__ = ["Checkpoint"]


class Checkpoint:
    """One file that a training writes now and then, and reads when it starts again.

    Parameters
    ----------
    path
        The file; None for no checkpoints.
    key
        What the training is: a file with another key is not read.
    every_s
        Seconds between two writes.
    """

    def __init__(self, path: Path | None, key: str = "", every_s: float = 30.0) -> None:
        self.path, self.key, self.every_s = path, key, every_s
        self._written = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to :meth:`save`."""
        return self.path is not None and time.monotonic() - self._written >= self.every_s

    def save(self, step: int, loss: float, model: nn.Module, optimiser: Optimizer) -> None:
        """Keep the state after *step* steps; *loss* is the sum since the last report."""
        assert self.path is not None
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
        tensors["random"] = torch.get_rng_state()
        tensors = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        notes = {"key": self.key, "step": str(step), "loss": repr(loss)}
        write_whole(self.path, lambda scratch: save_file(tensors, scratch, metadata=notes))
        self._written = time.monotonic()

    def restore(self, model: nn.Module, optimiser: Optimizer) -> tuple[int, float]:
        """Bring both to the kept state; steps taken and sum of the loss: (0, 0.0) and no change where there is none.

        A file that is damaged, or of another training, counts as none.
        """
        if self.path is None or not self.path.is_file():
            return 0, 0.0
        try:
            with safe_open(self.path, "pt") as file:
                notes = dict(file.metadata() or {})
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return 0, 0.0
        if notes.get("key") != self.key:
            return 0, 0.0
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, index, item = name.split(".", 2)
                states.setdefault(int(index), {})[item] = tensor
        model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
        optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random"])
        return int(notes["step"]), float(notes["loss"])

    def remove(self) -> None:
        """Delete the file: the training has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
