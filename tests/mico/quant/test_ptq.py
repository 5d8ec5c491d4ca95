"""PTQ of a trained LeNet-5 on real images keeps its accuracy at 8 and 4 bits. Seed 0."""

from __future__ import annotations

import pytest

from mico import data
from mico.data import Dataset
from mico.errors import MicoError
from mico.graph import Graph
from mico.quant.calibrate import Calibration, calibrate
from mico.quant.lower import lower
from mico.quant.scheme import Scheme
from mico.trace import trace
from mico.train import trained

Prepared = tuple[Graph, Calibration, Dataset, float]


@pytest.fixture(scope="module")
def lenet5() -> Prepared:
    try:
        dataset = data.load("mnist")
    except MicoError as error:
        pytest.skip(f"needs MNIST: {error}")
    result = trained("lenet5", dataset, seed=0)
    graph = trace(result.model, dataset.input_shape)
    return graph, calibrate(graph, dataset.calibration), dataset, 100 * result.accuracy_val


@pytest.mark.slow  # trains the network where its weights are not cached
@pytest.mark.parametrize(("weight", "activation", "points"), [(8, 8, 0.1), (8, 4, 0.5), (4, 8, 0.5), (4, 4, 0.5)])
def test_accuracy_stays_within_points_of_float(lenet5: Prepared, weight: int, activation: int, points: float) -> None:
    graph, calibration, dataset, float_accuracy = lenet5
    model = lower(graph, Scheme.uniform(graph.layer_names, weight, activation), calibration)
    right = model.run(dataset.val.images).argmax(axis=1) == dataset.val.labels
    assert 100 * right.mean() >= float_accuracy - points
