"""Random small torch networks and their random integer programs, by seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from mico.graph import Graph, Shape
from mico.quant.calibrate import calibrate
from mico.quant.integer import IntegerModel
from mico.quant.lower import lower
from mico.quant.scheme import BITS, LayerBits, Scheme
from mico.trace import trace


class RandomNet(nn.Module):
    """A fixed list of steps, drawn once: each reads earlier tensors and appends its own."""

    def __init__(self, rng: np.random.Generator, shape: Shape, depth: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        self.steps: list[tuple[str, tuple[int, ...]]] = []
        self.rng = rng
        shapes = [shape]
        for _ in range(depth):
            self._grow(shapes)
        self._finish(shapes)
        del self.rng

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tensors = [x]
        for (kind, sources), part in zip(self.steps, self.parts, strict=True):
            inputs = [tensors[i] for i in sources]
            if kind == "add":
                tensors.append(part(inputs[0] + inputs[1]))
            elif kind == "concat":
                tensors.append(part(torch.cat(inputs, dim=1)))
            else:
                tensors.append(part(inputs[0]))
        return tensors[-1]

    def _append(self, kind: str, sources: tuple[int, ...], part: nn.Module) -> None:
        self.steps.append((kind, sources))
        self.parts.append(part)

    def _relu(self) -> nn.Module:
        return nn.ReLU() if self.rng.random() < 0.6 else nn.Identity()

    def _grow(self, shapes: list[Shape]) -> None:
        rng, (c, h, w), last = self.rng, shapes[-1], len(shapes) - 1
        twins = [i for i, s in enumerate(shapes) if s == shapes[-1]]
        neighbours = [i for i, s in enumerate(shapes) if s[1:] == (h, w)]
        kind = rng.choice(["conv", "conv", "conv", "max_pool", "avg_pool", "add", "concat", "relu"])
        if kind == "add":
            self._append("add", (last, int(rng.choice(twins))), self._relu())
            shapes.append((c, h, w))
        elif kind == "concat":
            other = int(rng.choice(neighbours))
            self._append("concat", (last, other), self._relu())
            shapes.append((c + shapes[other][0], h, w))
        elif kind == "relu":
            self._append("one", (last,), nn.ReLU())
            shapes.append((c, h, w))
        else:
            part, channels = self._conv(c, h, w) if kind == "conv" else (self._pool(kind, h, w), c)
            self._append("one", (last,), part)
            with torch.no_grad():
                shapes.append(tuple(part.eval()(torch.zeros(1, c, h, w)).shape[1:]))
            assert shapes[-1][0] == channels

    def _conv(self, c: int, h: int, w: int) -> tuple[nn.Module, int]:
        rng = self.rng
        kernel = (int(rng.integers(1, min(5, h) + 1)), int(rng.integers(1, min(5, w) + 1)))
        padding = (int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1])))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
        channels = groups * int(rng.integers(1, max(2, 9 // groups)))
        conv = nn.Conv2d(c, channels, kernel, stride, padding, groups=groups, bias=bool(rng.random() < 0.7))
        norm = nn.BatchNorm2d(channels) if rng.random() < 0.4 else nn.Identity()
        return nn.Sequential(conv, norm, self._relu()), channels

    def _pool(self, kind: str, h: int, w: int) -> nn.Module:
        rng = self.rng
        kernel = (int(rng.integers(1, min(3, h) + 1)), int(rng.integers(1, min(3, w) + 1)))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        padding = (int(rng.integers(0, kernel[0] // 2 + 1)), int(rng.integers(0, kernel[1] // 2 + 1)))
        return (nn.MaxPool2d if kind == "max_pool" else nn.AvgPool2d)(kernel, stride, padding)

    def _finish(self, shapes: list[Shape]) -> None:
        (c, h, w), last, outputs = shapes[-1], len(shapes) - 1, int(self.rng.integers(1, 8))
        hidden = int(self.rng.integers(1, 20))
        ends = [
            nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, outputs)),
            nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, hidden), nn.ReLU(), nn.Linear(hidden, outputs)),
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, outputs)),
            nn.Sequential(nn.Conv2d(c, outputs, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        ]
        self._append("one", (last,), ends[int(self.rng.integers(len(ends)))])


def random_model(seed: int, depth: int = 4) -> tuple[nn.Module, Shape]:
    """A random network in evaluation mode and its input shape; the same for the same seed."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(4, 11)), int(rng.integers(4, 11)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = RandomNet(rng, shape, depth)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.weight, 0.3, 2)
                nn.init.normal_(part.bias, 0, 0.3)
    return module.eval(), shape


def random_scheme(graph: Graph, seed: int) -> Scheme:
    """Random bits for every layer."""
    rng = np.random.default_rng(seed)
    return Scheme({name: LayerBits(*(int(b) for b in rng.choice(BITS, 2))) for name in graph.layer_names})


def random_integer_model(seed: int, depth: int = 4) -> tuple[IntegerModel, np.ndarray]:
    """A random network lowered at random bits, with signed or unsigned input, and 4 inputs for it."""
    module, shape = random_model(seed, depth)
    graph = trace(module, shape, name=f"random{seed}")
    rng = np.random.default_rng(seed + 1)
    signed = bool(rng.integers(2))
    low, high, dtype = (-128, 128, np.int8) if signed else (0, 256, np.uint8)
    images = rng.integers(low, high, (20, *shape)).astype(dtype)
    calibration = calibrate(graph, images, input_scale=1 / 128 if signed else 1 / 255, input_signed=signed)
    return lower(graph, random_scheme(graph, seed), calibration), images[:4]
