"""The simulated world: its odds are what happens in it, and its lines bound what a ranking can do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import Acceptance, CustomerRequest, RankedOffer, Ranking
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.simulation.world import PLACES, World, customer_row, offer_id, offer_row

WORLD = World.of(7, customers=400, offers=60)


def ranking_of(request: CustomerRequest, columns: list[int]) -> Ranking:
    offers = [
        RankedOffer(offer_id=offer_id(column), rank=place, score=0.0, propensity=1.0, features={})
        for place, column in enumerate(columns, 1)
    ]
    return Ranking(
        request_id=request.request_id,
        customer_id=request.customer_id,
        event_time_ms=request.event_time_ms,
        release_id="release",
        status="ranked",
        eligible_count=len(columns),
        excluded={},
        features=request.features,
        offers=offers,
    )


def requests_of(count: int, *, seed: int = 0) -> list[CustomerRequest]:
    return WORLD.requests(np.random.default_rng(seed), count, start_ms=1_000, rate_per_s=100)


def test_a_seed_makes_one_world() -> None:
    again, other = World.of(7, customers=400, offers=60), World.of(8, customers=400, offers=60)
    assert again.customer_features == WORLD.customer_features
    assert np.array_equal(again.tastes, WORLD.tastes)
    assert other.customer_features != WORLD.customer_features


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_taste_beats_popularity_beats_chance(seed: int) -> None:
    world = World.of(seed, customers=300, offers=100)
    assert world.popularity() == pytest.approx(0.2, abs=0.02)
    assert world.chance() < 0.8 * world.popularity()
    assert world.best_possible() > 1.5 * world.popularity()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_no_ranking_beats_the_best_possible(seed: int) -> None:
    customers = np.arange(len(WORLD.tastes))
    ranked = np.random.default_rng(seed).permuted(np.tile(np.arange(60), (len(customers), 1)), axis=1)[:, :PLACES]
    best = np.argsort(-WORLD.odds(customers, np.arange(60)), axis=1)[:, :PLACES]
    assert (WORLD.rates(customers, ranked) <= WORLD.rates(customers, best) + 1e-12).all()
    assert WORLD.rates(customers, best).mean() == pytest.approx(WORLD.best_possible())


def test_popularity_is_one_ranking_for_all() -> None:
    customers = np.arange(len(WORLD.tastes))
    ranked = np.tile(WORLD.by_popularity[:PLACES], (len(customers), 1))
    assert WORLD.rates(customers, ranked).mean() == pytest.approx(WORLD.popularity())


def test_odds_depend_on_both_sides() -> None:
    favourites = WORLD.odds(np.arange(400), np.arange(60)).argmax(axis=1)
    assert len(set(favourites.tolist())) > 10


def test_a_ranking_has_its_pairs_odds() -> None:
    customers, ranked = np.array([3, 5]), np.array([[1, 2], [9, 0]])
    whole = WORLD.odds(customers, np.arange(60))
    assert np.allclose(WORLD.odds(customers, ranked), np.take_along_axis(whole, ranked, axis=1))


def test_answers_are_as_frequent_as_odds() -> None:
    requests = requests_of(20_000)
    customers = np.array([customer_row(request.customer_id) for request in requests])
    ranked = np.tile(np.arange(PLACES), (len(requests), 1))
    answers = WORLD.answers(
        np.random.default_rng(1), [ranking_of(request, list(range(PLACES))) for request in requests]
    )
    took = len({answer.request_id for answer in answers if answer.accepted}) / len(requests)
    assert took == pytest.approx(WORLD.rates(customers, ranked).mean(), abs=0.01)


def test_lower_ranks_are_looked_at_less() -> None:
    ranking = [ranking_of(request, [0, 1, 2, 3, 4]) for request in requests_of(5_000)]
    turned = [ranking_of(request, [4, 1, 2, 3, 0]) for request in requests_of(5_000)]
    counts = [
        sum(
            answer.accepted and answer.offer_id == offer_id(0)
            for answer in WORLD.answers(np.random.default_rng(2), shown)
        )
        for shown in (ranking, turned)
    ]
    assert counts[1] / counts[0] == pytest.approx(5**-0.7, abs=0.1)


def test_answers_follow_their_request_in_order() -> None:
    rankings = [ranking_of(request, [0, 1, 2]) for request in requests_of(200)]
    answers = WORLD.answers(np.random.default_rng(3), rankings, delay_ms=(100, 500))
    times = [answer.event_time_ms for answer in answers]
    assert times == sorted(times)
    assert all(100 <= answer.event_time_ms - (answer.request_time_ms or 0) < 500 for answer in answers)
    assert {answer.accepted for answer in answers} == {True, False}


def test_nothing_shown_gets_no_answer() -> None:
    assert WORLD.answers(np.random.default_rng(0), [ranking_of(requests_of(1)[0], [])]) == []


def test_request_ids_do_not_repeat_over_calls() -> None:
    rng = np.random.default_rng(0)
    drawn = [WORLD.requests(rng, 50, start_ms=0, rate_per_s=10) for _ in range(4)]
    assert len({request.request_id for requests in drawn for request in requests}) == 200


def test_a_request_carries_its_own_customers_features() -> None:
    requests = requests_of(50)
    assert [request.features for request in requests] == [
        WORLD.customer_features[customer_row(one.customer_id)] for one in requests
    ]


def test_requests_come_at_their_rate() -> None:
    times = np.array([request.event_time_ms for request in requests_of(4_000)])
    assert (np.diff(times) >= 0).all()
    assert times[-1] - times[0] == pytest.approx(40_000, rel=0.1)


def test_what_the_world_says_passes_the_contract() -> None:
    requests = requests_of(20)
    answers = WORLD.answers(np.random.default_rng(3), [ranking_of(request, [0, 1]) for request in requests_of(200)])
    for messages, kind in ((requests, CustomerRequest), (answers, Acceptance)):
        records = [Record("topic", 0, offset, None, encode(message), 0) for offset, message in enumerate(messages)]
        assert decode_all(records, kind).messages == messages


def test_features_are_of_every_kind() -> None:
    for features in (WORLD.customer_features[0], WORLD.offer_features[0]):
        kinds = {type(value) for value in features.values()}
        assert {str, bool, list} <= kinds
        lists = [value[0] for value in features.values() if isinstance(value, list)]
        assert {type(element) for element in lists} == {str, float}


def test_the_log_states_each_propensity() -> None:
    log = WORLD.log(np.random.default_rng(5), 8_000, start_ms=0, random_share=0.5)
    popular = offer_id(int(WORLD.by_popularity[0]))
    first = [example for example in log if example.rank == 1]
    shown = np.mean([example.offer_id == popular for example in first])
    said = {example.propensity for example in first if example.offer_id == popular}
    assert shown == pytest.approx(said.pop(), abs=0.02)
    assert said == set()


@pytest.mark.parametrize("random_share", [0.4, 1.0])
def test_propensities_multiply_to_the_rankings_chance(random_share: float) -> None:
    log = WORLD.log(np.random.default_rng(6), 200, start_ms=0, random_share=random_share, places=2)
    rankings = np.array(
        [[offer_row(one.offer_id) for one in log[start : start + 2]] for start in range(0, len(log), 2)]
    )
    said = np.array([example.propensity for example in log]).reshape(-1, 2).prod(axis=1)
    offers = len(WORLD.offer_features)
    popular = (rankings == WORLD.by_popularity[:2]).all(axis=1)
    assert said == pytest.approx(random_share / (offers * (offers - 1)) + (1 - random_share) * popular)


def test_the_log_has_distinct_offers() -> None:
    log = WORLD.log(np.random.default_rng(5), 100, start_ms=0)
    assert len({example.example_id for example in log}) == len(log) == 100 * PLACES
    assert all(example.offer_features == WORLD.offer_features[offer_row(example.offer_id)] for example in log)
    assert {example.cause for example in log} == {"accepted", "declined", "window_closed"}


def test_a_ridge_lies_where_price_equals_budget() -> None:
    ridged = World.of(7, customers=50, offers=40, ridge=3.0)
    log_odds = np.log(1 / (1 / ridged.odds(np.arange(50), np.arange(40)) - 1)) - ridged.constant
    above = log_odds - ridged.tastes @ ridged.appeals.T
    apart = np.abs(ridged.budgets[:, None] - ridged.prices)
    assert above[apart < 0.02].min() > 2.9
    assert above[apart > 0.6].max() < 0.01


def test_odds_of_lists_equal_the_catalogs() -> None:
    ridged, listed = World.of(7, customers=50, offers=40, ridge=3.0), np.array([[3, 1], [0, 39]])
    whole = ridged.odds(np.array([4, 8]), np.arange(40))
    np.testing.assert_allclose(ridged.odds(np.array([4, 8]), listed), np.take_along_axis(whole, listed, axis=1))
