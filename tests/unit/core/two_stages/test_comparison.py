"""Both stages compared within requests, on the same pairs."""

import numpy as np

from stream_scorer.core.datasets.training_set import EncodedSide
from stream_scorer.core.two_stages.comparison import compare, ndcg_by_request
from stream_scorer.core.two_stages.pairs import RequestPairs, joined

GROUP = np.repeat(np.arange(20), 4)
ACCEPTED = np.tile(np.array([0, 0, 1, 0], np.int8), 20)
SIDE = EncodedSide(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros((4, 1), np.float32), 0)


def pairs(accepted: np.ndarray = ACCEPTED) -> RequestPairs:
    offer = np.tile(np.arange(4), 20)
    score = np.tile([0.4, 0.3, 0.2, 0.1], 20)
    return RequestPairs(SIDE, SIDE, GROUP * 0, offer, GROUP, accepted, score, offer + 1, offer * 0)


def test_first_places_have_full_gain() -> None:
    group, scores = np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 2.0, 1.0])
    found = ndcg_by_request(group, scores, np.array([1, 0, 1, 0], np.int8))
    np.testing.assert_allclose(found, [1 / np.log2(3), 1.0])


def test_requests_with_one_label_are_left_out() -> None:
    accepted = np.array([1, 1, 0, 0], np.int8)
    assert len(ndcg_by_request(np.array([0, 0, 1, 1]), np.arange(4.0), accepted)) == 0


def test_a_better_order_is_above_the_towers() -> None:
    found = compare(pairs(), ACCEPTED.astype(np.float64))
    assert found is not None
    assert (found.requests, found.pairs) == (20, 80)
    assert found.ndcg.both.value == found.auc.both.value == 1.0
    assert found.ndcg.above.low > 0


def test_a_worse_order_is_below_the_towers() -> None:
    found = compare(pairs(), -ACCEPTED.astype(np.float64))
    assert found is not None
    assert found.ndcg.above.high < 0
    assert found.auc.above.high < 0


def test_nothing_to_compare_is_none() -> None:
    assert compare(pairs(np.zeros(80, np.int8)), ACCEPTED.astype(np.float64)) is None


def test_parts_join_with_requests_of_their_own() -> None:
    both = joined([pairs().of_groups(0, 2), pairs().of_groups(5, 7)])
    assert both.groups == 4
    assert both.group.tolist() == np.repeat(np.arange(4), 4).tolist()
