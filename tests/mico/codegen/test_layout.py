"""Memory layout of tensors and weights."""

from __future__ import annotations

import numpy as np
import pytest

from mico.codegen.c.layout import TensorLayout, pack_tensor, pack_weights, unpack_tensor, weight_row_words
from mico.errors import UsageError
from mico.quant.integer import Format

_FORMATS = [Format(bits, signed) for bits in (8, 4, 2, 1) for signed in (False, True)] + [Format(32, True)]


def _random(form: Format, shape: tuple[int, ...], seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(form.qmin, form.qmax + 1, shape)
    return np.where(values == 0, 1, values) if form.binary else values


@pytest.mark.parametrize("form", _FORMATS, ids=str)
def test_unpacking_gives_back_what_was_packed(form: Format) -> None:
    layout = TensorLayout((3, 5, 7), form)
    values = _random(form, layout.shape, seed=2)
    data = pack_tensor(values, layout)
    assert len(data) % 4 == 0
    np.testing.assert_array_equal(unpack_tensor(data, layout), values)


def test_element_0_lies_in_the_low_bits_and_channels_are_last() -> None:
    values = np.arange(8).reshape(2, 2, 2)  # (C, H, W)
    data = pack_tensor(values, TensorLayout((2, 2, 2), Format(4, False)))
    assert data == bytes([0x40, 0x51, 0x62, 0x73])


def test_minus_one_is_code_one() -> None:
    data = pack_tensor(np.array([-1, 1, 1, -1]), TensorLayout((4,), Format(1, True)))
    assert data == bytes([0b1001, 0, 0, 0])


def test_a_flattened_picture_is_read_in_channel_first_order() -> None:
    picture = np.arange(12).reshape(3, 2, 2)
    data = pack_tensor(picture, TensorLayout((3, 2, 2), Format(8, False)))
    order = tuple(np.arange(12).reshape(3, 2, 2).transpose(1, 2, 0).reshape(-1).tolist())
    flat = TensorLayout((12,), Format(8, False), order)
    np.testing.assert_array_equal(unpack_tensor(data, flat), np.arange(12))
    assert pack_tensor(np.arange(12), flat) == data


def test_rows_of_weights_are_interleaved_in_blocks_of_four_two_and_one() -> None:
    matrix = np.repeat(np.arange(7)[:, None], 8, axis=1)  # two words a row
    words = pack_weights(matrix, Format(8, True), activation_bits=8)
    rows = (words & 0xFF).tolist()
    assert rows == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 4, 5, 6, 6]


@pytest.mark.parametrize(("a", "w", "words"), [(8, 8, 7), (4, 8, 8), (1, 8, 8), (8, 1, 1), (1, 1, 1), (2, 4, 4)])
def test_rows_are_padded_to_a_word_of_the_narrower_operand(a: int, w: int, words: int) -> None:
    assert weight_row_words(25, a, w) == words


def test_values_outside_the_format_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit u4"):
        pack_tensor(np.array([16]), TensorLayout((1,), Format(4, False)))
    with pytest.raises(UsageError, match="cannot hold"):
        unpack_tensor(b"\0", TensorLayout((3,), Format(8, False)))
