"""The rule of labels, with known answers at each comparison."""

import pytest

from stream_scorer.core.joining.labelling import (
    NO_ANSWERS,
    UNKNOWN,
    Answers,
    Horizons,
    Label,
    answers_behind,
    label_of,
    labels_of,
    labels_read_back,
)
from stream_scorer.core.wire.own_topics import LabelledHead, _LabelHead

CLOSES_MS = 100


def test_horizons_add_up() -> None:
    horizons = Horizons(window_ms=1, late_ms=20, disorder_ms=300, back_ms=4_000, tick_ms=1, skew_ms=1, idle_slack_ms=1)
    assert horizons.usable_ms == 21
    assert horizons.complete_ms == 321
    assert horizons.settle_ms == 4_300
    assert horizons.forget_ms == 4_321
    assert horizons.remember_ms == 8_621
    assert horizons.keep_ms == 8_321


@pytest.mark.parametrize(("time_ms", "cause"), [(99, "accepted"), (100, "accepted"), (101, "late_acceptance")])
def test_an_acceptance_is_late_after_the_window(time_ms: int, cause: str) -> None:
    for closed in (False, True):
        assert label_of(Answers(accepted_ms=time_ms), CLOSES_MS, closed=closed) == Label(1, cause, time_ms)


@pytest.mark.parametrize(("time_ms", "counts"), [(99, True), (100, True), (101, False)])
def test_a_decline_counts_until_the_window_closes(time_ms: int, counts: bool) -> None:
    declined = Answers(declined_ms=time_ms)
    assert (label_of(declined, CLOSES_MS, closed=True) == Label(0, "declined", time_ms)) == counts
    assert (label_of(declined, CLOSES_MS, closed=False) == UNKNOWN) != counts


def test_unanswered_is_negative_only_when_closed() -> None:
    assert label_of(NO_ANSWERS, CLOSES_MS, closed=False) == UNKNOWN
    assert label_of(NO_ANSWERS, CLOSES_MS, closed=True) == Label(0, "window_closed", CLOSES_MS)


def test_an_acceptance_wins_over_an_earlier_decline() -> None:
    assert label_of(Answers(accepted_ms=50, declined_ms=10), CLOSES_MS, closed=True) == Label(1, "accepted", 50)
    assert label_of(Answers(accepted_ms=150, declined_ms=10), CLOSES_MS, closed=True) == Label(
        1, "late_acceptance", 150
    )


def test_the_earliest_answer_of_a_kind_counts() -> None:
    answers = NO_ANSWERS
    for accepted, time_ms in [(True, 30), (True, 20), (True, 40), (False, 9), (False, 8)]:
        answers = answers.with_answer(accepted, time_ms)
    assert answers == Answers(accepted_ms=20, declined_ms=8)


@pytest.mark.parametrize("answers", [Answers(20, None), Answers(120, None), Answers(None, 20), NO_ANSWERS])
def test_a_label_tells_the_answers_behind_it(answers: Answers) -> None:
    assert answers_behind(label_of(answers, CLOSES_MS, closed=True)) == answers


def test_labels_stand_in_rank_order() -> None:
    labels = labels_of({2: Answers(accepted_ms=5)}, 3, CLOSES_MS, closed=True)
    assert [label.accepted for label in labels] == [0, 0, 1]


def test_labels_read_back_are_those_written() -> None:
    offers = [_LabelHead(0, "declined", 5), _LabelHead(None, None, None), _LabelHead(None, None, None)]
    labels = labels_read_back(LabelledHead("r", "c", 1, 1, False, offers))
    assert labels == (Label(0, "declined", 5), UNKNOWN, UNKNOWN)
    assert labels[1] is labels[2]
