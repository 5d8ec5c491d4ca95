"""A synthetic network that answers image by image: every scheme's accuracy, cost and probes are known at once.

Each operand's quantisation adds noise of its own to an image's margin, so accuracies have the fine structure of real
ones: near-additive in the large, decided by single images in the small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mico.search.base import Searcher, Space, Vectors

NAMES = ("c1", "c2", "f1", "f2")
MACS = (120_000, 240_000, 48_000, 10_000)


class Landscape:
    """A Probe, and the truth.

    Parameters
    ----------
    interaction
        Share of the noise that two narrow operands of one layer add together.
    """

    faithful = True

    def __init__(
        self,
        names: tuple[str, ...] = NAMES,
        macs: tuple[int, ...] = MACS,
        bits: tuple[int, ...] = (8, 4, 2),
        images: int = 1000,
        interaction: float = 0.3,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.space = Space(names, macs, bits, bits)
        self.images, self.interaction = images, interaction
        self.scale = np.exp(rng.normal(0.0, 0.8, size=2 * len(names)))
        self.base = rng.normal(5.0, 2.2, size=images)
        self.directions = rng.normal(size=(2 * len(names), max(bits) + 1, images))
        self.asked = 0  # forward samples

    def sigma(self, vectors: Vectors) -> NDArray[np.float64]:
        """Noise of every operand ``(n, 2 L)``."""
        return np.asarray(2.5 * self.scale * 2.0 ** -(np.asarray(vectors) - 1.0), dtype=np.float64)

    def truth(self, vectors: Vectors, images: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Margins ``(n, images)``."""
        vectors = np.asarray(vectors)
        pick = np.arange(self.images) if images is None else images
        noise = self.sigma(vectors)
        half = vectors.shape[1] // 2
        out = np.repeat(self.base[pick][None], len(vectors), axis=0)
        for entry in range(vectors.shape[1]):
            out += noise[:, entry, None] * self.directions[entry][vectors[:, entry]][:, pick]
        for layer in range(half):
            both = self.interaction * noise[:, layer] * noise[:, half + layer]
            first = self.directions[layer][vectors[:, layer]][:, pick]
            out -= both[:, None] * np.abs(first)
        return out

    def accuracy(self, vectors: Vectors) -> NDArray[np.float64]:
        parts = [(self.truth(chunk) > 0).mean(axis=1) for chunk in np.array_split(vectors, 1 + len(vectors) // 500)]
        return np.concatenate(parts)

    def divergence(self, vectors: Vectors, images: int = 128) -> NDArray[np.float64]:
        self.asked += len(vectors) * images
        noise = self.sigma(vectors)
        half = noise.shape[1] // 2
        both = self.interaction * (noise[:, :half] * noise[:, half:]).sum(axis=1)
        return np.asarray(0.01 * ((noise**2).sum(axis=1) + both), dtype=np.float64)

    def answers(self, vectors: Vectors, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        self.asked += len(vectors) * len(images)
        return np.asarray(self.truth(vectors, images) > 0, dtype=np.bool_)

    def margins(self) -> NDArray[np.float64]:
        return np.asarray(self.truth(self.space.corner(0)[None])[0], dtype=np.float64)

    def cycles(self, vectors: Vectors) -> NDArray[np.float64]:
        """Loads by the bits, products by the wider operand."""
        half = len(self.space.names)
        w, a = vectors[:, :half], vectors[:, half:]
        macs = np.array(self.space.macs)
        return np.asarray(5000 + (macs * (np.maximum(w, a) / 32 + 0.03 * w + 0.01 * a)).sum(axis=1), dtype=np.float64)

    @property
    def widest(self) -> float:
        return float(self.cycles(self.space.corner(0)[None])[0])

    def play(self, searcher: Searcher, evaluations: int) -> list[tuple[int, ...]]:
        """Ask, evaluate and tell so often; what was asked for."""
        asked = []
        for _ in range(evaluations):
            scheme = searcher.ask()
            vector = np.array([scheme.vector()])
            searcher.tell(scheme, float(self.accuracy(vector)[0]), int(self.cycles(vector)[0]))
            asked.append(scheme.vector())
        return asked
