"""Compares the ring's topics with what workers have written about them, at every start and while they run.

The shape of the topics and the settings that decide labels are compared with what is written beside the join's state;
the oldest records kept, with how far workers have read.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import structlog

from stream_scorer.core.joining.join_state import JoinTopics
from stream_scorer.core.joining.ring_shape import RingShape, differences, take_apart
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.core.records import Partition, Record, TopicShape, offsets_of
from stream_scorer.errors import FatalStreamError, NotReady, TransientError, UsageError
from stream_scorer.ports import Clock, Fetched, LogReader, Telemetry

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 10.0
ASK_EVERY_S = 1.0
MARKERS_MAX = 10  # so many offsets may stand behind the last record of a topic that our transactions write
ADOPT = "set it back, or let the ring drain and run `stream-scorer topics --adopt` (docs/changing-the-ring.md)"


@dataclass(frozen=True, slots=True)
class Standing:
    """The shape that the ring works by, and what its topics are now: they may have grown since."""

    shape: RingShape
    topics: TopicShape

    @property
    def grown(self) -> str:
        """Return a sentence about topics that have grown, "" when they have not."""
        if self.topics.partitions == self.shape.partitions:
            return ""
        return (
            f"rankings, outcomes and labels have {self.topics.partitions} partitions, and the ring goes on with the "
            f"{self.shape.partitions} that it began with: to use the new ones, let it drain, stop it, and run "
            "`stream-scorer topics --adopt`"
        )


def shape_now(reader: LogReader, topics: JoinTopics) -> RingShape:
    """Return the shape of the ring's topics.

    Raises NotReady when one is missing, UsageError when their counts differ.
    """
    names = {"rankings": topics.rankings, "outcomes": topics.outcomes, "labels": topics.labels}
    shapes = reader.topics(list(names.values()))
    if missing := [name for name in names.values() if name not in shapes]:
        raise NotReady(
            f"topics do not exist, or this user may not see them: {', '.join(missing)}; "
            "stream-scorer topics creates them"
        )
    counts = {name: shapes[name].partitions for name in names.values()}
    if len(set(counts.values())) > 1:
        counted = ", ".join(f"{name} has {count}" for name, count in counts.items())
        msg = (
            f"rankings, outcomes and labels must have one partition count: {counted}; "
            f"grow them all to {max(counts.values())}: stream-scorer topics --grow {max(counts.values())}"
        )
        raise UsageError(msg)
    ids = {role: shapes[name].topic_id for role, name in names.items()}
    return RingShape(next(iter(counts.values())), ids)


def written_shape(reader: LogReader, topic: str) -> RingShape | None:
    """Return the shape that the reader's group has written beside its positions in a topic, None: it has not."""
    shape = reader.topics([topic]).get(topic, TopicShape(0))
    committed = (
        reader.committed([Partition(topic, number) for number in range(shape.partitions)]) if shape.partitions else {}
    )
    return _any_shape(position.metadata for position in committed.values() if position is not None)


def _any_shape(written: Iterable[str]) -> RingShape | None:
    shapes = []
    for metadata in written:
        try:
            shapes.append(take_apart(metadata)[1])
        except ValueError as error:
            raise UsageError(f"{error}: this version is older than the ring's state") from error
    return next((shape for shape in shapes if shape is not None), None)


def agree(now: RingShape, written: RingShape | None) -> RingShape:
    """Return the shape to work by: `now`, with the partition count that is written.

    Raises UsageError when the state cannot go on.
    """
    if written is None:
        return now
    if changed := differences(written, now):
        raise UsageError(f"the join's state was made otherwise: {'; '.join(changed)}; {ADOPT}")
    return replace(now, partitions=written.partitions)


def standing(join: LogReader, rank: LogReader, names: RankTopics, now: RingShape) -> Standing:
    """Compare `now` with what joiners have written or, where they have written nothing, rankers.

    Raises UsageError when the joiners' state cannot go on.
    """
    topics = TopicShape(now.partitions)
    if (written := written_shape(join, names.rankings)) is not None:
        return _noted(Standing(agree(now, written), topics))
    for topic in (names.requests, names.acceptances):
        # rankers have no state: what they routed to topics that are gone binds nobody
        if (routed := written_shape(rank, topic)) is not None and not differences(routed, now):
            return _noted(Standing(agree(now, routed), topics))
    return Standing(now, topics)


def _noted(stands: Standing) -> Standing:
    if stands.grown:
        log.warning("topics_grown", note=stands.grown)
    return stands


class RingWatch:
    """Looks again now and then, so that a worker ends with a sentence when the topics under it are changed."""

    def __init__(self, reader: LogReader, topics: JoinTopics, started: RingShape, *, clock: Clock) -> None:
        self._reader, self._topics, self._started, self._clock = reader, topics, started, clock
        self._due_s = clock.monotonic_s() + LOOK_EVERY_S
        self._partitions = 0

    def look(self) -> None:
        """Raise FatalStreamError when the topics are others, or their counts differ; growth alone is logged, once."""
        if self._clock.monotonic_s() < self._due_s:
            return
        try:
            now = shape_now(self._reader, self._topics)
        except (TransientError, NotReady):
            return  # a broker that is away is no change of the topics; the loop logs it
        except UsageError as error:
            raise FatalStreamError(str(error)) from error
        finally:
            self._due_s = self._clock.monotonic_s() + LOOK_EVERY_S
        if changed := differences(self._started, now):
            raise FatalStreamError(f"while this worker ran: {'; '.join(changed)}; start it again")
        if now.partitions not in (self._started.partitions, self._partitions):
            self._partitions = now.partitions
            _noted(Standing(self._started, TopicShape(now.partitions)))


class RetentionWatch:
    """Logs and counts records that retention took before a worker had read them.

    Two signs: a partition arrives whose oldest record lies behind the group's position; or its next record lies further
    on than the last one, and so does the oldest that is kept. Most gaps are markers of transactions, so the broker is
    asked about the widest of each partition, once a second at most.
    """

    def __init__(
        self, job: str, reader: LogReader, written_by_us: Collection[str], *, clock: Clock, telemetry: Telemetry
    ) -> None:
        """Ask `reader`, which knows the positions of the job's group; `written_by_us` are topics with markers."""
        self._job, self._reader, self._written_by_us = job, reader, written_by_us
        self._clock, self._telemetry = clock, telemetry
        self._next: dict[Partition, int] = {}
        self._gained: dict[Partition, None] = {}
        self._gaps: dict[Partition, tuple[int, int]] = {}
        self._logged: set[Partition] = set()
        self._asked_s = clock.monotonic_s() - ASK_EVERY_S

    def look(self, fetched: Fetched) -> None:
        """Take in what a fetch brought; to be called before its records are processed and their progress committed."""
        for one in fetched.assignment.dropped:
            self._next.pop(one, None)
            self._gained.pop(one, None)
            self._gaps.pop(one, None)
            self._logged.discard(one)
        self._gained |= dict.fromkeys(fetched.assignment.gained)
        self._follow(fetched.records)
        now_s = self._clock.monotonic_s()
        due = now_s - self._asked_s >= ASK_EVERY_S
        # a partition that arrives is asked about at once: after its first batch the position is another one
        if fetched.assignment.gained or (due and (self._gained or self._gaps)):
            self._asked_s = now_s
            try:
                self._ask()
            except TransientError:
                self._asked_s = now_s + LOOK_EVERY_S  # each question holds the loop up for as long as nobody answers

    def _follow(self, records: Iterable[Record]) -> None:
        for partition, offsets in offsets_of(records).items():
            expected = self._next.get(partition, offsets[0])
            self._next[partition] = offsets[-1] + 1
            if offsets[0] <= expected and offsets[-1] - offsets[0] < len(offsets):
                continue  # nothing is missing, as nearly always
            for offset, after in pairwise([expected - 1, *offsets]):
                first, end = self._gaps.get(partition, (0, 0))
                if after - offset - 1 > end - first:
                    self._gaps[partition] = (offset + 1, after)

    def _ask(self) -> None:
        committed = self._reader.committed(list(self._gained)) if self._gained else {}
        starts: dict[Partition, int] = {}
        lag: dict[Partition, int] = {}
        for partition, position in committed.items():
            if position is not None:
                self._compare(partition, position.offset, None)
            starts[partition] = self._reader.beginning(partition) if position is None else position.offset
            lag[partition] = max(0, self._reader.end(partition) - starts[partition])
            self._telemetry.polled(self._job, {partition: lag[partition]}, {})
            del self._gained[partition]
        self._note_ages({each: count for each, count in lag.items() if count}, starts)
        for partition, (first, end) in list(self._gaps.items()):
            self._compare(partition, first, end)
            del self._gaps[partition]

    def _note_ages(self, lag: Mapping[Partition, int], starts: Mapping[Partition, int]) -> None:
        """Note how old the first unread records are: a joiner may restore for a minute before it reads one."""
        if lag:
            times_ms = self._reader.first_times({each: starts[each] for each in lag})
            self._telemetry.polled(self._job, lag, times_ms)

    def _compare(self, partition: Partition, position: int, end: int | None) -> None:
        oldest = self._reader.beginning(partition)
        gone = (oldest if end is None else min(oldest, end)) - position
        if gone <= (MARKERS_MAX if partition.topic in self._written_by_us else 0):
            return
        self._telemetry.expired_unread(self._job, partition, gone)
        if partition not in self._logged:
            self._logged.add(partition)
            log.warning(
                "records_expired_unread",
                job=self._job,
                topic=partition.topic,
                partition=partition.number,
                records_max=gone,
                position=position,
                oldest=oldest,
                note="retention took them before they were read: keep the topic for longer, or read it faster",
            )
