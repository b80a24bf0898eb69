"""Which questions held-out rows ask: each request by its own features, and repeats as the log has them."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import TrainingSet, build_training_set
from stream_scorer.core.features.spec import Category, FeatureSpec
from stream_scorer.core.held_out.questions import Questions, accepted_pairs, ask, by_customer, quality, rank
from stream_scorer.core.messages import Offer
from tests.example_samples import Chunks, chunk

OFFERS = [Offer(offer_id=f"o{number}", features={}) for number in range(4)]
NONE = FeatureSpec("offer", ())


def log(*rows: tuple[int, int, int]) -> TrainingSet:
    """Rows (customer, hour, offer), all accepted, in order of time; the spec reads the hour alone."""
    customers = Views([f"c{one}" for one, _, _ in rows], [{"hour": f"h{hour}"} for _, hour, _ in rows])
    offers = Views([offer.offer_id for offer in OFFERS], [{}] * 4)
    drawn = chunk(customers, offers, [(place, offer, 1) for place, (_, _, offer) in enumerate(rows)])
    return build_training_set(
        Chunks((drawn,)), OFFERS, FeatureSpec("customer", (Category("hour", ("h0", "h1")),)), NONE
    )


def asked(data: TrainingSet, first: int, scores_max: int = 10**8) -> Questions:
    learned, rows = np.arange(first), np.arange(first, len(data))
    return ask(data, accepted_pairs(data, learned), rows, scores_max=scores_max)


def test_without_repeats_known_offers_are_left_out() -> None:
    found = asked(log((0, 0, 0), (0, 0, 1), (0, 0, 2)), 1)
    assert (len(found), found.repeats, found.repeating) == (1, 0.0, False)
    assert found.wanted.offer.tolist() == [1, 2]
    assert found.left_out.offer.tolist() == [0]


def test_with_repeats_each_request_is_a_question() -> None:
    found = asked(log((0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 1)), 1)
    assert len(found) == 3
    assert found.repeats == pytest.approx(2 / 3)
    assert found.wanted.offer.tolist() == [0, 0, 1]
    assert len(found.left_out.offer) == 0


def test_requests_of_other_features_are_other_questions() -> None:
    found = asked(log((0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 0, 3)), 1)
    assert (found.view.tolist(), found.who.tolist()) == ([0, 1, 0], [0, 0, 1])
    assert found.left_out.customer.tolist() == [0, 1]


def test_several_accepted_offers_make_one_question() -> None:
    data = log((0, 0, 0), (0, 0, 0), (0, 0, 1))
    together = replace(data, request=np.array([0, 1, 1], np.int32))
    assert asked(together, 1).wanted.customer.tolist() == [0, 0]


def test_unwanted_known_rows_never_come_first() -> None:
    found = asked(log((0, 0, 0), (0, 0, 1), (0, 0, 2)), 1)
    tops = rank(found, lambda block: np.array([[9.0, 1.0, 2.0, 3.0]]), 3)
    assert tops.tolist() == [[3, 2, 1]]
    assert quality(found, tops).recall.tolist() == [1.0]


def test_unrankable_offers_are_not_wanted() -> None:
    data = log((0, 0, 0), (0, 0, 1), (0, 0, 2))
    found = ask(data, accepted_pairs(data, np.arange(1)), np.arange(1, 3), rankable=np.arange(4) != 2)
    assert found.wanted.offer.tolist() == [1]
    assert rank(found, lambda block: np.array([[0.0, 0.0, 5.0, 1.0]]), 1).tolist() == [[3]]


def test_many_questions_give_the_same_sample() -> None:
    rng = np.random.default_rng(0)
    rows = [(number, int(rng.integers(2)), int(rng.integers(4))) for number in range(3_000)]
    data = log(*rows)
    found, again = asked(data, 1, scores_max=1), asked(data, 1, scores_max=1)
    assert (len(found), found.drawn_from) == (1_000, 2_999)
    assert found.who.tolist() == again.who.tolist()
    tops = rank(found, lambda block: np.eye(4)[np.array([rows[who][2] for who in found.who[block]])], 1)
    assert quality(found, tops).ndcg.tolist() == [1.0] * 1_000


def test_every_customer_weighs_the_same() -> None:
    assert by_customer(np.array([1.0, 0.0, 0.5]), np.array([0, 0, 1])).tolist() == [0.5, 0.5]
    assert by_customer(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0, 3)


def test_nothing_held_out_asks_nothing() -> None:
    found = asked(log((0, 0, 0)), 1)
    assert (len(found), found.repeats, found.drawn_from) == (0, 0.0, 0)
    assert rank(found, lambda block: np.zeros((0, 4)), 2).shape == (0, 2)
