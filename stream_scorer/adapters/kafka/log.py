"""Reading stretches of partitions outside any group, to rebuild state."""

import time
from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from stream_scorer.adapters.kafka.client import (
    ClientConfig,
    explained,
    new_admin,
    new_consumer,
    raise_error,
    record_of,
    refused,
    transient,
)
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.adapters.kafka.retries import until_coordinated
from stream_scorer.adapters.kafka.topic_shapes import topic_shapes
from stream_scorer.core.forms.topic_forms import TopicForms
from stream_scorer.core.records import Partition, Position, Record, TopicShape
from stream_scorer.errors import TransientError

_BATCH = 5_000
_WAIT_S = 0.5
_FIRST_TIMES_S = 2.0


class KafkaLog:
    """See LogReader."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        timeout_s: float,
        isolation: str = "read_committed",
        forms: TopicForms | None = None,
    ) -> None:
        """Use the group of `config` (group.id) for its committed positions only; never join it.

        With `isolation` read_uncommitted, reads what was aborted too; never restore with that. Records of topics in
        `forms` come as JSON.
        """
        # a stretch ends when the broker answers that nothing follows, for which it waits as long as a fetch may
        self._group = config["group.id"]
        self._consumer = new_consumer({"fetch.wait.max.ms": 10, **config, "isolation.level": isolation})
        asking = {key: value for key, value in config.items() if not key.startswith(("group.", "isolation."))}
        self._admin = new_admin(asking, ClientLog())
        self._timeout_s, self._forms = timeout_s, forms
        self._looked_up: set[str] = set()

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        """See LogReader.committed; waits at most the time-out for a predecessor's transaction."""
        places = self._committed([TopicPartition(*each) for each in partitions])
        positions: dict[Partition, Position | None] = {}
        for place in places:
            refused("reading the committed offset", place)
            position = None if place.offset == OFFSET_INVALID else Position(place.offset, place.metadata or "")
            positions[Partition(place.topic, place.partition)] = position
        return positions

    def _committed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        with transient(f"reading committed offsets of the group {self._group}"):
            try:
                tries = until_coordinated(for_s=self._timeout_s)
                return tries(self._consumer.committed, partitions, timeout=self._timeout_s)
            except KafkaException as error:
                raise explained(error, self._consumer.poll(0)) from error

    def group_metadata(self) -> object:
        """Return what a transactional producer needs to commit offsets for the group, which must have no members."""
        return self._consumer.consumer_group_metadata()

    def topics(self, names: Sequence[str]) -> dict[str, TopicShape]:
        """See LogReader.topics."""
        with transient("asking about topics"):
            return topic_shapes(self._admin, names, timeout_s=self._timeout_s)

    def beginning(self, partition: Partition) -> int:
        """See LogReader.beginning."""
        return self._offset(partition, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def end(self, partition: Partition) -> int:
        """See LogReader.end: read uncommitted, since the last stable offset may lag behind a marker."""
        return self._offset(partition, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def _offset(self, partition: Partition, spec: OffsetSpec) -> int:
        place = TopicPartition(*partition)
        with transient(f"reading an offset of {partition.topic}[{partition.number}]"):
            futures = self._admin.list_offsets(
                {place: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=self._timeout_s
            )
            offset = futures[place].result(self._timeout_s + 1).offset
        return int(offset)

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """See LogReader.read. Raises TransientError when nothing comes for the time-out."""
        if start >= end:
            return
        self._look_up(partition.topic)
        self._consumer.assign([TopicPartition(*partition, start)])
        try:
            yield from self._read_assigned(partition, end)
        finally:
            self._consumer.unassign()

    def _look_up(self, topic: str) -> None:
        """Learn who leads a topic's partitions.

        For a topic that is new to it, an assignment waits for the client's own round of look-ups, once a second.
        """
        if topic not in self._looked_up:
            with transient(f"asking who leads {topic}"):
                self._consumer.list_topics(topic, timeout=self._timeout_s)
            self._looked_up.add(topic)

    def _read_assigned(self, partition: Partition, end: int) -> Iterator[list[Record]]:
        deadline_s = time.monotonic() + self._timeout_s
        over = False
        while not over:
            records, over = self._next_batch(end)
            if records:
                deadline_s = time.monotonic() + self._timeout_s
                yield records if self._forms is None else self._forms.read(records)
            elif not over and self._position(partition) >= end:
                return
            elif not over and time.monotonic() > deadline_s:
                raise TransientError(
                    f"{partition.topic}[{partition.number}] stayed silent for {self._timeout_s} s before offset {end}"
                )

    def _next_batch(self, end: int) -> tuple[list[Record], bool]:
        """Return what has come, and whether the stretch is over."""
        records: list[Record] = []
        first = self._consumer.poll(_WAIT_S)
        for message in [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]:
            error = message.error()
            if error is None and (record := record_of(message)).offset < end:
                records.append(record)
            elif error is None or (error.code() == KafkaError._PARTITION_EOF and (message.offset() or 0) >= end):
                return records, True
            elif error.code() != KafkaError._PARTITION_EOF:
                raise_error(f"reading {message.topic()}", error)
            # what the broker takes for the end may be the last stable offset: go on until `end` is reached
        return records, False

    def _position(self, partition: Partition) -> int:
        with transient("asking how far a partition is read"):
            (place,) = self._consumer.position([TopicPartition(*partition)])
        refused("asking how far it is read", place)
        return int(place.offset)  # negative before the first record

    def first_times(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """See LogReader.first_times. All partitions are asked together: it takes as long as the slowest."""
        for topic in {each.topic for each in offsets}:
            self._look_up(topic)
        self._consumer.assign([TopicPartition(*each, offset) for each, offset in offsets.items()])
        try:
            return self._first_times_assigned(len(offsets))
        finally:
            self._consumer.unassign()

    def _first_times_assigned(self, partitions: int) -> dict[Partition, int]:
        times: dict[Partition, int] = {}
        over: set[Partition] = set()  # those whose end came first
        deadline_s = time.monotonic() + min(self._timeout_s, _FIRST_TIMES_S)
        while len(times.keys() | over) < partitions and time.monotonic() < deadline_s:
            first = self._consumer.poll(_WAIT_S)
            for message in [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]:
                error = message.error()
                if error is None:
                    record = record_of(message)
                    times.setdefault(Partition(record.topic, record.partition), record.timestamp_ms)
                elif error.code() == KafkaError._PARTITION_EOF:
                    over.add(Partition(message.topic() or "", message.partition() or 0))
                else:
                    raise_error(f"reading {message.topic()}", error)
        return times

    def close(self) -> None:
        """See LogReader.close."""
        self._consumer.close()
