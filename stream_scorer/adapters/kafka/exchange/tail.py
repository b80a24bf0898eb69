"""Reads what is written to topics from now on. See RecordTail."""

from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, IsolationLevel, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

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
from stream_scorer.adapters.kafka.exchange.remade import TopicIds
from stream_scorer.adapters.kafka.membership import any_connected, known_partitions
from stream_scorer.adapters.kafka.retries import retrying
from stream_scorer.adapters.kafka.source import LOOK_EVERY_MS
from stream_scorer.adapters.kafka.topic_shapes import topic_shapes
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import Partition, Record
from stream_scorer.errors import FatalStreamError, UsageError

_BATCH = 1_000
_GRACE_S = 1.0  # the client's own time-out comes first, with a reason
_ELECTION_S = 0.1
# what brokers answer while a partition that was just made, or whose leader went away, gets a leader
_WITHOUT_LEADER = frozenset(
    {KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
)


class KafkaTail:
    """See RecordTail. It reads all partitions that the topics have or get, belongs to no group, and commits nothing."""

    def __init__(
        self, config: ClientConfig, topics: Sequence[str], *, timeout_s: float, forms: TopicForms | None = None
    ) -> None:
        """Begin at the present ends. Raises UsageError for a missing topic, TransientError without an answer."""
        admin = new_admin(config, ClientLog())
        with transient("asking about topics"):
            shapes = topic_shapes(admin, topics, timeout_s=timeout_s)
        for topic in topics:
            if topic not in shapes:
                raise UsageError(f"there is no topic {topic}, or it may not be read")
        places = [TopicPartition(name, each) for name, shape in shapes.items() for each in range(shape.partitions)]
        # The ends are asked for now: a consumer that is told to begin at the end finds it only when it first fetches,
        # and would skip what was written meanwhile.
        with transient("reading the ends of topics"):
            ends = retrying(_is_elected_soon, for_s=timeout_s, wait_s=_ELECTION_S)(_ends, admin, places, timeout_s)
        self.trouble, self._forms = "", forms
        self._remade: list[str] = []
        self._ids = TopicIds(admin, shapes, timeout_s=timeout_s)
        self._read = {Partition(each.topic, each.partition) for each in ends}
        self._client_log = ClientLog()
        looking = {"statistics.interval.ms": LOOK_EVERY_MS, **config, "group.id": "stream-scorer-client"}
        self._consumer = new_consumer(looking, self._client_log, statistics=self._look)
        self._consumer.assign(ends)

    def _look(self, statistics: str) -> None:
        """Note whether a broker is connected, which poll() never reports; read partitions that were added."""
        reason = self._client_log.reason or "no reason is known"
        self.trouble = "" if any_connected(statistics) else f"no broker is connected: {reason}"
        if added := known_partitions(statistics) - self._read:
            # all that is in them was written after the tail was opened
            self._consumer.incremental_assign([TopicPartition(*each, OFFSET_BEGINNING) for each in sorted(added)])
            self._read |= added
        self._remade = self._remade or self._ids.remade()

    def fetch(self, *, wait_s: float) -> list[Record]:
        """See RecordTail.fetch."""
        first = self._consumer.poll(wait_s)
        if self._remade:  # the client goes on at the old offsets, or waits for the old leader epoch for ever
            raise FatalStreamError(f"topic {self._remade[0]} was deleted and made anew")
        records: list[Record] = []
        for message in [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is None:
                records.append(record_of(message))
            elif error.code() in NEVER_HEALS:
                raise_error(f"reading {message.topic()}", error)
        return records if self._forms is None else self._forms.read(records)

    def close(self) -> None:
        """See RecordTail.close."""
        self._consumer.close()


def _ends(admin: AdminClient, places: Sequence[TopicPartition], timeout_s: float) -> list[TopicPartition]:
    """Return the partitions with their ends as offsets. Raises KafkaException."""
    latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # untyped there
    futures = admin.list_offsets(
        dict.fromkeys(places, latest), isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=timeout_s
    )
    return [
        TopicPartition(place.topic, place.partition, future.result(timeout_s + _GRACE_S).offset)
        for place, future in futures.items()
    ]


def _is_elected_soon(error: KafkaError) -> bool:
    return error.code() in _WITHOUT_LEADER
