"""How far event time can have come, by the records alone."""

from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.verifying import event_times
from stream_scorer.core.verifying.event_times import NO_TIME, PartitionTimes

HORIZONS = Horizons(window_ms=100, late_ms=50, disorder_ms=10, back_ms=5, tick_ms=1, skew_ms=30, idle_slack_ms=0)


def times(*rankings: tuple[int, int]) -> PartitionTimes:
    taken = PartitionTimes(HORIZONS)
    for time_ms, appended_ms in rankings:
        taken.ranking(time_ms, appended_ms)
    return taken


def test_the_bound_is_the_newest_ranking_before() -> None:
    taken = times((100, 100), (90, 101))
    assert taken.ranking(200, 200) == 100
    assert (taken.reached_ms(99), taken.reached_ms(150), taken.reached_ms(200)) == (NO_TIME, 100, 200)


def test_a_ranking_from_the_future_moves_nothing() -> None:
    assert times((100, 100), (1_000, 101)).ranking(102, 102) == 100


def test_a_long_quiet_lets_time_go_on() -> None:
    assert times((100, 100)).reached_ms(100 + HORIZONS.keep_ms) == 100
    assert times((100, 100)).reached_ms(101 + HORIZONS.keep_ms) == 101 + HORIZONS.keep_ms


def test_outcomes_have_a_time_of_their_own() -> None:
    taken = times()
    assert [taken.outcome(time_ms, 100) for time_ms in (50, 40, 1_000, 60)] == [NO_TIME, 50, 50, 50]


def test_thinned_out_steps_only_raise_the_bound() -> None:
    exact = [(time_ms, time_ms) for time_ms in range(100, 100 + event_times.STEPS_MAX + 2)]
    taken = times(*exact)
    assert all(taken.reached_ms(at) in (at, at + 1) for at in range(100, 200))
