"""What every Kafka client of ours is configured with, and how librdkafka's errors become ours."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition, libversion
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.core.records import Record
from stream_scorer.errors import FatalStreamError, TransientError, UsageError

ClientConfig = Mapping[str, str | int | float | bool]
Report = Callable[[KafkaError | None, Message], None]

CONSUMER: dict[str, str | int | float | bool] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # the default, largest, would skip what waits for a new group
    "isolation.level": "read_committed",
    "fetch.queue.backoff.ms": 50,  # the default, 1000, stalls the fetcher for a second
    "queued.min.messages": 5_000,
    "queued.max.messages.kbytes": 32_768,
    "enable.partition.eof": True,
    # the default, 300,000, leaves new partitions of a topic unread for minutes, and answers about them unmatched
    "topic.metadata.refresh.interval.ms": 5_000,
}
PRODUCER: dict[str, str | int | float | bool] = {
    "partitioner": "murmur2_random",  # as Java's default; ours would be CRC32
    "retry.backoff.ms": 10,  # 100 is waited in full whenever a transaction follows another closely
    "delivery.report.only.error": True,
    "message.max.bytes": 2_200_000,
}


# what cannot heal while we wait: missing rights, wrong credentials, another process in our place
NEVER_HEALS = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._FATAL,
        KafkaError._FENCED,
        KafkaError._SSL,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.SECURITY_DISABLED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNRELEASED_INSTANCE_ID,
        KafkaError.UNSUPPORTED_VERSION,
    }
)


def new_consumer(
    config: ClientConfig,
    client_log: ClientLog | None = None,
    *,
    statistics: Callable[[str], None] | None = None,
) -> Consumer:
    """Make a consumer; `config` goes before our defaults. Raises UsageError for what librdkafka refuses.

    `statistics` is called with the client's own, as JSON, while it is polled.
    """
    callbacks = {} if statistics is None else {"stats_cb": statistics}
    with _accepted():
        return Consumer({**CONSUMER, **config, **callbacks}, logger=client_log or ClientLog())


def new_producer(
    config: ClientConfig, client_log: ClientLog | None = None, *, report: Report | None = None
) -> Producer:
    """Make a producer; `config` goes before our defaults. Raises UsageError for what librdkafka refuses.

    `report` is called, while the producer is polled or flushed, with deliveries that no callback of their own reports.
    """
    callbacks = {} if report is None else {"on_delivery": report}
    with _accepted():
        return Producer({**PRODUCER, **config, **callbacks}, logger=client_log or ClientLog())


def new_admin(config: ClientConfig, client_log: ClientLog) -> AdminClient:
    """Make a client for questions about the cluster. Raises UsageError for what librdkafka refuses."""
    with _accepted():
        return AdminClient(dict(config), logger=client_log)


@contextmanager
def _accepted() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise UsageError(f"kafka.client: {kafka_error(error).str()}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"kafka.client: {error}") from error


def record_of(message: Message) -> Record:
    """Return a message without an error as a record; a header without a value gets an empty one."""
    headers = message.headers()
    return Record(
        message.topic(),  # type: ignore[arg-type]  # known of every message without an error, as are the next two
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        message.key(),
        message.value(),
        message.timestamp()[1],
        [(name, value or b"") for name, value in headers] if headers else (),  # type: ignore[misc, str-unpack]
    )


def kafka_error(error: KafkaException) -> KafkaError:
    """Return the KafkaError inside a KafkaException."""
    inner = error.args[0]
    if not isinstance(inner, KafkaError):
        raise error
    return inner


def explained(error: KafkaException, polled: Message | None) -> KafkaException:
    """Return what the broker refuses a client whose question went unanswered, else the `error` itself.

    Refused a group, librdkafka asks for its coordinator again until the question's time is up, and leaves the broker's
    reason to whoever polls the consumer next.
    """
    reason = None if polled is None else polled.error()
    if reason is None or kafka_error(error).code() != KafkaError._TIMED_OUT or reason.code() not in NEVER_HEALS:
        return error
    return KafkaException(reason)


def refused(doing: str, place: TopicPartition) -> None:
    """Raise the error of a partition, which an answer about several carries beside the others' results."""
    if place.error is not None:
        raise_error(f"{doing} of {place.topic}[{place.partition}]", place.error)


def raise_error(doing: str, error: KafkaError) -> NoReturn:
    """Raise FatalStreamError for what cannot heal, else TransientError."""
    kind = FatalStreamError if error.code() in NEVER_HEALS else TransientError
    raise kind(f"{doing}: {error.str()}")


@contextmanager
def fatal_as_such() -> Iterator[None]:
    """Raise a producer's fatal error as KafkaException, whatever its callbacks made of it.

    confluent-kafka raises it while it still calls back for the records that failed, and whatever a callback calls then
    fails with SystemError, which would hide the reason.
    """
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, KafkaException):
            raise error.__cause__ from None
        raise


@contextmanager
def transient(doing: str) -> Iterator[None]:
    """Turn trouble of brokers or network while `doing` into TransientError, what cannot heal into FatalStreamError."""
    try:
        yield
    except KafkaException as error:
        raise_error(doing, kafka_error(error))


def librdkafka_version() -> str:
    """Return the version of the C library inside the Python client, which has one of its own."""
    return libversion()[0]
