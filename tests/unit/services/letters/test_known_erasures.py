"""What a customer had removed does not come back by way of a dead letter."""

import pytest

from stream_scorer.core.messages import CustomerId, Erasure
from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.core.wire.codec import encode
from stream_scorer.errors import UsageError
from tests.unit.services.letters.letter_topic import OUTCOMES, LetterTopic

ERASED_TO_MS = 5_000


@pytest.fixture
def topic() -> LetterTopic:
    return LetterTopic()


def erase(topic: LetterTopic, customer: str = "ada") -> None:
    erasure = Erasure(CustomerId(customer), ERASED_TO_MS)
    for number in (0, 1):
        topic.broker.append(OutputRecord(OUTCOMES, customer.encode(), encode(erasure), partition=number))


def event(customer: str, time_ms: int) -> bytes:
    return b'{"customer_id": "%s", "event_time_ms": %d}' % (customer.encode(), time_ms)


def test_events_of_erased_customers_stay(topic: LetterTopic) -> None:
    erase(topic)
    topic.refuse(value=event("ada", ERASED_TO_MS))
    topic.refuse(value=event("ben", ERASED_TO_MS))
    done = topic.resend()
    assert [record.value for record in topic.resent()] == [event("ben", ERASED_TO_MS)]
    assert done.kinds[0].skipped == {"erased": 1}
    assert topic.resend().sent == 0


def test_an_event_after_the_erasure_counts(topic: LetterTopic) -> None:
    erase(topic)
    topic.refuse(value=event("ada", ERASED_TO_MS + 1))
    assert topic.resend().sent == 1


def test_unreadable_records_go_by_their_key(topic: LetterTopic) -> None:
    erase(topic)
    topic.refuse("not_json", key=b"ada", value=b"{")
    topic.refuse("not_json", key=b"\xff", value=b"{")
    done = topic.resend()
    assert (done.sent, done.kinds[0].skipped) == (1, {"erased": 1})


def test_outcomes_that_are_gone_are_said(topic: LetterTopic) -> None:
    erase(topic)
    topic.refuse()
    topic.clock.sleep(1)
    erase(topic, "ben")
    topic.refuse()
    topic.broker.oldest[Partition(OUTCOMES, 0)] = 1
    done = topic.resend()
    assert (done.sent, done.kinds[0].unchecked) == (2, 1)


def test_without_outcomes_nothing_is_sent(topic: LetterTopic) -> None:
    topic.refuse()
    topic.broker.missing.add(OUTCOMES)
    with pytest.raises(UsageError, match="topic outcomes does not exist, or this user may not see it"):
        topic.resend()
