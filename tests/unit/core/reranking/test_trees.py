"""Trees as masks: the same leaves as a walk down each tree, and the same bytes in any batch."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.reranking.trees import Conditions, TreesReranker
from stream_scorer.core.towers.reranker import Shortlisted
from stream_scorer.errors import BadModel
from tests import reranking_samples as samples


def all_scores() -> np.ndarray:
    trees = samples.trees()
    side = trees.offer_side(samples.OFFER_ROWS, samples.OFFER_IDS)
    return trees.scores(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS, samples.shortlisted(), side)


def test_each_pair_gets_its_leaves() -> None:
    # c1 is rich and its scores are below 0.3; it has taken jazz. c2 and the unknown one are not rich: prices decide.
    rich = [0.1 + 2.0, 0.1 - 0.25, 0.1 - 0.25]
    not_rich = [-1.0 - 0.25, 0.5 - 0.25, 0.5 - 0.25]
    np.testing.assert_allclose(all_scores(), [*rich, *not_rich, *not_rich], atol=1e-9)


def test_scores_do_not_depend_on_batches() -> None:
    trees, pairs = samples.trees(), samples.shortlisted()
    side = trees.offer_side(samples.OFFER_ROWS, samples.OFFER_IDS)
    part = Shortlisted(pairs.request[4:5], pairs.offer[4:5], pairs.score[4:5], pairs.rank[4:5])
    scores = trees.scores(samples.CUSTOMER_ROWS, samples.CUSTOMER_IDS, part, side)
    assert scores.tobytes() == all_scores()[4:5].tobytes()


def test_a_value_at_the_threshold_goes_left() -> None:
    trees = samples.trees()
    at_mean = [{"budget": 10.0}]  # encoded as 0.0, which is the threshold
    side = trees.offer_side([{"price": 4.0}], ["o1"])
    first = np.zeros(1, np.int64)
    scores = trees.scores(at_mean, [""], Shortlisted(first, first, np.ones(1), first + 1), side)
    assert scores.tolist() == [0.5 - 0.25]


def test_a_value_is_beyond_all_lower_thresholds() -> None:
    budgets = Conditions(
        np.zeros(2, np.int64), np.zeros(2, np.int64), np.array([0.0, 1.0]), np.array([6, 5], np.uint16)
    )
    trees = TreesReranker(samples.pair_inputs(), budgets, np.array([[1.0, 2.0, 3.0] + [0.0] * 13]))
    customers = [{"budget": 5.0}, {"budget": 15.0}, {"budget": 30.0}]  # encoded as -0.5, 0.5 and 2.0
    side = trees.offer_side([{}], [""])
    scores = trees.scores(customers, ["", "", ""], samples.shortlisted(3, 1), side)
    assert scores.tolist() == [1.0, 2.0, 3.0]


def conditions(**damage: object) -> Conditions:
    return replace(samples.trees().conditions, **damage)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unfit", "sentence"),
    [
        (conditions(tree=np.array([0, 0, 0, 2])), "a tree that is not there"),
        (conditions(feature=np.array([0, 2, 3, 10])), "a feature that is not there"),
        (conditions(threshold=np.zeros(3)), "equally long"),
    ],
)
def test_unfit_conditions_are_refused(unfit: Conditions, sentence: str) -> None:
    with pytest.raises(BadModel, match=sentence):
        TreesReranker(samples.pair_inputs(), unfit, samples.trees().leaves)


@pytest.mark.parametrize(
    "leaves", [np.zeros((2, 3)), np.zeros((0, 16)), np.full((2, 16), 1e7), np.full((2, 16), np.nan)]
)
def test_unfit_leaves_are_refused(leaves: np.ndarray) -> None:
    with pytest.raises(BadModel, match="lea"):
        replace(samples.trees(), leaves=leaves)
