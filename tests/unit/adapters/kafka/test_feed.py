"""A feed whose client fails for good ends with the reason, and not with what its callbacks made of it."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_scorer.adapters.kafka import feed
from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import TransientError


class DoomedProducer:
    """Raises a fatal error as confluent-kafka does where callbacks ran while it was set."""

    def produce(self, *given: Any, **named: Any) -> None:
        """Take a record."""

    def poll(self, for_s: float) -> int:
        fatal = KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "out of order", True))
        raise SystemError("a callback returned a result with an exception set") from fatal

    flush = poll


@pytest.fixture
def doomed(monkeypatch: pytest.MonkeyPatch) -> feed.KafkaFeed:
    topics = {"requests": SimpleNamespace(error=None)}
    monkeypatch.setattr(feed, "new_producer", lambda config, client_log: DoomedProducer())
    monkeypatch.setattr(feed, "metadata_of", lambda *given, **named: SimpleNamespace(topics=topics))
    return feed.KafkaFeed({}, "requests")


def test_sending_ends_with_the_reason(doomed: feed.KafkaFeed) -> None:
    with pytest.raises(TransientError, match="out of order"):
        doomed.send([OutputRecord("requests", b"k", b"v")])


def test_flushing_ends_with_the_reason(doomed: feed.KafkaFeed) -> None:
    with pytest.raises(TransientError, match="out of order"):
        doomed.flush()
