"""Training is measured on tiny numbers: the figures mean nothing, but all are there."""

import numpy as np
import pytest

from stream_scorer.bench.train.costs import TrainingCost, bytes_per_row
from stream_scorer.bench.train.learning import Point, curves_of, learn
from stream_scorer.bench.train.plain_loop import train_plainly
from stream_scorer.bench.train.report import training_data, training_page

COSTS = [
    TrainingCost("train", 1_000, 4, 10.0, 0.008, 300.0),
    TrainingCost("train", 5_000, 4, 20.0, 0.018, 301.0),
    TrainingCost("plain", 5_000, 4, 5.0, 0.005, 200.0),
]
POINT = Point(rows=5_000, popularity=0.6, joint=0.78, separate=0.55, truth=0.8)


def test_a_row_costs_what_memory_grows_by() -> None:
    assert bytes_per_row(COSTS) == 2**20 / 4_000


def test_the_page_shows_each_figure() -> None:
    page = training_page({"cores": 2}, COSTS, [POINT])
    assert "train            5,000       4       250          0.90     301" in page
    assert "plain            5,000       4     1,000          0.25     200" in page
    assert "5,000       0.600   0.780     90%   0.550    -25%       0.800" in page


def test_the_data_state_the_share_reached() -> None:
    data = training_data({}, COSTS, [POINT])
    assert data["learning"][0]["joint_share"] == pytest.approx(0.9)
    assert data["training"][2]["rows_per_s"] == 1_000.0
    assert curves_of([POINT])["true odds"] == [0.8]


def test_the_truth_is_above_popularity() -> None:
    (point,) = learn([200], requests=2_000, say=lambda what: None)
    assert point.truth > point.popularity > 0.5


def test_the_plain_loop_learns_its_rows() -> None:
    customer, offer = np.repeat(np.arange(20), 10), np.tile(np.arange(10), 20)
    accepted = ((customer + offer) % 2 == 0).astype(np.float32)
    untrained, trained = (train_plainly(customer, offer, accepted, epochs=epochs, batch_rows=8) for epochs in (1, 30))
    assert trained < 0.7 * untrained
