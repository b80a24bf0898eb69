"""What every source, sink and log must do, in memory and on a real Kafka broker."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.sink import AtLeastOnceSink, TransactionalSink
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.adapters.local.clock import HandClock, SystemClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySink, MemorySource
from stream_scorer.core.records import OutputRecord, Partition, Position, Record, progress_of
from stream_scorer.ports import RecordSource
from stream_scorer.services.streaming.aligned_source import AlignedSink, AlignedSource
from stream_scorer.topic_settings import TopicSettings

WAIT_S = 60.0


@dataclass
class Stream:
    """Sources, a sink and a log of one consumer group."""

    source: Callable[..., Any]
    sink: Any
    log: MemoryLog | KafkaLog
    topics: TopicSettings
    expire: Callable[[Partition, int], None]
    """Drop the records of a partition before an offset, as retention does."""


def member(servers: str, group: str) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": servers, "group.id": group, "session.timeout.ms": 6_000, "heartbeat.interval.ms": 500,
        "partition.assignment.strategy": "cooperative-sticky",
    }  # fmt: skip


@pytest.fixture(params=["memory", "exactly_once", "at_least_once", "memory aligned", "exactly_once aligned"])
def stream(request: pytest.FixtureRequest) -> Iterator[Stream]:
    kind, *aligned = request.param.split()
    streams = _streams(request, kind)
    plain = next(streams)
    yield replace(plain, source=_aligned(plain.source), sink=AlignedSink(plain.sink)) if aligned else plain
    next(streams, None)


def _aligned(source: Callable[..., Any]) -> Callable[..., Any]:
    return lambda names, **options: AlignedSource(source(names, **options), clock=SystemClock())


def _streams(request: pytest.FixtureRequest, kind: str) -> Iterator[Stream]:
    group = f"g-{uuid.uuid4().hex[:8]}"
    if kind == "memory":
        broker = MemoryBroker(4, HandClock())
        topics = TopicSettings()
        yield Stream(
            lambda names, **options: MemorySource(broker, group, names, **options),
            MemorySink(broker),
            MemoryLog(broker, group),
            topics,
            broker.oldest.__setitem__,
        )
        return
    servers = request.getfixturevalue("kafka")
    topics = request.getfixturevalue("topics")
    client: dict[str, str | int | float | bool] = {"bootstrap.servers": servers}
    sink: TransactionalSink | AtLeastOnceSink
    if kind == "exactly_once":
        sink = TransactionalSink(
            {**client, "transactional.id": group, "transaction.timeout.ms": 60_000}, timeout_s=30, note_ends=True
        )
    else:
        sink = AtLeastOnceSink(client, timeout_s=30, note_ends=True)
    log = KafkaLog({**client, "group.id": group}, timeout_s=30)
    sources: list[KafkaSource] = []

    def source(names: list[str], **options: object) -> KafkaSource:
        sources.append(KafkaSource(member(servers, group), names, **options))  # type: ignore[arg-type]
        return sources[-1]

    def expire(partition: Partition, oldest: int) -> None:
        admin = AdminClient(client)  # kept in a variable, because its futures end when it is collected
        for future in admin.delete_records([TopicPartition(*partition, oldest)], request_timeout=30).values():
            future.result(40)

    yield Stream(source, sink, log, topics, expire)
    for one in sources:
        one.close()
    sink.close()
    log.close()


def read(source: RecordSource, count: int) -> list[Record]:
    records: list[Record] = []
    deadline_s = time.monotonic() + WAIT_S
    while len(records) < count and time.monotonic() < deadline_s:
        records += source.fetch(records_max=100, wait_s=0.2, linger_s=0).records
    assert len(records) == count
    return records


def assigned(source: RecordSource, count: int) -> list[Partition]:
    gained: list[Partition] = []
    deadline_s = time.monotonic() + WAIT_S
    while len(gained) < count and time.monotonic() < deadline_s:
        gained += source.fetch(records_max=100, wait_s=0.2, linger_s=0).assignment.gained
    return gained


def put(stream: Stream, topic: str, *values: bytes, partition: int = 1) -> None:
    source = stream.source([stream.topics.offers]) if isinstance(stream.log, KafkaLog) else stream.source([])
    assigned(source, 0)
    outputs = [OutputRecord(topic, b"k", value, [("h", b"1")], partition=partition) for value in values]
    stream.sink.write(outputs, {}, source)
    source.close()


def test_records_are_read_as_written(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one", b"two")
    records = read(stream.source([stream.topics.rankings]), 2)
    assert [(record.value, record.key, record.partition, list(record.headers)) for record in records] == [
        (b"one", b"k", 1, [("h", b"1")]),
        (b"two", b"k", 1, [("h", b"1")]),
    ]


def test_a_key_goes_where_murmur2_says(stream: Stream) -> None:
    from confluent_kafka import murmur2

    source = stream.source([stream.topics.rankings])
    stream.sink.write([OutputRecord(stream.topics.rankings, f"c{n}".encode(), b"v") for n in range(20)], {}, source)
    assert all(record.partition == murmur2(record.key or b"", 4) for record in read(source, 20))


def test_progress_and_its_metadata_come_back(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one", b"two")
    source = stream.source([stream.topics.rankings])
    progress = progress_of(read(source, 2))
    [(partition, position)] = progress.items()
    stream.sink.write([], {partition: Position(position.offset, '{"w":1}')}, source)
    assert stream.log.committed([partition])[partition] == Position(position.offset, '{"w":1}')
    assert stream.log.committed([Partition(stream.topics.rankings, 3)]) == {Partition(stream.topics.rankings, 3): None}


def test_rewinding_reads_again_what_is_not_committed(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one", b"two")
    source = stream.source([stream.topics.rankings])
    read(source, 2)
    source.rewind()
    assert [record.value for record in read(source, 2)] == [b"one", b"two"]


def test_a_paused_source_delivers_from_its_start(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one", b"two", b"three")
    source = stream.source([stream.topics.rankings], held=True)
    assert len(assigned(source, 4)) == 4
    assert source.fetch(records_max=10, wait_s=0.3, linger_s=0).records == []
    source.start({Partition(stream.topics.rankings, 1): Position(1)})
    records = read(source, 2)
    assert [record.value for record in records] == [b"two", b"three"]
    source.hold([Partition(stream.topics.rankings, 1)])
    source.start({Partition(stream.topics.rankings, 1): Position(2)})
    assert [record.value for record in read(source, 1)] == [b"three"]


def test_an_end_comes_after_its_records(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one")
    source = stream.source([stream.topics.rankings])
    seen: list[str] = []
    deadline_s = time.monotonic() + WAIT_S
    while seen[-2:] != ["record", "end"] and time.monotonic() < deadline_s:
        fetched = source.fetch(records_max=10, wait_s=0.2, linger_s=0)
        seen += ["record" for _ in fetched.records] + ["end" for one in fetched.ended if one.number == 1]
    # An end may also come before the record, as long as the broker has not ended the transaction that wrote it.
    assert seen[-2:] == ["record", "end"]
    assert seen.count("record") == 1


def test_a_log_reads_a_stretch(stream: Stream) -> None:
    put(stream, stream.topics.rankings, *[f"{n}".encode() for n in range(10)])
    partition = Partition(stream.topics.rankings, 1)
    records = [record for batch in stream.log.read(partition, 2, 5) for record in batch]
    assert [record.offset for record in records] == [2, 3, 4]
    whole = [
        record
        for batch in stream.log.read(partition, stream.log.beginning(partition), stream.log.end(partition))
        for record in batch
    ]
    assert len(whole) == 10


def test_a_sink_knows_its_end_offsets(stream: Stream) -> None:
    put(stream, stream.topics.labels, b"one", b"two")
    assert stream.sink.end_offsets()[Partition(stream.topics.labels, 1)] == 2


def test_a_log_knows_first_records_times(stream: Stream) -> None:
    first, second, empty = (Partition(stream.topics.rankings, number) for number in (1, 2, 3))
    source = stream.source([stream.topics.requests])
    outputs = [OutputRecord(first.topic, b"k", b"v", partition=number) for number in (1, 1, 1, 2)]
    stream.sink.write(outputs, {}, source)
    records = [record for batch in stream.log.read(first, 0, 3) for record in batch]
    times_ms: dict[Partition, int] = {}
    deadline_s = time.monotonic() + WAIT_S
    while len(times_ms) < 2 and time.monotonic() < deadline_s:  # a slow broker's answers may come too late for one try
        times_ms = stream.log.first_times({first: 1, second: 0, empty: 0})
    assert times_ms.keys() == {first, second}
    assert times_ms[first] == records[1].timestamp_ms


def test_a_log_knows_existing_topics_shapes(stream: Stream) -> None:
    shapes = stream.log.topics([stream.topics.rankings, stream.topics.outcomes])
    assert [shape.partitions for shape in shapes.values()] == [4, 4]
    assert len({shape.topic_id for shape in shapes.values()} - {""}) == 2
    assert stream.log.topics([stream.topics.rankings]) == {stream.topics.rankings: shapes[stream.topics.rankings]}


def test_the_lag_counts_no_markers(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one", b"two", b"three")
    source, place = stream.source([stream.topics.rankings]), Partition(stream.topics.rankings, 1)
    stream.sink.write([], progress_of(read(source, 3)), source)
    source.close()
    source = stream.source([stream.topics.rankings])
    seen: list[int] = []
    deadline_s = time.monotonic() + WAIT_S
    while seen[-1:] != [0] and time.monotonic() < deadline_s:
        source.fetch(records_max=10, wait_s=0.2, linger_s=0)
        seen += [source.lag()[place]] if place in source.lag() else []
    assert seen[-1] == 0
    assert max(seen) <= 1  # the transaction's marker at most, never the whole partition


def test_readers_behind_retention_resume_at_the_oldest(stream: Stream) -> None:
    put(stream, stream.topics.rankings, b"one", b"two", b"three")
    place = Partition(stream.topics.rankings, 1)
    stream.expire(place, 2)
    assert stream.log.beginning(place) == 2
    source = stream.source([stream.topics.rankings], held=True)
    assigned(source, 4)
    source.start({place: Position(1)})
    assert [record.value for record in read(source, 1)] == [b"three"]
    assert [record.value for batch in stream.log.read(place, 1, 3) for record in batch] == [b"three"]
