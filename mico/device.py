"""Where networks are trained: on the CPU, where a seed decides the result, or on a GPU when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from mico.errors import UsageError

__all__ = ["device_of", "on_device"]


def device_of(asked: str | None = None) -> torch.device:
    """``cpu``, ``cuda``, or ``auto`` (CUDA where there is one); by default MICO_DEVICE, without it the CPU.

    Raises
    ------
    UsageError
        No such device.
    """
    name = asked or os.environ.get("MICO_DEVICE") or "cpu"
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"there is no device {name!r}", cure="auto, cpu or cuda (MICO_DEVICE)")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UsageError("torch finds no CUDA device", cure="MICO_DEVICE=auto trains on what there is")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def on_device(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Keep *model* on *device* meanwhile; its inputs and outputs stay on the CPU, so that who calls it need not know.

    Nothing happens where *device* is the CPU.
    """
    if device.type == "cpu":
        yield
        return

    def moved(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value.to(device) for value in inputs)

    def returned(_: nn.Module, __: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return output.cpu()

    hooks = [model.register_forward_pre_hook(moved), model.register_forward_hook(returned)]
    model.to(device)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        model.cpu()
