"""Where a customer's data lies: in the topics, in open requests, and in the training buffer's files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.wire.own_topics import may_nest_deeply
from stream_scorer.ports import LogReader, TopicState, TrainingBuffer
from stream_scorer.services.verifying.reading import VerifyTopics, join_positions

SEGMENT_MS = (
    7 * 24 * 3_600_000
)  # Kafka's default; retention removes whole segments, so the last record may stay as long


@dataclass(frozen=True, slots=True)
class Trace:
    """A customer's records in a topic.

    `retention_ms` is how long the topic keeps records, None: for ever. `gone_by_ms` is when retention will have removed
    the last of them; None: never, or there is none.
    """

    topic: str
    records: int
    newest_ms: int | None
    retention_ms: int | None
    gone_by_ms: int | None


@dataclass(frozen=True, slots=True)
class OpenTrace:
    """Requests that joiners keep in memory until event time has passed `until_ms`, or until they read an erasure."""

    count: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a customer's data lies.

    `rows` counts those of each file of the training buffer; `newest_event_ms` is over all topics.
    """

    topics: list[Trace]
    open_requests: OpenTrace
    rows: Mapping[str, int]
    newest_event_ms: int | None = None

    @property
    def known(self) -> bool:
        """Return whether the customer's id occurs anywhere."""
        return any(trace.records for trace in self.topics) or bool(self.rows)


@dataclass(frozen=True, slots=True)
class Ground:
    """What is searched; `states` are the topics with customers' data that exist, `topics` names those of the join."""

    topics: VerifyTopics
    states: Mapping[str, TopicState]
    horizons: Horizons


class MessageHead(msgspec.Struct):
    """The fields of any of our messages that tell whose it is and when."""

    customer_id: str
    event_time_ms: int = 0
    erased_to_ms: int = -1


class _TracedRecord(NamedTuple):
    """A record of the customer without its value; `erased_to_ms` of an erasure, else -1."""

    record: Record
    event_time_ms: int
    erased_to_ms: int

    @property
    def partition(self) -> Partition:
        return Partition(self.record.topic, self.record.partition)


_head = msgspec.json.Decoder(MessageHead).decode


def locate(
    customer_id: str,
    reader: LogReader,
    buffer: TrainingBuffer | None,
    ground: Ground,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Whereabouts:
    """Read all topics from beginning to end, and the buffer's files unless `buffer` is None.

    `reader` is of the joiners' group. `progress` is called with the number of records read and their number in all.
    Raises TransientError when the brokers or the files cannot be reached.
    """
    states = ground.states
    places = [Partition(name, number) for name, state in states.items() for number in range(state.partitions)]
    search = _Search(customer_id, reader, places, progress)
    traced: dict[str, list[_TracedRecord]] = {name: [] for name in states}
    for place in places:
        traced[place.topic] += search.records(place)
    traces = [_trace(name, records, states[name]) for name, records in traced.items()]
    newest_event_ms = max((each.event_time_ms for records in traced.values() for each in records), default=None)
    rows = {} if buffer is None else buffer.rows_of(customer_id)
    return Whereabouts(traces, _open_requests(traced, reader, ground), rows, newest_event_ms)


class _Search:
    """Picks a customer's records by their value, or by their key where the value cannot be read."""

    def __init__(
        self,
        customer_id: str,
        reader: LogReader,
        places: Sequence[Partition],
        progress: Callable[[int, int], None],
    ) -> None:
        self._customer_id, self._reader, self._progress = customer_id, reader, progress
        # the ends of now: a search that followed the producers would never finish
        self._stretches = {place: (reader.beginning(place), reader.end(place)) for place in places}
        self._total = sum(end - first for first, end in self._stretches.values())
        self._read = 0

    def records(self, place: Partition) -> list[_TracedRecord]:
        """Return the customer's records in one partition."""
        theirs: list[_TracedRecord] = []
        first, end = self._stretches[place]
        for batch in self._reader.read(place, first, end):
            theirs += [traced for record in batch if (traced := self._traced(record)) is not None]
            self._read += len(batch)
            self._progress(self._read, self._total)
        return theirs

    def _traced(self, record: Record) -> _TracedRecord | None:
        head = head_of(record.value or b"")
        if head is None:
            return _TracedRecord(_without_value(record), 0, -1) if record.key == self._customer_id.encode() else None
        if head.customer_id != self._customer_id:
            return None
        return _TracedRecord(_without_value(record), head.event_time_ms, head.erased_to_ms)


def head_of(value: bytes) -> MessageHead | None:
    """Return whose message a value is and of when; None where that cannot be read."""
    # msgspec's parser is recursive: a value that nests too deep would overflow the stack before it could raise
    if may_nest_deeply(value):
        return None
    try:
        return _head(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _without_value(record: Record) -> Record:
    # a customer may have millions of records: their values would not fit into memory
    return Record(record.topic, record.partition, record.offset, None, None, record.timestamp_ms)


def _trace(topic: str, records: list[_TracedRecord], state: TopicState) -> Trace:
    newest_ms = max((each.record.timestamp_ms for each in records), default=None)
    config = state.config or {}
    retention_ms = int(config.get("retention.ms", -1))
    if retention_ms < 0 or "delete" not in config.get("cleanup.policy", "delete"):
        return Trace(topic, len(records), newest_ms, None, None)
    last_ms = None if newest_ms is None else newest_ms + retention_ms + int(config.get("segment.ms", SEGMENT_MS))
    return Trace(topic, len(records), newest_ms, retention_ms, last_ms)


def _open_requests(traced: Mapping[str, list[_TracedRecord]], reader: LogReader, ground: Ground) -> OpenTrace:
    topics, forget_ms = ground.topics, ground.horizons.forget_ms
    partitions = {name: state.partitions for name, state in ground.states.items()}
    positions, clocks = join_positions(reader, topics, partitions)
    erased_to_ms: dict[int, int] = {}
    for outcome in traced.get(topics.outcomes, []):
        if outcome.record.offset < positions.get(outcome.partition, 0):  # the joiners have read it
            number = outcome.record.partition
            erased_to_ms[number] = max(erased_to_ms.get(number, -1), outcome.erased_to_ms)
    until = []
    for ranking in traced.get(topics.rankings, []):
        clock = clocks.get(ranking.record.partition)
        erased = ranking.event_time_ms <= erased_to_ms.get(ranking.record.partition, -1)
        unread = clock is None or ranking.record.offset >= positions.get(ranking.partition, 0)
        # at_close keeps no request open: it reads the ranking again when its window has closed
        still_open = clock is not None and not clock.at_close and clock.passed_ms <= ranking.event_time_ms + forget_ms
        if not erased and (unread or still_open):
            until.append(ranking.event_time_ms + forget_ms)
    return OpenTrace(len(until), max(until, default=None))
