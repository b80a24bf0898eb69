"""Equal reasons for refusals are a line with a count."""

from stream_scorer.cli.refusals import REASONS_MAX, Refusals
from stream_scorer.core.records import DeadLetter, Record


def letter(number: int, message: str) -> DeadLetter:
    return DeadLetter(Record("requests", 0, number, None, b"", 0), "missing_field", message)


def test_equal_reasons_share_a_line() -> None:
    refusals = Refusals()
    fresh = refusals.fresh([letter(number, "customer_id: Field required") for number in range(5, 15_005)])
    fresh += refusals.fresh([letter(20_000, "event_time_ms: Field required")])
    assert [each.record.offset for each in fresh] == [5, 20_000]
    assert list(refusals.sentences()) == [
        "15,000 requests were refused for the same reason: customer_id: Field required (missing_field)"
    ]


def test_the_reasons_are_bounded() -> None:
    refusals = Refusals()
    assert len(refusals.fresh([letter(number, str(number)) for number in range(REASONS_MAX + 7)])) == REASONS_MAX
    assert list(refusals.sentences()) == [
        "7 requests were refused for other reasons; --dead-letters PATH writes every one"
    ]
