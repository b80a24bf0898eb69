"""Reports on records that are sent, when the client fails."""

from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_scorer.adapters.kafka.exchange import delivery
from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import NotDelivered


class DoomedProducer:
    """Raises a fatal error at the first poll, as librdkafka does, and reports failures at those after it."""

    def __init__(self) -> None:
        self.reports: SimpleQueue[Any] = SimpleQueue()
        self.is_fatal = False

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, report: Any) -> None:
        self.reports.put(report)

    def poll(self, for_s: float) -> int:
        if not self.is_fatal:
            self.is_fatal = True
            raise KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "out of order", True))
        try:
            self.reports.get(timeout=for_s)(KafkaError(KafkaError._PURGE_QUEUE), None)
        except Empty:
            return 0
        return 1

    def flush(self, for_s: float) -> int:
        return self.reports.qsize()


def test_every_sender_hears_of_fatal_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "new_producer", lambda config, client_log: DoomedProducer())
    with closing(delivery.KafkaExchange({}, [], timeout_s=1)) as exchange:
        sent = [exchange.send(OutputRecord("requests", b"k", b"v")) for _ in range(3)]
        for future in sent:
            with pytest.raises(NotDelivered, match="to requests: out of order"):
                future.result(60)
