"""Reading what a group has committed, from a client that no broker answers."""

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_scorer.adapters.kafka import log as kafka_log
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.core.records import Partition, Position


class Moving(Consumer):
    """A client whose group changes its coordinator."""

    answers = 0

    def committed(self, partitions: list[TopicPartition], *args: Any, **options: Any) -> list[TopicPartition]:
        self.answers += 1
        if self.answers < 3:
            raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))
        return [TopicPartition(each.topic, each.partition, 7) for each in partitions]


def test_a_moving_coordinator_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_log, "new_consumer", Moving)
    log = KafkaLog({"bootstrap.servers": "127.0.0.1:1", "group.id": "stream-scorer-join"}, timeout_s=30)
    assert log.committed([Partition("rankings", 0)]) == {Partition("rankings", 0): Position(7)}
