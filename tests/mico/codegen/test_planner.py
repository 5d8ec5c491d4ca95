"""Buffer plans: nothing overlaps, the bound is right, the same buffers give the same plan."""

from __future__ import annotations

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from mico.codegen.planner import Buffer, plan

_BUFFERS = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=14).map(
    lambda items: [Buffer(f"b{i}", size, first, first + life) for i, (size, first, life) in enumerate(items)]
)


@seed(1)
@settings(max_examples=150, deadline=None)
@given(_BUFFERS)
def test_buffers_that_live_together_do_not_overlap(buffers: list[Buffer]) -> None:
    result = plan(buffers)
    for i, a in enumerate(buffers):
        start, end = result.offsets[a.name], result.offsets[a.name] + a.size
        assert start % 4 == 0
        assert end <= result.peak
        for b in buffers[:i]:
            other = result.offsets[b.name]
            assert not a.overlaps(b) or end <= other or other + b.size <= start
    steps = range(max(b.last for b in buffers) + 1)
    live = [sum(-(-b.size // 4) * 4 for b in buffers if b.first <= step <= b.last) for step in steps]
    assert result.lower_bound == max(live) <= result.peak
    assert plan(buffers) == result


def test_a_chain_reaches_the_lower_bound() -> None:
    sizes = [784, 4704, 1176, 1600, 400, 120, 84, 40]
    buffers = [Buffer(f"t{i}", size, i, i + 1) for i, size in enumerate(sizes)]
    result = plan(buffers)
    assert result.peak == result.lower_bound == 4704 + 1176


def test_an_order_that_first_placement_misses_is_found() -> None:
    # By size alone the two middle buffers end up apart and the last one on top.
    buffers = [
        Buffer("a", 8, 0, 1),
        Buffer("b", 12, 1, 2),
        Buffer("c", 8, 2, 3),
        Buffer("d", 12, 3, 4),
        Buffer("e", 4, 0, 4),
    ]
    result = plan(buffers)
    assert result.peak == result.lower_bound == 24
