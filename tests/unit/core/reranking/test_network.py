"""The network's forward pass: by hand, and the same bytes whatever batch a pair is in."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.towers.reranker import Shortlisted
from stream_scorer.errors import BadModel
from tests import reranking_samples as samples


def all_scores() -> np.ndarray:
    network = samples.network()
    side = network.offer_side(samples.OFFER_ROWS, samples.OFFER_IDS)
    return network.scores(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS, samples.shortlisted(), side)


def by_hand(request: int, offer: int) -> float:
    network, pairs = samples.network(), samples.shortlisted()
    mine = samples.CUSTOMERS.encode(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS)
    theirs = samples.OFFERS.encode(samples.OFFER_ROWS, samples.OFFER_IDS)
    side = network.offers_of(theirs)
    row = network.inputs.columns(mine, side, pairs)[3 * request + offer]
    first = network.customer_half.outputs(mine)[request] + network.offer_half.outputs(theirs)[offer]
    first = first + network.pair @ row
    hidden = np.concatenate([first[:2] * first[2:4], np.maximum(first[4:7], 0.0)])
    inner, last = network.layers
    hidden = np.maximum(inner.weight @ hidden + inner.bias, 0.0)
    return float(last.weight[0] @ hidden + last.bias[0] + first[7])


def test_scores_are_those_by_hand() -> None:
    expected = [by_hand(request, offer) for request in range(3) for offer in range(3)]
    np.testing.assert_allclose(all_scores(), expected, rtol=1e-12)


def test_scores_do_not_depend_on_batches() -> None:
    network, pairs = samples.network(), samples.shortlisted()
    side = network.offer_side(samples.OFFER_ROWS[1:2], ["o2"])
    first = np.zeros(1, np.int64)
    alone = Shortlisted(first, first, pairs.score[4:5], pairs.rank[4:5])
    scores = network.scores(samples.CUSTOMER_ROWS[1:2], ["c2"], alone, side)
    assert scores.tobytes() == all_scores()[4:5].tobytes()


def test_scores_do_not_depend_on_blocks() -> None:
    network, many = samples.network(), samples.shortlisted()
    side = network.offer_side(samples.OFFER_ROWS, samples.OFFER_IDS)
    times = 20_000
    pairs = Shortlisted(
        np.tile(many.request, times), np.tile(many.offer, times), np.tile(many.score, times), np.tile(many.rank, times)
    )
    scores = network.scores(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS, pairs, side).reshape(times, -1)
    assert (scores == all_scores()).all()


def test_no_pairs_give_no_scores() -> None:
    network = samples.network()
    side = network.offer_side(samples.OFFER_ROWS, samples.OFFER_IDS)
    assert network.scores([], [], samples.shortlisted(0), side).shape == (0,)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ({"pair": np.zeros((8, 5))}, "do not fit"),
        ({"crossed": 4}, "products"),
        ({"crossed": -1}, "products"),
        ({"crossed": 1}, "layer 0"),
        ({"layers": samples.network().layers[:1]}, "one unit"),
    ],
)
def test_unfit_parts_are_refused(damage: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadModel, match=sentence):
        replace(samples.network(), **damage)  # type: ignore[arg-type]
