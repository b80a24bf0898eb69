"""What every Kafka client of ours is configured with, and how librdkafka's errors become ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from stream_scorer.core.records import Record
from stream_scorer.errors import TransientError

ClientConfig = Mapping[str, str | int | float | bool]

CONSUMER: dict[str, str | int | float | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # the default, largest, would skip what waits for a new group
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 50,  # the default, 1000, stalls the fetcher for a second
    "queued.min.messages": 5_000,
    "queued.max.messages.kbytes": 32_768,
    "enable.partition.eof": True,
    # the default, 300,000, leaves the partitions of a topic that has grown unread for minutes, and with them what is answered
    "topic.metadata.refresh.interval.ms": 5_000,
}
PRODUCER: dict[str, str | int | float | bool] = {
    "partitioner": "murmur2_random",  # as Java's default; ours would be CRC32
    "retry.backoff.ms": 10,  # 100 is waited in full whenever a transaction follows another closely
    "delivery.report.only.error": True,
    "message.max.bytes": 2_200_000,
}


def new_consumer(config: ClientConfig) -> Consumer:
    """Make a consumer with our defaults below what the caller says."""
    return Consumer({**CONSUMER, **config})


def new_producer(config: ClientConfig) -> Producer:
    """Make a producer with our defaults below what the caller says."""
    return Producer({**PRODUCER, **config})


def record_of(message: Message) -> Record:
    """Return a message without an error as a record."""
    return Record(
        message.topic(),  # type: ignore[arg-type]  # known of every message without an error, as are the next two
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        message.key(),
        message.value(),
        message.timestamp()[1],
        message.headers() or (),  # type: ignore[arg-type]
    )


def kafka_error(error: KafkaException) -> KafkaError:
    """Return the KafkaError inside a KafkaException."""
    inner = error.args[0]
    if not isinstance(inner, KafkaError):
        raise error
    return inner


@contextmanager
def transient(doing: str) -> Iterator[None]:
    """Turn trouble of the brokers or the network while `doing` into TransientError."""
    try:
        yield
    except KafkaException as error:
        msg = f"{doing}: {kafka_error(error).str()}"
        raise TransientError(msg) from error
