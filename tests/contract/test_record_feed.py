"""What every feed of records must do, in memory and on a real Kafka broker."""

from collections.abc import Callable

import pytest
from confluent_kafka import murmur2

from stream_scorer.adapters.kafka.feed import KafkaFeed
from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.memory.feed import MemoryFeed
from stream_scorer.core.records import OutputRecord, Partition
from stream_scorer.errors import NotReady, UsageError
from stream_scorer.ports import RecordFeed
from stream_scorer.topic_settings import TopicSettings

TOO_LARGE = b"x" * 3_000_000


@pytest.fixture(params=["memory", "kafka"])
def feed(request: pytest.FixtureRequest, topics: TopicSettings, kafka: str) -> RecordFeed:
    if request.param == "memory":
        return MemoryFeed(refuse=lambda record: "too large" if record.value == TOO_LARGE else None)
    return KafkaFeed({"bootstrap.servers": kafka}, topics.requests)


def test_undelivered_records_count_and_others_pass(feed: RecordFeed, topics: TopicSettings) -> None:
    records = [OutputRecord(topics.requests, b"k", value) for value in (b"1", TOO_LARGE, b"2")]
    feed.send(records)
    feed.flush()
    assert list(feed.failures().values()) == [1]


@pytest.fixture
def read(kafka: str, topics: TopicSettings) -> Callable[[], dict[bytes, int]]:
    def read_all() -> dict[bytes, int]:
        log = KafkaLog({"bootstrap.servers": kafka, "group.id": "feed-reader"}, timeout_s=30)
        places = [Partition(topics.requests, number) for number in range(topics.partitions)]
        found = {
            record.key or b"": record.partition
            for one in places
            for batch in log.read(one, 0, log.end(one))
            for record in batch
        }
        log.close()
        return found

    return read_all


def test_keys_go_where_java_would_send_them(
    kafka: str, topics: TopicSettings, read: Callable[[], dict[bytes, int]]
) -> None:
    feed = KafkaFeed({"bootstrap.servers": kafka}, topics.requests)
    keys = [f"customer-{number}".encode() for number in range(50)]
    feed.send([OutputRecord(topics.requests, key, b"v") for key in keys])
    feed.flush()
    assert read() == {key: murmur2(key, topics.partitions) for key in keys}


def test_a_missing_topic_is_not_made(kafka: str) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="no-such-topic"):
            KafkaFeed({"bootstrap.servers": kafka}, "no-such-topic")


def test_a_missing_broker_is_reported_in_time() -> None:
    with pytest.raises(NotReady, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        KafkaFeed({"bootstrap.servers": "127.0.0.1:1"}, "t", timeout_s=0.3)
