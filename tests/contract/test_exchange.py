"""What every exchange must do, in memory and on a real Kafka broker."""

import ctypes
from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from stream_scorer.adapters.kafka.client import ClientConfig
from stream_scorer.adapters.kafka.exchange.delivery import KafkaExchange
from stream_scorer.adapters.kafka.exchange.tail import KafkaTail
from stream_scorer.adapters.local.embedded import EmbeddedBroker
from stream_scorer.adapters.memory.exchange import MemoryExchange
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.errors import FatalStreamError, NotDelivered, UsageError
from stream_scorer.ports import Exchange, RecordTail
from stream_scorer.topic_settings import TopicSettings
from tests.waiting import wait_for

TOO_LARGE = b"x" * 3_000_000
LONG_S = 60.0


@pytest.fixture(params=["memory", "kafka"])
def exchange(request: pytest.FixtureRequest, topics: TopicSettings, kafka: str) -> Iterator[Exchange]:
    made: Exchange
    if request.param == "memory":
        made = MemoryExchange(refuse=lambda record: "too large" if record.value == TOO_LARGE else None)
    else:
        made = KafkaExchange({"bootstrap.servers": kafka}, [topics.requests], timeout_s=LONG_S)
    yield made
    made.close()


def read(tail: RecordTail, count: int) -> list[Record]:
    records: list[Record] = []

    def enough() -> bool:
        records.extend(tail.fetch(wait_s=0.1))
        return len(records) >= count

    wait_for(enough, f"{count} records", every_s=0)
    return records


def test_a_tail_has_what_follows_it(exchange: Exchange, topics: TopicSettings) -> None:
    exchange.send(OutputRecord(topics.rankings, b"k", b"before")).result(LONG_S)
    assert exchange.failure() == ""
    with closing(exchange.tail([topics.rankings, topics.dead_letters])) as tail:
        written = [
            OutputRecord(topics.rankings, b"k", b"1"),
            OutputRecord(topics.dead_letters, b"k", b"2", [("error.code", b"c")]),
        ]
        for future in [exchange.send(each) for each in written]:
            future.result(LONG_S)
        records = read(tail, 2)
    assert {(each.topic, each.value, tuple(each.headers)) for each in records} == {
        (topics.rankings, b"1", ()),
        (topics.dead_letters, b"2", (("error.code", b"c"),)),
    }


def test_a_record_too_large_is_not_delivered(exchange: Exchange, topics: TopicSettings) -> None:
    with pytest.raises(NotDelivered, match="large"):
        exchange.send(OutputRecord(topics.requests, b"k", TOO_LARGE)).result(LONG_S)


def test_missing_topics_are_named_at_once(kafka: str, topics: TopicSettings) -> None:
    with pytest.raises(UsageError, match="topic no-such-topic"):
        KafkaExchange({"bootstrap.servers": kafka}, [topics.requests, "no-such-topic"], timeout_s=LONG_S)
    with (
        closing(KafkaExchange({"bootstrap.servers": kafka}, [topics.requests], timeout_s=LONG_S)) as made,
        pytest.raises(UsageError, match="there is no topic no-such-topic"),
    ):
        made.tail(["no-such-topic"])


def test_a_fatal_error_fails_each_record() -> None:
    with EmbeddedBroker({"t": 1}) as broker:
        _refuse_producers(broker)
        with closing(KafkaExchange({"bootstrap.servers": broker.bootstrap_servers}, ["t"], timeout_s=LONG_S)) as made:
            wait_for(lambda: "Failed to acquire idempotence PID" in _refusal(made), "the client's own reason")
            assert "Failed to acquire idempotence PID" in made.failure()


def test_a_tail_notes_that_brokers_are_away() -> None:
    with EmbeddedBroker({"t": 1}) as broker:
        config: ClientConfig = {"bootstrap.servers": broker.bootstrap_servers, "statistics.interval.ms": 100}
        tail = KafkaTail(config, ["t"], timeout_s=LONG_S)
    with closing(tail):
        wait_for(lambda: not tail.fetch(wait_s=0.1) and "no broker is connected" in tail.trouble, "the trouble")


def test_a_tail_reads_added_partitions(kafka: str, topics: TopicSettings) -> None:
    admin, name = AdminClient({"bootstrap.servers": kafka}), topics.rankings
    quick = {"statistics.interval.ms": 100, "topic.metadata.refresh.interval.ms": 100}
    with closing(KafkaTail({"bootstrap.servers": kafka, **quick}, [name], timeout_s=LONG_S)) as tail:
        before = len(admin.list_topics(name).topics[name].partitions)
        admin.create_partitions([NewPartitions(name, before + 2)])[name].result(LONG_S)
        # a producer that asks before the broker knows of them gives up records to partitions that it never saw
        producer = Producer({"bootstrap.servers": kafka})
        wait_for(lambda: len(producer.list_topics(name).topics[name].partitions) == before + 2, "the new partitions")
        for partition in range(before + 2):
            producer.produce(name, b"v", partition=partition)
        assert producer.flush(LONG_S) == 0
        assert {each.partition for each in read(tail, before + 2)} == set(range(before + 2))


def test_a_tail_ends_when_topics_are_remade(kafka: str, topics: TopicSettings) -> None:
    admin, name = AdminClient({"bootstrap.servers": kafka}), topics.rankings
    config: ClientConfig = {"bootstrap.servers": kafka, "statistics.interval.ms": 100}
    with closing(KafkaTail(config, [name], timeout_s=LONG_S)) as tail:
        admin.delete_topics([name])[name].result(LONG_S)
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(LONG_S)
        with pytest.raises(FatalStreamError, match=f"topic {name} was deleted and made anew"):
            read(tail, 1)


def _refusal(exchange: Exchange) -> str:
    with pytest.raises(NotDelivered) as raised:
        exchange.send(OutputRecord("t", b"k", b"v")).result(LONG_S)
    return str(raised.value)


def _refuse_producers(broker: EmbeddedBroker) -> None:
    """Answer the next idempotent producer as a broker does on which its user lacks the right to be one."""
    init_producer_id, cluster_authorization_failed = 22, 31
    refuse = broker._library.rd_kafka_mock_push_request_errors_array
    refuse.argtypes = [ctypes.c_void_p, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)]
    refuse(broker._cluster, init_producer_id, 1, (ctypes.c_int * 1)(cluster_authorization_failed))
