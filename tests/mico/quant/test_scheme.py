"""Scheme: an immutable map from layer to bits with vector and JSON forms."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico.errors import UsageError
from mico.quant.scheme import BITS, LayerBits, Scheme

NAMES = ("conv1", "conv2", "fc")
SCHEMES = st.builds(
    lambda bits: Scheme({name: LayerBits(*pair) for name, pair in zip(NAMES, bits, strict=True)}),
    st.lists(st.tuples(st.sampled_from(BITS), st.sampled_from(BITS)), min_size=3, max_size=3),
)


@given(SCHEMES)
def test_vector_and_json_forms_come_back(scheme: Scheme) -> None:
    assert Scheme.from_vector(NAMES, scheme.vector()) == scheme
    assert Scheme.from_json(json.loads(json.dumps(scheme.to_json()))) == scheme
    assert hash(Scheme(dict(scheme))) == hash(scheme)
    assert scheme.min_bits == min(scheme.vector())


@given(SCHEMES, SCHEMES)
def test_digests_are_equal_exactly_when_schemes_are(a: Scheme, b: Scheme) -> None:
    assert (a.digest() == b.digest()) == (a == b)


def test_the_vector_holds_weight_bits_then_activation_bits() -> None:
    scheme = Scheme({"a": LayerBits(8, 4), "b": LayerBits(2, 1)})
    assert scheme.vector() == (8, 2, 4, 1)
    assert str(scheme) == "a:w8a4 b:w2a1"
    assert Scheme.uniform(("a", "b"), 4) == Scheme.uniform(["a", "b"], 4, 4)


def test_bits_and_forms_that_do_not_exist_are_refused() -> None:
    for weight, activation in ((3, 8), (8, 16), (0, 1)):
        with pytest.raises(UsageError, match="bits must be one of"):
            LayerBits(weight, activation)
    with pytest.raises(UsageError, match="has 4 entries, not 3"):
        Scheme.from_vector(("a", "b"), (8, 8, 8))
    for data in ({"a": {"w": 8}}, {"a": 8}, {"a": {"w": "x", "a": 8}}):
        with pytest.raises(UsageError, match="not a scheme"):
            Scheme.from_json(data)  # type: ignore[arg-type]
