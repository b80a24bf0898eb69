"""Compares the ring's topics and settings with what is written beside its state: at every start, and now and then while a worker runs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog

from stream_scorer.core.joining.join_state import JoinTopics
from stream_scorer.core.joining.ring_shape import RingShape, differences, take_apart
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.core.records import Partition, TopicShape
from stream_scorer.errors import FatalStreamError, NotReady, TransientError, UsageError
from stream_scorer.ports import Clock, LogReader

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 10.0
ADOPT = "set it back, or let the ring drain and run `stream-scorer topics --adopt` (docs/changing-the-ring.md)"


@dataclass(frozen=True, slots=True)
class Standing:
    """The shape that the ring works by, and what its topics are now: they may have grown since."""

    shape: RingShape
    topics: TopicShape

    @property
    def grown(self) -> str:
        """Return what to say about topics that have grown, "" when they have not."""
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
        msg = f"topics do not exist, or this user may not see them: {', '.join(missing)}; stream-scorer topics creates them"
        raise NotReady(msg)
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
    """Return the shape that the reader's group has written beside its positions in a topic, None where there is none."""
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
    """Hold `now` against what joiners have written, and where they have written nothing, rankers.

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
            return  # a broker that is away is no change; the loop says so itself
        except UsageError as error:
            raise FatalStreamError(str(error)) from error
        finally:
            self._due_s = self._clock.monotonic_s() + LOOK_EVERY_S
        if changed := differences(self._started, now):
            raise FatalStreamError(f"while this worker ran: {'; '.join(changed)}; start it again")
        if now.partitions not in (self._started.partitions, self._partitions):
            self._partitions = now.partitions
            _noted(Standing(self._started, TopicShape(now.partitions)))
