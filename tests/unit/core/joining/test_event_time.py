"""The two clocks of a partition, with known answers at each comparison; the slack is above zero."""

from dataclasses import replace

import pytest

from stream_scorer.core.joining.event_time import NO_TIME, STEPS_MAX, Clocks, EventTime
from stream_scorer.core.joining.labelling import Horizons

HORIZONS = Horizons(window_ms=100, late_ms=80, disorder_ms=40, back_ms=20, tick_ms=10, skew_ms=1_000, idle_slack_ms=5)
ASLEEP_MS = HORIZONS.keep_ms + HORIZONS.idle_slack_ms


def at_end(*, ranking: tuple[int, int], outcome: tuple[int, int]) -> EventTime:
    """Return the clocks of a partition that is read to its end, after one record a topic: (event time, append time)."""
    time = EventTime(HORIZONS)
    time.ranking(*ranking)
    time.outcome(*outcome)
    time.rankings_ended = time.outcomes_ended = True
    return time


def test_nothing_read_is_no_time() -> None:
    time = EventTime(HORIZONS)
    time.advance(1_000_000)
    assert (time.watermark_ms, time.closing_ms) == (NO_TIME, NO_TIME)


@pytest.mark.parametrize(("ranking_ms", "outcome_ms"), [(200, 300), (300, 200)])
def test_the_watermark_follows_the_slower_topic(ranking_ms: int, outcome_ms: int) -> None:
    time = at_end(ranking=(ranking_ms, 1_000), outcome=(outcome_ms, 1_000))
    time.advance(None)
    assert time.watermark_ms == time.closing_ms == 200


@pytest.mark.parametrize(("time_ms", "floor_ms"), [(199, 190), (200, 200), (201, 200)])
def test_the_watermark_moves_in_ticks(time_ms: int, floor_ms: int) -> None:
    time = at_end(ranking=(time_ms, 1_000), outcome=(time_ms, 1_000))
    time.advance(None)
    assert time.watermark_ms == floor_ms


def test_neither_clock_goes_back() -> None:
    time = EventTime(HORIZONS, Clocks(watermark_ms=500))
    time.ranking(200, 1_000)
    time.outcome(200, 1_000)
    time.advance(1_001)
    assert (time.watermark_ms, time.closing_ms) == (500, 500)


@pytest.mark.parametrize(("now_ms", "watermark_ms"), [(1_004, 100), (1_005, 200), (1_006, 200)])
def test_a_lain_ranking_moves_the_watermark_alone(now_ms: int, watermark_ms: int) -> None:
    time = at_end(ranking=(200, 1_000), outcome=(100, 1_000))
    time.advance(now_ms)
    assert time.watermark_ms == watermark_ms


def test_unread_outcomes_keep_rankings_from_lying() -> None:
    time = at_end(ranking=(200, 1_000), outcome=(100, 1_000))
    time.outcomes_ended = False
    time.advance(1_100)
    assert time.watermark_ms == 100


def test_only_rankings_that_have_lain_count() -> None:
    time = at_end(ranking=(200, 1_000), outcome=(100, 1_000))
    time.ranking(300, 1_003)
    time.ranking(400, 1_006)
    time.advance(1_008)
    assert time.watermark_ms == 300


def test_lain_rankings_count_without_the_clock() -> None:
    time = at_end(ranking=(200, 1_000), outcome=(100, 1_000))
    time.would_be(1_005)
    time.advance(None)
    assert time.watermark_ms == 100
    time.advance(1_005)
    time.ranking(300, 1_006)
    time.advance(None)
    assert time.watermark_ms == 200


@pytest.mark.parametrize(("now_ms", "closing_ms"), [(1_000, 200), (1_014, 200), (1_015, 210), (1_025, 220)])
def test_the_closing_time_follows_the_clock(now_ms: int, closing_ms: int) -> None:
    time = at_end(ranking=(200, 1_000), outcome=(200, 1_000))
    time.advance(now_ms)
    assert (time.watermark_ms, time.closing_ms) == (200, closing_ms)


def test_the_closing_time_waits_for_unread_rankings() -> None:
    time = at_end(ranking=(200, 1_000), outcome=(200, 1_000))
    time.rankings_ended = False
    time.advance(1_100)
    assert time.closing_ms == 200


@pytest.mark.parametrize(("quiet_ms", "asleep"), [(ASLEEP_MS - 1, False), (ASLEEP_MS, False), (ASLEEP_MS + 1, True)])
def test_a_long_quiet_moves_the_watermark(quiet_ms: int, asleep: bool) -> None:
    time = at_end(ranking=(200, 1_000), outcome=(200, 1_000))
    time.advance(1_000 + quiet_ms)
    assert (time.watermark_ms > 200) == asleep


def test_flowing_outcomes_keep_a_partition_awake() -> None:
    time = at_end(ranking=(200, 1_000), outcome=(200, 1_000))
    time.outcome(210, 1_000 + ASLEEP_MS)
    time.advance(1_000 + ASLEEP_MS + 1)
    assert time.watermark_ms == 200


@pytest.mark.parametrize(("time_ms", "asleep"), [(160, True), (161, False)])
def test_a_straggling_outcome_wakes_no_partition(time_ms: int, asleep: bool) -> None:
    time = at_end(ranking=(200, 1_000), outcome=(200, 1_000))
    time.outcome(time_ms, 1_000 + ASLEEP_MS)
    time.advance(1_000 + ASLEEP_MS + 1)
    assert (time.watermark_ms > 200) == asleep


@pytest.mark.parametrize("now_ms", [1_000, 1_004, 1_005, 1_015, 1_001 + ASLEEP_MS])
def test_what_would_be_is_what_then_is(now_ms: int) -> None:
    time = at_end(ranking=(200, 1_000), outcome=(100, 1_000))
    expected = time.would_be(now_ms)
    assert time.clocks().watermark_ms == NO_TIME
    time.advance(now_ms)
    assert expected == (time.watermark_ms, time.closing_ms)


def test_clocks_outlive_a_restart() -> None:
    time = at_end(ranking=(200, 1_000), outcome=(210, 1_007))
    time.advance(None)
    assert time.clocks() == Clocks(200, 200, 1_000, 210, 1_007)
    assert EventTime(HORIZONS, time.clocks()).clocks() == time.clocks()


def test_a_backlog_is_remembered_in_bounded_space() -> None:
    time = EventTime(replace(HORIZONS, idle_slack_ms=60_000))
    for number in range(200_000):
        time.ranking(number, 1_000 + number)
    assert len(time._fresh) <= STEPS_MAX + 2
    time.outcomes_ended = True
    time.advance(1_000 + 199_999 + 60_000)
    assert time.watermark_ms == 199_990
