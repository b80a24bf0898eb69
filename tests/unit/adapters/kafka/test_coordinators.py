"""Reading what a group has committed while its coordinator moves to another broker."""

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_scorer.adapters.kafka import log as kafka_log
from stream_scorer.adapters.kafka import source as kafka_source
from stream_scorer.adapters.kafka.client import ClientConfig
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.core.records import Partition, Position

CONFIG: ClientConfig = {"bootstrap.servers": "127.0.0.1:1", "group.id": "stream-scorer-join", "log_level": 0}
PLACE = Partition("rankings", 0)


class Moving(Consumer):
    """A client whose group changes its coordinator; no broker answers it."""

    answers = 0
    sought: tuple[TopicPartition, ...] = ()

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Note nothing: there is no group."""

    def resume(self, partitions: list[TopicPartition]) -> None:
        """Resume nothing."""

    def seek(self, partition: TopicPartition) -> None:
        self.sought += (partition,)

    def committed(self, partitions: list[TopicPartition], *args: Any, **options: Any) -> list[TopicPartition]:
        self.answers += 1
        if self.answers < 3:
            raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))
        return [TopicPartition(each.topic, each.partition, 7) for each in partitions]


def test_a_log_awaits_a_moving_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_log, "new_consumer", Moving)
    assert KafkaLog(CONFIG, timeout_s=30).committed([PLACE]) == {PLACE: Position(7)}


def test_a_source_awaits_a_moving_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_source, "new_consumer", lambda config, *_, **__: Moving(config))
    source = KafkaSource(CONFIG, ["rankings"])
    client = source._consumer
    source._assigned(client, [TopicPartition(*PLACE)])
    source.rewind()
    assert isinstance(client, Moving)
    assert [each.offset for each in client.sought] == [7]
