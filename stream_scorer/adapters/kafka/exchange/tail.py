"""Reads what is written to topics from now on. See RecordTail."""

from collections.abc import Sequence

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from stream_scorer.adapters.kafka.client import (
    NEVER_HEALS,
    ClientConfig,
    new_admin,
    new_consumer,
    raise_error,
    record_of,
    transient,
)
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.membership import any_connected
from stream_scorer.adapters.kafka.source import LOOK_EVERY_MS
from stream_scorer.adapters.kafka.topic_shapes import topic_shapes
from stream_scorer.core.records import Record
from stream_scorer.errors import UsageError

_BATCH = 1_000
_GRACE_S = 1.0  # the client's own time-out comes first, with a reason


class KafkaTail:
    """See RecordTail. It reads all partitions that the topics have now, belongs to no group, and commits nothing."""

    def __init__(self, config: ClientConfig, topics: Sequence[str], *, timeout_s: float) -> None:
        """Begin at the present ends. Raises UsageError for a missing topic, TransientError without an answer."""
        admin = new_admin(config, ClientLog())
        with transient("asking about topics"):
            shapes = topic_shapes(admin, topics, timeout_s=timeout_s)
        for topic in topics:
            if topic not in shapes:
                raise UsageError(f"there is no topic {topic}, or it may not be read")
        places = [TopicPartition(name, each) for name, shape in shapes.items() for each in range(shape.partitions)]
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # untyped there
        # The ends are asked for now: a consumer that is told to begin at the end finds it only when it first fetches,
        # and would skip what was written meanwhile.
        with transient("reading the ends of topics"):
            futures = admin.list_offsets(
                dict.fromkeys(places, latest),
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=timeout_s,
            )
            ends = [
                TopicPartition(place.topic, place.partition, future.result(timeout_s + _GRACE_S).offset)
                for place, future in futures.items()
            ]
        self.trouble = ""
        self._client_log = ClientLog()
        looking = {"statistics.interval.ms": LOOK_EVERY_MS, **config, "group.id": "stream-scorer-client"}
        self._consumer = new_consumer(looking, self._client_log, statistics=self._look)
        self._consumer.assign(ends)

    def _look(self, statistics: str) -> None:
        """Note whether a broker is connected, which poll() never reports."""
        reason = self._client_log.reason or "no reason is known"
        self.trouble = "" if any_connected(statistics) else f"no broker is connected: {reason}"

    def fetch(self, *, wait_s: float) -> list[Record]:
        """See RecordTail.fetch."""
        first = self._consumer.poll(wait_s)
        records = []
        for message in [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is None:
                records.append(record_of(message))
            elif error.code() in NEVER_HEALS:
                raise_error(f"reading {message.topic()}", error)
        return records

    def close(self) -> None:
        """See RecordTail.close."""
        self._consumer.close()
