"""What the words on a request add to the figures."""

from collections import Counter

from stream_scorer.core.joining.labelling import UNKNOWN, Label
from stream_scorer.core.joining.written_labels import LabelTally

YES, LATE = Label(1, "accepted", 1_500), Label(1, "late_acceptance", 9_000)
NO, CLOSED = Label(0, "declined", 1_200), Label(0, "window_closed", 5_000)


def note(
    tally: LabelTally, before: list[Label], after: list[Label], *, was_final: bool = False, final: bool = False
) -> None:
    tally.note("r", 1_000, before, after, was_final=was_final, final=final)


def test_what_changes_counts_once_by_its_cause() -> None:
    tally = LabelTally()
    note(tally, [UNKNOWN] * 3, [YES, UNKNOWN, NO])
    note(tally, [YES, UNKNOWN, NO], [YES, CLOSED, NO], final=True)
    note(tally, [UNKNOWN, UNKNOWN], [CLOSED, YES])
    note(tally, [UNKNOWN, NO], [CLOSED, NO])
    note(tally, [UNKNOWN, UNKNOWN], [CLOSED, CLOSED])
    assert tally.causes == Counter(accepted=2, declined=1, window_closed=5)


def test_a_delay_counts_when_first_known() -> None:
    tally = LabelTally()
    note(tally, [UNKNOWN, NO], [YES, Label(1, "accepted", 3_000)])
    note(tally, [YES], [YES._replace(time_ms=1_100)])
    assert tally.delays_ms == [500, 2_000]


def test_requests_close_and_convert_once_by_release() -> None:
    tally = LabelTally()
    note(tally, [UNKNOWN], [YES])
    assert not tally.closed
    note(tally, [YES], [YES], final=True)
    note(tally, [UNKNOWN], [CLOSED], final=True)
    note(tally, [CLOSED], [LATE], was_final=True, final=True)
    note(tally, [LATE, CLOSED], [LATE, LATE], was_final=True, final=True)
    assert (tally.closed, tally.accepted) == ({"r": 2}, {"r": 2})


def test_tallies_add_up() -> None:
    tally = LabelTally(Counter(accepted=1), [5], Counter(r=1), Counter(r=1))
    tally.add(LabelTally(Counter(accepted=2), [7], Counter(s=1)))
    assert tally == LabelTally(Counter(accepted=3), [5, 7], Counter(r=1, s=1), Counter(r=1))
