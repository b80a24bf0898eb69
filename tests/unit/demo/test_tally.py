"""The demo's counting."""

import pytest

from stream_scorer.core.messages import RankedOffer, Ranking
from stream_scorer.demo.tally import Rate, Second, SeenRanking, Tally, percentiles


def seen(at_ms: int, *, release: str = "one", accepted: bool = False, latency_ms: int = 5) -> SeenRanking:
    offer = RankedOffer(offer_id="offer-000001", rank=1, score=0.5, propensity=1.0, features={})
    ranking = Ranking(
        request_id=f"r{at_ms}",
        customer_id="customer-000001",
        event_time_ms=at_ms,
        release_id=release,
        status="ranked",
        eligible_count=1,
        excluded={},
        features={},
        offers=[offer],
    )
    return SeenRanking(ranking, latency_ms, at_ms, accepted, 0.25)


def test_each_release_has_its_own_rate() -> None:
    tally = Tally(1_000)
    tally.add([seen(1_100, accepted=True), seen(1_200), seen(5_000, release="two", accepted=True)])
    assert [(one.release_id, one.shown, one.accepted) for one in tally.releases.values()] == [
        ("one", 2, 1),
        ("two", 1, 1),
    ]
    assert tally.releases["two"].first_seen_ms == 5_000
    assert tally.releases["one"].expected_rate == 0.25


def test_the_series_has_every_second() -> None:
    tally = Tally(0)
    tally.add([seen(100), seen(200, accepted=True), seen(2_999)])
    assert tally.seconds() == [Second(0, 2, 1), Second(1, 0, 0), Second(2, 1, 0)]
    assert Tally(0).seconds() == []


def test_recent_figures_forget_old_ones() -> None:
    tally = Tally(0)
    tally.add([seen(0, accepted=True, latency_ms=900), seen(30_000), seen(31_000)])
    assert tally.recent_rate(31_500) == Rate(2, 0)
    assert tally.recent_latency_ms(31_500) == (5, 5)
    assert tally.latency_ms()[1] > 800


def test_the_interval_is_wilsons() -> None:
    assert Rate(100, 20).interval == pytest.approx((0.1334, 0.2888), abs=1e-4)  # by R's binom.confint
    assert Rate(0, 0).interval == (0, 1)
    assert Rate(10, 0).interval[0] == 0


def test_percentiles_of_nothing_are_zero() -> None:
    assert percentiles([]) == (0, 0)
