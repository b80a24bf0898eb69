"""The model beside trivial rankings, for all and for what is new."""

import numpy as np

from stream_scorer.core.held_out.judgement import Judgement, judge_rankings
from tests.unit.core.held_out.test_trivial import log, trivial


def judged(*, known_offers: int = 8, known_customers: int = 4) -> Judgement:
    made, questions = trivial(log(habits=True))
    customers, offers = np.arange(4) < known_customers, np.arange(8) < known_offers
    return judge_rankings(
        questions,
        lambda block: np.eye(8)[2 + questions.who[block]],
        made,
        known_customers=customers,
        known_offers=offers,
        k=2,
    )


def test_the_model_is_compared_pair_by_pair() -> None:
    found = judged().beside(2)["all"]
    assert (found.figure, found.customers, found.model) == ("nDCG@2", 4, 1.0)
    above = {one.name: one.model_above for one in found.trivial}
    assert above["the customer's own frequency"] == 0.0 < above["popularity"]


def test_groups_that_want_nothing_are_left_out() -> None:
    assert set(judged().beside(2)) == {"all"}


def test_new_customers_and_offers_stand_apart() -> None:
    found = judged(known_offers=4, known_customers=3).beside(2)
    assert {group: each.customers for group, each in found.items()} == {"all": 4, "new_customers": 1, "new_offers": 2}
