"""A local Kafka from a distribution's folder (`KAFKA_HOME`), killed, frozen and started again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from stream_scorer.adapters.local.kafka import LocalKafka
from stream_scorer.adapters.local.kafka_jars import kafka_jars
from stream_scorer.errors import NotReady
from stream_scorer.settings import LocalSettings

PLACES = LocalSettings()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    home = tmp_path_factory.mktemp("kafka")
    (home / "libs").symlink_to(kafka_jars(kafka_home=PLACES.kafka_home, cache=PLACES.cache))
    with LocalKafka(cache=Path("/nowhere"), kafka_home=home, properties={"auto.create.topics.enable": "true"}) as local:
        yield local


def test_what_was_acknowledged_is_there_after_a_kill(broker: LocalKafka) -> None:
    write(broker, b"before")
    broker.kill()
    assert not broker.running()
    broker.resume()
    write(broker, b"after")
    assert read(broker, 2) == [b"before", b"after"]


def test_a_frozen_broker_answers_again_when_it_may(broker: LocalKafka) -> None:
    write(broker, b"one")
    broker.pause()
    with pytest.raises(AssertionError):
        write(broker, b"two", wait_s=1)
    broker.unpause()
    write(broker, b"three")


def test_a_broker_that_cannot_start_says_why() -> None:
    with pytest.raises(NotReady, match=r"no\.such\.role|process\.roles"):
        LocalKafka(
            cache=PLACES.cache, kafka_home=PLACES.kafka_home, properties={"process.roles": "no.such.role"}
        ).start()


def write(broker: LocalKafka, value: bytes, *, wait_s: float = 30) -> None:
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "message.timeout.ms": int(wait_s * 1000)}
    )
    faults: list[object] = []
    producer.produce("kept", value, partition=0, on_delivery=lambda error, _: faults.append(error))
    producer.flush(wait_s + 5)
    assert faults == [None]


def read(broker: LocalKafka, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader", "log_level": 0})
    consumer.assign([TopicPartition("kept", 0, 0)])
    records = consumer.consume(count, timeout=30)
    consumer.close()
    return [each.value() for each in records]
