"""Figures about labels, and when retraining is held."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.evaluation.label_health import HealthTally, Stretch, reason_to_hold, stretches
from stream_scorer.core.verifying.history import LabelsRead, RankingRead
from stream_scorer.core.verifying.judgements import Judged

Labels = tuple[tuple[int | None, str | None, int | None], ...]


def judged(labels: Labels, *, final: bool = True, release: str = "rel", joined: int = 0, waiting: int = 0) -> Judged:
    ranked = RankingRead(0, 0, True, None, False, 1_000, "c", release, ("o1", "o2"), b"", -1)
    return Judged([], ranked, LabelsRead(0, 0, True, None, False, 1, final, labels, b""), joined, waiting)


YES: Labels = ((1, "accepted", 1_500), (0, "window_closed", 2_000))
NO: Labels = ((0, "declined", 1_200), (0, "window_closed", 2_000))


def test_acceptance_rate_is_of_closed_windows_only() -> None:
    tally = HealthTally()
    for labels, release, final in [(YES, "a", True), (NO, "a", True), (YES, "b", True), (YES, "b", False)]:
        tally.add(judged(labels, release=release, final=final))
    assert tally.health().acceptance_rate == {"a": 0.5, "b": 1.0}


def test_negatives_per_positive_count_what_is_known() -> None:
    tally = HealthTally()
    tally.add(judged(YES))
    tally.add(judged(NO))
    assert tally.health().negatives_per_positive == 3.0


def test_joined_share_leaves_out_what_waits() -> None:
    tally = HealthTally()
    tally.add(judged(YES, joined=4, waiting=1))
    tally.orphans["unknown_request"] = 1
    assert tally.health().joined_share == 0.75


def test_without_labels_there_are_no_shares() -> None:
    health = HealthTally().health()
    assert (health.joined_share, health.negatives_per_positive, health.delay_ms) == (None, None, {})


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=200))
def test_delay_quantiles_are_right_within_few_percent(delays: list[int]) -> None:
    tally = HealthTally()
    for delay in delays:
        tally.add(judged(((1, "accepted", 1_000 + delay),)))
    exact = sorted(delays)[max(0, -(-len(delays) // 2) - 1)]
    # Half a bucket is 2.2 % of the delay, counted from 1 ms; whole milliseconds add half of one.
    assert abs(tally.health().delay_ms["p50"] - exact) <= 0.022 * (exact + 1) + 0.5


def test_stretches_count_requests_and_end_with_newest() -> None:
    request, accepted = np.array([1, 1, 2, 3, 4]), np.array([1, 1, 0, 0, 1])
    times = np.array([10, 10, 95, 101, 200])
    assert stretches(request, accepted, times, length_ms=100) == [Stretch(2, 1), Stretch(2, 1)]
    assert stretches(request[:0], accepted[:0], times[:0], length_ms=100) == []


USUAL = [Stretch(1_000, 50), Stretch(1_000, 40), Stretch(1_000, 60)]


def test_the_usual_rate_holds_nothing() -> None:
    assert reason_to_hold(USUAL, Stretch(1_000, 45)) is None


def test_missing_acceptances_hold_retraining_and_say_so() -> None:
    reason = reason_to_hold(USUAL, Stretch(1_000, 3))
    assert reason is not None
    assert "3 of 1000" in reason
    assert "50 expected" in reason


def test_silence_of_requests_holds_retraining_too() -> None:
    assert "requests have gone quiet" in str(reason_to_hold(USUAL, Stretch(5, 0)))


def test_a_drop_within_chance_holds_nothing() -> None:
    assert reason_to_hold([Stretch(1_000, 5)], Stretch(400, 0)) is None


def test_without_a_past_nothing_is_held() -> None:
    assert reason_to_hold([], Stretch(1_000, 0)) is None


@given(st.integers(0, 5_000))
def test_more_acceptances_never_cause_a_hold(accepted: int) -> None:
    fewer, more = (reason_to_hold(USUAL, Stretch(5_000, count)) for count in (accepted, accepted + 1))
    assert fewer is not None or more is None
