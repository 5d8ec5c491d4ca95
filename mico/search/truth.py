"""Every scheme of a small network, evaluated: what searchers are compared on, exactly and without waiting."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mico.cache import write_whole
from mico.errors import UsageError
from mico.search.base import Space

__all__ = ["DIVERGENCE_IMAGES", "FORMAT", "TableProbe", "TruthTable"]

Vectors = NDArray[np.int64]

FORMAT = "mico-truth-1"

DIVERGENCE_IMAGES = 128
"""Calibration images of the first column of ``divergence``; the second has all of them."""

_CURE = "delete it; `mico table` makes it again"


@dataclass(frozen=True, eq=False)
class TruthTable:
    """Accuracy, divergence and cycles of all S schemes of a Space, and how every image fared under each.

    Schemes are in the order of ``itertools.product`` over ``Space.choices``: all weights first, the last entry fastest.

    Attributes
    ----------
    meta
        ``model``, ``dataset``, ``digest`` (of network, data, calibration and integers), ``images`` (N), ``classes``,
        ``names`` and ``macs`` of the layers, ``weight_bits``, ``activation_bits``, ``seconds`` of processor time.
    correct
        Packed bits ``(S, ceil(N / 8))``, uint8, first image in the highest bit: validation images answered right.
    divergence
        ``(S, 2)`` float32: mean KL of the integers' answers from the float network's, on
        :data:`DIVERGENCE_IMAGES`, evenly spaced, and on all calibration images.
    margin
        ``(N,)`` float32: largest minus second-largest logit of the widest scheme, negative where it is wrong.
    totals
        ``(S,)`` int64 cycles of an inference by target.
    parts
        By target, what they are sums of: rows ``(layer, weight, activation, input, output bits, cycles)``, int64;
        ``layer`` counts all layers of the graph (``meta["layers"]``), -1 is what lies between them.
    """

    meta: Mapping[str, Any]
    correct: NDArray[np.uint8]
    divergence: NDArray[np.float32]
    margin: NDArray[np.float32]
    totals: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    parts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size, images = self.space.size, self.images
        wanted: dict[str, tuple[NDArray[Any], type[np.generic], tuple[int, ...]]] = {
            "correct": (self.correct, np.uint8, (size, -(-images // 8))),
            "divergence": (self.divergence, np.float32, (size, 2)),
            "margin": (self.margin, np.float32, (images,)),
            **{f"cycles_{name}": (cycles, np.int64, (size,)) for name, cycles in self.totals.items()},
        }
        for name, (array, dtype, shape) in wanted.items():
            if array.dtype != dtype or array.shape != shape:
                raise UsageError(f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}", cure=_CURE)

    @classmethod
    def load(cls, path: str | Path) -> TruthTable:
        """Read what :meth:`save` wrote.

        Raises
        ------
        UsageError
            There is no such file, it is damaged, or it is something else.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(str(arrays.pop("meta")))
            if meta["format"] != FORMAT:
                raise ValueError(f"format {meta['format']!r}, expected {FORMAT!r}")
            correct, divergence, margin = (arrays.pop(name) for name in ("correct", "divergence", "margin"))
            totals = {name.removeprefix("cycles_"): a for name, a in arrays.items() if name.startswith("cycles_")}
            layers = {name.removeprefix("layer_cycles_"): a for name, a in arrays.items() if name.startswith("layer_")}
            return cls(meta, correct, divergence, margin, totals, layers)
        except FileNotFoundError as error:
            raise UsageError("there is no such table", where=str(path), cure="`mico table` makes it") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error, UsageError) as error:
            raise UsageError(f"not a table of all schemes: {error}", where=str(path), cure=_CURE) from error

    def save(self, path: str | Path) -> None:
        """Write to *path*, an npz without pickle: the file appears whole or not at all."""
        arrays: dict[str, Any] = {"meta": np.array(json.dumps({**self.meta, "format": FORMAT}, sort_keys=True))}
        arrays |= {"correct": self.correct, "divergence": self.divergence, "margin": self.margin}
        arrays |= {f"cycles_{name}": cycles for name, cycles in self.totals.items()}
        arrays |= {f"layer_cycles_{name}": rows for name, rows in self.parts.items()}

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)

        write_whole(Path(path), write)
        Path(path).chmod(0o644)

    @property
    def images(self) -> int:
        """N, of the validation split."""
        return int(self.meta["images"])

    @cached_property
    def space(self) -> Space:
        meta = self.meta
        bits = [tuple(int(b) for b in meta[name]) for name in ("weight_bits", "activation_bits")]
        return Space(tuple(meta["names"]), tuple(int(m) for m in meta["macs"]), *bits)

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of the validation images answered right, ``(S,)``."""
        right: NDArray[np.int64] = np.bitwise_count(self.correct).sum(axis=1, dtype=np.int64)
        return right / self.images

    def index(self, vectors: Vectors) -> NDArray[np.int64]:
        """Rows ``(n,)`` of the schemes ``(n, 2 L)``; UsageError for a scheme that is not of the space."""
        vectors = np.asarray(vectors, dtype=np.int64)
        choices = self.space.choices
        if vectors.ndim != 2 or vectors.shape[1] != len(choices):
            raise UsageError(f"schemes are (n, {len(choices)}), not {vectors.shape}")
        result = np.zeros(len(vectors), dtype=np.int64)
        for i, bits in enumerate(choices):
            matches = vectors[:, i, None] == np.array(bits)
            if not matches.any(axis=1).all():
                raise UsageError(f"a scheme has other bits than {bits}", where="truth table")
            result = result * len(bits) + matches.argmax(axis=1)
        return result

    def vectors(self, index: NDArray[np.int64]) -> Vectors:
        """Schemes ``(n, 2 L)`` of the rows *index* ``(n,)``: the inverse of :meth:`index`."""
        choices = self.space.choices
        places = np.unravel_index(np.asarray(index, dtype=np.int64), [len(bits) for bits in choices])
        return np.stack([np.array(bits)[place] for bits, place in zip(choices, places, strict=True)], axis=1)

    def answers(self, index: NDArray[np.int64], images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the schemes *index* ``(n,)`` answer the validation *images* right: ``(n, len(images))``."""
        images = np.asarray(images, dtype=np.int64)
        if len(images) and (images.min() < 0 or images.max() >= self.images):
            raise UsageError(f"validation images are 0 to {self.images - 1}")
        columns = self.correct[np.asarray(index, dtype=np.int64)[:, None], images[None, :] >> 3]
        bits: NDArray[np.bool_] = (columns >> (7 - (images & 7)).astype(np.uint8) & 1).astype(np.bool_)
        return bits

    def cycles(self, target: str) -> NDArray[np.int64]:
        """Cycles ``(S,)`` of an inference on *target*."""
        if target not in self.totals:
            known = ", ".join(self.totals) or "none"
            raise UsageError(f"no cycles of {target!r}, there are: {known}", cure="`mico table --target`")
        return self.totals[target]

    def bops(self) -> NDArray[np.int64]:
        """Bit operations ``(S,)``: sum over the layers of MACs * weight bits * activation bits."""
        space = self.space
        vectors = self.vectors(np.arange(space.size))
        half = len(space.names)
        total: NDArray[np.int64] = (vectors[:, :half] * vectors[:, half:]) @ np.array(space.macs, dtype=np.int64)
        return total

    def probe(self) -> TableProbe:
        """What a searcher may ask of this network, looked up: a :class:`mico.search.base.Probe`."""
        return TableProbe(self)


class TableProbe:
    """:class:`mico.search.base.Probe` of a truth table."""

    def __init__(self, table: TruthTable) -> None:
        self.table = table
        self.images = table.images
        self.faithful = True

    def divergence(self, vectors: Vectors, images: int = DIVERGENCE_IMAGES) -> NDArray[np.float64]:
        """Mean KL to the float network ``(n,)`` on :data:`DIVERGENCE_IMAGES`, or all, calibration images."""
        columns = {DIVERGENCE_IMAGES: 0, int(self.table.meta["calibration_images"]): 1}
        if images not in columns:
            raise UsageError(f"the table knows the divergence on {sorted(columns)} images, not on {images}")
        column = self.table.divergence[:, columns[images]]
        return column[self.table.index(vectors)].astype(np.float64)

    def answers(self, vectors: Vectors, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        return self.table.answers(self.table.index(vectors), images)

    def margins(self) -> NDArray[np.float64]:
        return self.table.margin.astype(np.float64)
