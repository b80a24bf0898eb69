"""erase: say where a customer's data lies, and remove what can be removed.

Kafka's records go by retention alone. Rows of the training buffer are removed, and what open requests of the customer
still bring is left out of it for ever. Joiners, the only ones that hold customers in memory, drop what they hold once
they read an erasure, which is written into every partition of `outcomes` so that a state rebuilt from the topics drops
it, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import OutputRecord, Partition, Record
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.core.wire.own_topics import may_nest_deeply
from stream_scorer.errors import TransientError
from stream_scorer.ports import Clock, LogReader, RecordFeed, TopicState, TrainingBuffer
from stream_scorer.services.verifying.reading import VerifyTopics, join_positions

ASK_EVERY_S = 0.25
SEGMENT_MS = 7 * 24 * 3_600_000  # Kafka's default: retention looks at whole segments


@dataclass(frozen=True, slots=True)
class Trace:
    """A customer's records in one topic.

    `gone_by_ms`: when retention has taken the last of them; None: never, or none is there.
    """

    topic: str
    records: int
    newest_ms: int | None
    retention_ms: int | None
    gone_by_ms: int | None


@dataclass(frozen=True, slots=True)
class OpenTrace:
    """Requests that joiners still hold, until event time has passed `until_ms` or they are erased."""

    count: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a customer's data lies; `rows` by file of the training buffer, `newest_event_ms` over all topics."""

    topics: list[Trace]
    open_requests: OpenTrace
    rows: Mapping[str, int]
    newest_event_ms: int | None = None

    @property
    def known(self) -> bool:
        """Return whether anything was found."""
        return any(trace.records for trace in self.topics) or bool(self.rows)


@dataclass(frozen=True, slots=True)
class Ground:
    """What is searched; `states` are those topics of customers' data that exist, `topics` what the join reads."""

    topics: VerifyTopics
    states: Mapping[str, TopicState]
    horizons: Horizons


class _Head(msgspec.Struct):
    customer_id: str
    event_time_ms: int = 0
    erased_to_ms: int = -1


class _TracedRecord(NamedTuple):
    """A record of the customer without its value; `erased_to_ms` of an erasure, else -1."""

    record: Record
    time_ms: int
    erased_to_ms: int

    @property
    def partition(self) -> Partition:
        return Partition(self.record.topic, self.record.partition)


_head = msgspec.json.Decoder(_Head).decode


def locate(
    customer_id: str,
    reader: LogReader,
    buffer: TrainingBuffer | None,
    ground: Ground,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Whereabouts:
    """Read the topics through, and the files; `reader` is of the joiners' group, `buffer` None: there is none.

    Raises TransientError.

    `progress` is called with how many records were read, and how many there are.
    """
    states = ground.states
    places = [Partition(name, number) for name, state in states.items() for number in range(state.partitions)]
    search = _Search(customer_id, reader, places, progress)
    found: dict[str, list[_TracedRecord]] = {name: [] for name in states}
    for place in places:
        found[place.topic] += search.records(place)
    traces = [_trace(name, records, states[name]) for name, records in found.items()]
    newest_event_ms = max((one.time_ms for records in found.values() for one in records), default=None)
    rows = {} if buffer is None else buffer.rows_of(customer_id)
    return Whereabouts(traces, _open_requests(found, reader, ground), rows, newest_event_ms)


class _Search:
    """Finds a customer's records: by the value, or by the key where the value cannot be read."""

    def __init__(
        self,
        customer_id: str,
        reader: LogReader,
        places: Sequence[Partition],
        progress: Callable[[int, int], None],
    ) -> None:
        self._customer_id, self._reader, self._progress = customer_id, reader, progress
        self._stretches = {place: (reader.beginning(place), reader.end(place)) for place in places}
        self._total = sum(end - first for first, end in self._stretches.values())
        self._read = 0

    def records(self, place: Partition) -> list[_TracedRecord]:
        found: list[_TracedRecord] = []
        first, end = self._stretches[place]
        for batch in self._reader.read(place, first, end):
            found += [one for record in batch if (one := self._found(record)) is not None]
            self._read += len(batch)
            self._progress(self._read, self._total)
        return found

    def _found(self, record: Record) -> _TracedRecord | None:
        head = _head_of(record.value or b"")
        if head is None:
            return _TracedRecord(_bare(record), 0, -1) if record.key == self._customer_id.encode() else None
        return (
            _TracedRecord(_bare(record), head.event_time_ms, head.erased_to_ms)
            if head.customer_id == self._customer_id
            else None
        )


def _head_of(value: bytes) -> _Head | None:
    if may_nest_deeply(value):
        return None
    try:
        return _head(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _bare(record: Record) -> Record:
    return Record(record.topic, record.partition, record.offset, None, None, record.timestamp_ms)


def _trace(topic: str, records: list[_TracedRecord], state: TopicState) -> Trace:
    newest_ms = max((one.record.timestamp_ms for one in records), default=None)
    config = state.config or {}
    retention_ms = int(config.get("retention.ms", -1))
    kept = retention_ms if retention_ms >= 0 and "delete" in config.get("cleanup.policy", "delete") else None
    gone_by_ms = (
        None if newest_ms is None or kept is None else newest_ms + kept + int(config.get("segment.ms", SEGMENT_MS))
    )
    return Trace(topic, len(records), newest_ms, kept, gone_by_ms)


def _open_requests(found: Mapping[str, list[_TracedRecord]], reader: LogReader, ground: Ground) -> OpenTrace:
    topics, forget_ms = ground.topics, ground.horizons.forget_ms
    positions, clocks = join_positions(
        reader, topics, {name: state.partitions for name, state in ground.states.items()}
    )
    heard = [one for one in found.get(topics.outcomes, []) if one.record.offset < positions.get(one.partition, 0)]
    until = []
    for one in found.get(topics.rankings, []):
        clock = clocks.get(one.record.partition)
        erased = any(
            one.time_ms <= each.erased_to_ms for each in heard if each.record.partition == one.record.partition
        )
        unread = clock is None or one.record.offset >= positions.get(one.partition, 0)
        open_still = clock is not None and not clock.at_close and clock.passed_ms <= one.time_ms + forget_ms
        if not erased and (unread or open_still):
            until.append(one.time_ms + forget_ms)
    return OpenTrace(len(until), max(until, default=None))


def tell_joiners(
    erasure: Erasure, feed: RecordFeed, reader: LogReader, outcomes: Sequence[Partition]
) -> dict[Partition, int]:
    """Write an erasure into every partition of `outcomes`, and return where.

    Raises TransientError when one is not delivered.
    """
    starts = {one: reader.end(one) for one in outcomes}
    key, value = erasure.customer_id.encode(), encode(erasure)
    feed.send([OutputRecord(one.topic, key, value, partition=one.number) for one in outcomes])
    feed.flush()
    if failures := feed.failures():
        raise TransientError(f"the erasure was not delivered: {'; '.join(failures)}; erase again")
    return {one: _place_of(erasure, reader, one, start) for one, start in starts.items()}


def _place_of(erasure: Erasure, reader: LogReader, partition: Partition, start: int) -> int:
    records = [record for batch in reader.read(partition, start, reader.end(partition)) for record in batch]
    written = decode_all(records, Erasure)
    return max(
        record.offset for record, message in zip(written.records, written.messages, strict=True) if message == erasure
    )


def wait_until_heard(places: Mapping[Partition, int], reader: LogReader, clock: Clock, *, wait_s: float) -> bool:
    """Return whether the joiners have read over all of these places by then; true where none ever ran."""
    deadline_s = clock.monotonic_s() + wait_s
    while not _heard(places, reader):
        if clock.monotonic_s() >= deadline_s:
            return False
        clock.sleep(ASK_EVERY_S)
    return True


def _heard(places: Mapping[Partition, int], reader: LogReader) -> bool:
    positions = {one: position for one, position in reader.committed(list(places)).items() if position is not None}
    return all(position.offset > places[one] for one, position in positions.items())
