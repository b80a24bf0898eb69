"""Rates and lag by samples of what the brokers say."""

from stream_scorer.core.inspecting.ring_rates import (
    RingSample,
    done_per_s,
    done_series,
    stands_since_ms,
    within,
    written_per_s,
)
from stream_scorer.core.records import Partition

PLACE, OTHER = Partition("requests", 0), Partition("offers", 0)


def sample(time_s: int, end: int, behind: int) -> RingSample:
    return RingSample(time_s * 1000, {PLACE: end, OTHER: 5}, {"g": {PLACE: behind}})


SAMPLES = [sample(0, 100, 10), sample(10, 200, 60), sample(20, 300, 160)]


def test_topics_grow_by_their_ends() -> None:
    assert written_per_s(SAMPLES, ["requests"]) == 10.0
    assert written_per_s(SAMPLES, ["offers"]) == 0.0


def test_a_group_goes_on_by_its_commits() -> None:
    assert done_per_s(SAMPLES, "g") == 2.5
    assert done_series(SAMPLES, "g") == [5.0, 0.0]
    assert SAMPLES[-1].lag("g") == 160


def test_one_sample_has_no_rate() -> None:
    assert written_per_s(SAMPLES[:1], ["requests"]) is None
    assert done_per_s(SAMPLES, "unknown") is None


def test_a_topic_made_anew_has_no_rate() -> None:
    assert written_per_s([sample(0, 100, 0), sample(10, 3, 0)], ["requests"]) is None


def test_it_stands_since_its_last_commit() -> None:
    assert stands_since_ms(SAMPLES, "g") == 10_000
    assert stands_since_ms(SAMPLES[:2], "g") is None
    assert stands_since_ms([], "g") is None


def test_a_stretch_keeps_a_sample_before_it() -> None:
    assert within(SAMPLES, 10_000) == SAMPLES[1:]
    assert within(SAMPLES, 1) == SAMPLES[1:]
    assert within(SAMPLES[:1], 1) == SAMPLES[:1]
