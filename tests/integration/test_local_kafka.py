"""A local Kafka from a distribution's folder (`KAFKA_HOME`), killed, frozen and started again."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.kafka.client import ClientConfig
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.adapters.local.kafka import LocalKafka
from stream_scorer.adapters.local.kafka_jars import kafka_jars
from stream_scorer.errors import NotReady
from stream_scorer.ports import Fetched, TopicSpec
from stream_scorer.services.streaming.join_restore import CLOSE_S, Restorer
from stream_scorer.settings import KafkaSettings, LocalSettings, Settings
from stream_scorer.wiring.brokers import member_config
from stream_scorer.wiring.streaming import join_config
from tests.waiting import wait_for

PLACES = LocalSettings()
Protocol = Literal["classic", "consumer"]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    home = tmp_path_factory.mktemp("kafka")
    (home / "libs").symlink_to(kafka_jars(kafka_home=PLACES.kafka_home, cache=PLACES.cache))
    with LocalKafka(cache=Path("/nowhere"), kafka_home=home, properties={"auto.create.topics.enable": "true"}) as local:
        yield local


@pytest.fixture(scope="module")
def outage(broker: LocalKafka) -> tuple[str, ...]:
    """The troubles that a group member reports while the broker is killed and started again, between two writes."""
    write(broker, b"before")
    config = {**member_of("watchers", broker), "statistics.interval.ms": 200}
    with closing(KafkaSource(config, ["kept"])) as source:
        wait_for(lambda: bool(fetch(source).assignment.gained), "the group's first answer")
        wait_for(lambda: not fetch(source, wait_s=1).troubles, "a broker is connected")
        broker.kill()
        while not (troubles := fetch(source).troubles):
            pass  # the test's own time-out ends it
        broker.resume()
        wait_for(lambda: not fetch(source, wait_s=1).troubles, "a broker is connected again")
    write(broker, b"after")
    return troubles


def test_a_lost_broker_is_a_trouble(outage: tuple[str, ...]) -> None:
    assert all(trouble.startswith("no broker is connected: ") for trouble in outage)


def test_acknowledged_records_outlive_a_kill(broker: LocalKafka, outage: tuple[str, ...]) -> None:
    assert outage
    assert read(broker, 2) == [b"before", b"after"]


def test_a_frozen_broker_answers_again_later(broker: LocalKafka) -> None:
    write(broker, b"one")
    broker.pause()
    with pytest.raises(AssertionError):
        write(broker, b"two", wait_s=1)
    broker.unpause()
    write(broker, b"three")


def test_a_restore_ends_without_its_frozen_broker(broker: LocalKafka) -> None:
    client: ClientConfig = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "joiners"}
    restorer = Restorer(lambda: KafkaLog(client, timeout_s=30), join_config(Settings()))
    broker.pause()
    restoring = restorer.submit(0)
    wait_for(restoring.running, "a restore")
    started_s = time.monotonic()
    restorer.close()
    took_s = time.monotonic() - started_s
    broker.unpause()
    assert (took_s < CLOSE_S + 10, restoring.done()) == (True, False)


def fetch(source: KafkaSource, *, wait_s: float = 0.1) -> Fetched:
    return source.fetch(records_max=10, wait_s=wait_s, linger_s=0)


def member_of(group: str, broker: LocalKafka, protocol: Protocol = "classic") -> ClientConfig:
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, group_protocol=protocol)
    return member_config(Settings(kafka=kafka), f"{group}-{protocol}")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_worker_without_partitions_is_a_member(broker: LocalKafka, protocol: Protocol) -> None:
    KafkaTopicAdmin({"bootstrap.servers": broker.bootstrap_servers}).create([TopicSpec(protocol, 1, 1, {})])
    config = member_of("workers", broker, protocol)
    with closing(KafkaSource(config, [protocol])) as one, closing(KafkaSource(config, [protocol])) as other:
        wait_for(lambda: bool(fetch(one).assignment.gained or fetch(other).assignment.gained), "the only partition")
        wait_for(lambda: all([fetch(one).member, fetch(other).member]), "both are members")


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
