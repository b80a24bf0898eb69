"""Lets a ring that began with other topics or settings go on with those of now.

They may be more partitions, another window, or topics that were made anew.

A customer's ranking and answers must meet in one partition and be judged by one window, so nothing may be open or
unread while the ring's shape changes; and the groups, whose positions are written anew, may have no members.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from stream_scorer.core.joining.ring_shape import RingShape, differences, take_apart
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.core.records import Partition, Position
from stream_scorer.errors import UsageError
from stream_scorer.ports import LogReader, TopicAdmin
from stream_scorer.services.streaming.join_restore import JoinConfig, restore
from stream_scorer.services.streaming.ring_check import shape_now, written_shape


@dataclass(frozen=True, slots=True)
class RingGroup:
    """A consumer group of the ring, a reader that knows its positions, and the topics it reads."""

    name: str
    reader: LogReader
    topics: Sequence[str]


@dataclass(frozen=True, slots=True)
class Adopted:
    """The shape that the ring worked by (None: it had no state), that of now, and how many records were given up."""

    before: RingShape | None
    now: RingShape
    dropped: int


def adopt(
    admin: TopicAdmin,
    join: RingGroup,
    rank: RingGroup,
    config: JoinConfig,
    names: RankTopics,
    *,
    grow_to: int | None = None,
    drop_open: bool = False,
) -> Adopted:
    """Let the ring work by the topics and settings of now, its three topics grown to `grow_to` partitions before.

    Raises UsageError, before anything is changed, when a group has members, or when requests are open and `drop_open`
    is not given.
    """
    for group in (join, rank):
        if count := admin.members(group.name):
            raise UsageError(f"group {group.name} has {count} members: stop rank and join first")
    written = written_shape(join.reader, names.rankings) or written_shape(rank.reader, names.requests)
    dropped = _open(join.reader, config, written)
    if dropped and not drop_open:
        raise UsageError(_still_open(dropped, config))
    if grow_to is not None:
        admin.grow([config.topics.rankings, config.topics.outcomes, config.topics.labels], grow_to)
    now = replace(shape_now(join.reader, config.topics), emit=config.emit, horizons=config.horizons)
    keeps_point = not dropped and written is not None and written.emit == now.emit
    _write(admin, join, now, keeps_point=keeps_point)
    _write(admin, rank, RingShape(now.partitions, now.topic_ids), keeps_point=False)
    return Adopted(written, now, dropped)


def _still_open(count: int, config: JoinConfig) -> str:
    wait_s = (config.horizons.keep_ms + config.horizons.idle_slack_ms) / 1000
    return (
        f"{count} records are open or unread: stop rank, and let join run until nothing is open, "
        f"{wait_s:,.0f} s after the last request; or give up their labels with --drop-open"
    )


def _open(reader: LogReader, config: JoinConfig, written: RingShape | None) -> int:
    """Return how many records are open, wait, or are unread, by the settings that the state was made with."""
    topics = config.topics
    shapes = reader.topics([topics.rankings, topics.outcomes, topics.labels])
    count = min((shape.partitions for shape in shapes.values()), default=0)
    if written is not None and written.emit and written.horizons is not None:
        config = replace(
            config, emit="at_close" if written.emit == "at_close" else "at_once", horizons=written.horizons
        )
        count = min(count, written.partitions)
    ids = {
        role: shapes[name].topic_id
        for role, name in (("rankings", topics.rankings), ("outcomes", topics.outcomes), ("labels", topics.labels))
        if name in shapes
    }
    anew = written is not None and bool(differences(written, RingShape(written.partitions, ids)))
    return sum(_open_in(number, reader, config, anew=anew) for number in range(count))


def _open_in(number: int, reader: LogReader, config: JoinConfig, *, anew: bool) -> int:
    places = [Partition(topic, number) for topic in (config.topics.rankings, config.topics.outcomes)]
    committed = reader.committed(places)
    unread = sum(_records(reader, place, committed[place]) for place in places)
    if committed[places[0]] is None:
        return unread
    # the state of topics that are gone cannot be rebuilt: for all that is known, something in it is open
    return unread + (1 if anew else restore(number, reader, replace(config, shape=None)).held)


def _records(reader: LogReader, place: Partition, position: Position | None) -> int:
    start = reader.beginning(place) if position is None else max(position.offset, reader.beginning(place))
    return sum(len(batch) for batch in reader.read(place, start, reader.end(place)))


def _write(admin: TopicAdmin, group: RingGroup, shape: RingShape, *, keeps_point: bool) -> None:
    """Write the shape beside every position of the group."""
    shapes = group.reader.topics(group.topics)
    places = [Partition(name, number) for name, each in shapes.items() for number in range(each.partitions)]
    committed = group.reader.committed(places)
    positions = dict(_with_shape(committed.items(), shape, keeps_point=keeps_point))
    if positions:
        admin.set_positions(group.name, positions)


def _with_shape(
    committed: Iterable[tuple[Partition, Position | None]], shape: RingShape, *, keeps_point: bool
) -> Iterable[tuple[Partition, Position]]:
    for place, position in committed:
        if position is not None:
            point = take_apart(position.metadata)[0] if keeps_point else ""
            yield place, Position(position.offset, shape.beside(point))
