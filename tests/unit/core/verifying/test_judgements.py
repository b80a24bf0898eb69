"""What the checker takes for right, held against the label rule of the join."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.joining.join_state import ClosePoint
from stream_scorer.core.joining.labelling import Answers, label_of
from stream_scorer.core.verifying.history import Input, Output
from stream_scorer.core.verifying.judgements import Expiry, JoinClock, judge_pairs, right_label


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=6), st.booleans())
def test_the_oracle_and_the_join_agree(answers: list[tuple[bool, int]], closed: bool) -> None:
    known = Answers()
    for accepted, time_ms in answers:
        known = known.with_answer(accepted, time_ms)
    assert right_label(answers, 15, closed=closed) == label_of(known, 15, closed=closed)


def inputs(*settled: bool) -> list[Input]:
    return [Input(0, offset, 100, one, None) for offset, one in enumerate(settled)]


NEVER = Expiry()


def kinds(given: list[Input], made: int, expiry: Expiry = NEVER) -> list[str]:
    return [
        fault.kind
        for fault in judge_pairs("request", "r", given, [Output(0, offset, False) for offset in range(made)], expiry)
    ]


def test_as_many_outputs_as_records_are_right() -> None:
    assert kinds(inputs(True, True), 2) == []


def test_an_unsettled_record_may_have_outputs() -> None:
    assert kinds(inputs(True, False), 1) == kinds(inputs(True, False), 2) == []


def test_too_few_is_lost_too_many_doubled() -> None:
    assert kinds(inputs(True, True), 1) == ["request_lost"]
    assert kinds(inputs(True), 2) == ["request_doubled"]


def test_what_retention_has_taken_is_not_missed() -> None:
    assert kinds(inputs(True), 0, Expiry(outputs_ms=100)) == []
    assert kinds([], 1, Expiry(inputs_ms=100)) == []
    assert kinds([], 1) == ["request_unknown"]


def test_the_closing_joins_clock_is_its_labels() -> None:
    assert JoinClock.from_text(ClosePoint(900, 500, 1, 2, 3).to_text()) == JoinClock(500, at_close=True)


@pytest.mark.parametrize(
    "metadata", ["x", "[]", "[1]", "{}", "7", "null", '["close"]', "[2,1]", '{"version":2}', "[" * 5_000]
)
def test_foreign_metadata_is_a_value_error(metadata: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        JoinClock.from_text(metadata)
