"""What to measure next, and what a measured pair says of the others."""

from __future__ import annotations

import numpy as np
import pytest

from mico.errors import UsageError
from mico.latency.active import next_scheme, spread_pairs
from mico.latency.corpus import corpus_graph
from mico.latency.correction import Cells, PairProcess
from mico.latency.model import LayerModel
from mico.latency.network import NetworkLatency
from mico.quant.scheme import BITS, LayerBits
from tests.mico.latency.test_network import network, run

PAIRS = np.array([(w, a, a) for w in BITS for a in BITS])


def test_a_measured_pair_is_known_and_its_neighbours_better_than_before() -> None:
    process = PairProcess()
    known = Cells(np.zeros(1, np.int64), PAIRS[:1])
    belief = process.posterior(known, np.array([0.2]), Cells(np.zeros(16, np.int64), PAIRS))
    assert belief.mean[0] == pytest.approx(0.2, rel=0.01)
    assert belief.sd[0] < 0.02
    assert np.all(np.diff(belief.sd[[0, 1, 2, 3]]) > 0)  # the farther, the less is known
    assert np.all(belief.sd[1:] < process.prior_sd())
    other = process.posterior(known, np.array([0.2]), Cells(np.ones(16, np.int64), PAIRS))
    assert np.all(other.mean == 0)


def test_a_layer_that_was_farther_off_is_believed_to_be_farther_off_elsewhere() -> None:
    process = PairProcess()
    known, at = Cells(np.zeros(3, np.int64), PAIRS[[0, 5, 10]]), Cells(np.zeros(1, np.int64), PAIRS[15:])
    near, far = (process.posterior(known, np.array([e, -e, e]), at).sd[0] for e in (0.01, 1.0))
    assert far > 3 * near


def test_variances_are_found_again() -> None:
    rng, true = np.random.default_rng(1), PairProcess(0.5, 0.3, 0.01, 0.01, 0.01, 0.05)
    cells = Cells(np.zeros(16, np.int64), PAIRS)
    factor = np.linalg.cholesky(true.kernel(cells.bits, cells.bits) + true.noise * np.eye(16))
    errors = [factor @ rng.normal(size=16) for _ in range(60)]
    found = PairProcess.fit([PAIRS] * 60, errors)
    assert found.shared > 10 * found.activation
    assert found.weight > 5 * found.activation


def test_pairs_to_measure_are_spread_and_never_repeated() -> None:
    chosen = spread_pairs(PairProcess(), 5)
    assert len(set(chosen)) == 5
    assert {w for w, _ in chosen} >= {8, 1} or {a for _, a in chosen} >= {8, 1}


def test_profiling_ends_when_every_layer_was_measured_at_all_pairs() -> None:
    graph = network()
    latency = NetworkLatency(graph)
    seen: set[tuple[str, LayerBits]] = set()
    widths = (8, 2)
    for count in range(5):
        scheme = next_scheme(latency, widths, widths)
        if scheme is None:
            break
        assert count < 4
        fresh = {(name, bits) for name, bits in scheme.items()}
        assert not fresh & seen  # every layer at a pair that it was not measured at
        seen |= fresh
        latency.observe(scheme, run(graph, scheme))
    else:
        pytest.fail("it goes on after all four pairs")
    assert len(seen) == 4 * len(graph.quantisable)
    with pytest.raises(UsageError, match="no widths"):
        next_scheme(latency, ())


def test_layers_of_one_shape_share_the_work(soc_model: LayerModel) -> None:
    """ResNet-8's first stage has two convolutions of one shape: measured at two pairs by one program."""
    latency = NetworkLatency(corpus_graph("resnet8"), model=soc_model)
    scheme = next_scheme(latency)
    assert scheme is not None
    assert scheme["stage1_conv1"] != scheme["stage1_conv2"]
