"""Rounding of weights that looks at what they are multiplied with.

A layer's output error is ``(W - Q) H (W - Q)^T`` for the second moments H of its inputs. Weights are rounded one input
after the other, and the error of each is made up for by those still to come, as in Frantar and Alistarh, "Optimal brain
compression" and "GPTQ", 2022. Groups of a convolution are worked on together, as a leading axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mico.quant.integer import Format
from mico.quant.lower import weight_scale

__all__ = ["Array", "Moments", "compensated", "fitting_scale", "nearest"]

Array = NDArray[np.float64]

_BLOCK = 1152  # inputs
_DAMPING = 0.01  # of the mean of H's diagonal: the images are few
_FACTORS = np.geomspace(0.6, 1.6, 16)  # around the scale of least squared error


@dataclass(frozen=True)
class _Block:
    """Inputs of one layer whose errors make up for each other.

    Attributes
    ----------
    where
        Among the inputs.
    second
        Their second moments ``(G, K, K)``.
    order
        In which they are rounded ``(G, K)``: first what is multiplied with large inputs.
    upper
        ``(G, K, K)``, in that order, with ``inverse(H) = U^T U``: row k says how an error at k moves the weights after.
    """

    where: slice
    second: Array
    order: NDArray[np.intp]
    upper: Array


class Moments:
    """Second moments H of a layer's inputs; of very many inputs only blocks on the diagonal.

    Parameters
    ----------
    rows
        Inputs ``(G, rows, K)``.
    """

    def __init__(self, rows: Array) -> None:
        self.blocks = [_block(rows, start) for start in range(0, rows.shape[2], _BLOCK)]

    def product(self, left: Array, right: Array) -> Array:
        """``left H right^T`` row by row: ``(G, O)`` for two of ``(G, O, K)``."""
        total = np.zeros(left.shape[:2])
        for block in self.blocks:
            total += (left[:, :, block.where] @ block.second * right[:, :, block.where]).sum(2)
        return total


def _block(rows: Array, start: int) -> _Block:
    where = slice(start, start + _BLOCK)
    part = rows[:, :, where]
    second = part.transpose(0, 2, 1) @ part / rows.shape[1]
    diagonal = np.einsum("gkk->gk", second)
    order = np.argsort(-diagonal, axis=1, kind="stable")
    damping = np.maximum(_DAMPING * diagonal.mean(axis=1), 1e-12)
    damped = second + np.eye(second.shape[1]) * damping[:, None, None]
    damped = np.take_along_axis(np.take_along_axis(damped, order[:, :, None], 1), order[:, None, :], 2)
    return _Block(where, second, order, np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1))


def nearest(weight: Array, scale: Array, bits: int) -> Array:
    """Integers next to ``weight / scale``, which broadcast; 1 bit: the sign."""
    if bits == 1:
        return np.where(weight >= 0, 1.0, -1.0)
    form = Format(bits, True)
    levels: Array = np.clip(np.floor(weight / scale + 0.5), form.qmin, form.qmax)
    return levels


def fitting_scale(weight: Array, moments: Moments, bits: int) -> Array:
    """Scales ``(G, O)`` of least output error where *weight* ``(G, O, K)`` is rounded to the nearest."""
    best = np.stack([weight_scale(rows, bits) for rows in weight])
    if bits == 1:
        signs = nearest(weight, best[:, :, None], 1)
        along, across = moments.product(weight, signs), moments.product(signs, signs)
        fitted: Array = best * np.clip(along / np.maximum(across, 1e-300) / best, 0.5, 2.0)  # signs alone may fit badly
        return fitted
    start, least = best, np.full(best.shape, np.inf)
    for factor in _FACTORS:
        scale = start * factor
        difference = nearest(weight, scale[:, :, None], bits) * scale[:, :, None] - weight
        error = moments.product(difference, difference)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return best


def compensated(weight: Array, moments: Moments, scale: Array, bits: int) -> NDArray[np.int8]:
    """Integers ``(G, O, K)`` of *weight* for *scale* ``(G, O)``."""
    result = np.empty(weight.shape, np.int8)
    for block in moments.blocks:
        left = np.take_along_axis(weight[:, :, block.where], block.order[:, None, :], 2)
        levels = np.empty(left.shape, np.int8)
        for k in range(left.shape[2]):
            level = nearest(left[:, :, k], scale, bits)
            levels[:, :, k] = level
            error = (left[:, :, k] - level * scale) / block.upper[:, k, k, None]
            left[:, :, k + 1 :] -= error[:, :, None] * block.upper[:, None, k, k + 1 :]
        back = np.argsort(block.order, axis=1, kind="stable")
        result[:, :, block.where] = np.take_along_axis(levels, back[:, None, :], 2)
    return result
