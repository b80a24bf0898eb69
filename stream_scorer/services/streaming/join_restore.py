"""Rebuilds the state of one partition as it was when its positions were committed, from the three topics."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from sys import maxsize
from typing import Literal, TypeVar

import structlog

from stream_scorer.core.joining.at_close import PartitionClose
from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.joining.join_state import ClosePoint, JoinTopics, RestorePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import RingShape, differences, take_apart
from stream_scorer.core.records import Partition, Position, Record
from stream_scorer.errors import UsageError
from stream_scorer.ports import LogReader

log = structlog.get_logger(__name__)

State = TypeVar("State", PartitionJoin, PartitionClose)
Point = TypeVar("Point", RestorePoint, ClosePoint)
Emit = Literal["at_once", "at_close"]


@dataclass(frozen=True, slots=True)
class JoinConfig:
    """What a joiner must know.

    `held_max` bounds the open requests of a joiner, and by itself the outcomes that wait; `label_bytes_max` bounds a
    labelled ranking.
    """

    topics: JoinTopics
    dead_letters: str
    horizons: Horizons
    held_max: int
    emit: Emit = "at_once"
    shape: RingShape | None = None
    """What to write beside the positions; None: nothing, and nothing is compared."""
    label_bytes_max: int = maxsize


@dataclass(frozen=True, slots=True)
class _RestoreGround:
    """What is committed of a partition, and where its topics begin and end."""

    number: int
    reader: LogReader
    config: JoinConfig
    committed: Position | None
    rankings_next: int
    outcomes_next: int
    labels_end: int

    def rankings(self, start: int) -> Iterator[list[Record]]:
        return self.reader.read(Partition(self.config.topics.rankings, self.number), start, self.rankings_next)

    def outcomes(self, start: int) -> Iterator[list[Record]]:
        return self.reader.read(Partition(self.config.topics.outcomes, self.number), start, self.outcomes_next)

    def labels(self, start: int) -> Iterator[Record]:
        return chain.from_iterable(
            self.reader.read(Partition(self.config.topics.labels, self.number), start, self.labels_end)
        )

    def labels_beginning(self) -> int:
        return self.reader.beginning(Partition(self.config.topics.labels, self.number))


def restore(number: int, reader: LogReader, config: JoinConfig) -> PartitionJoin | PartitionClose:
    """Rebuild a partition's state.

    Labels are read back to the end of their topic: what was written without its positions (at least once) counts as
    emitted. Raises UsageError for positions that another way to emit has written.
    """
    found = _find(number, reader, config)
    return _restore_close(found) if config.emit == "at_close" else _restore_join(found)


def _find(number: int, reader: LogReader, config: JoinConfig) -> _RestoreGround:
    rankings, outcomes = Partition(config.topics.rankings, number), Partition(config.topics.outcomes, number)
    # waits for a predecessor's transaction; only then is the end of labels the end of what it wrote
    committed = reader.committed([rankings, outcomes])
    labels_end = reader.end(Partition(config.topics.labels, number))
    rankings_at, outcomes_at = committed[rankings], committed[outcomes]
    point = None if rankings_at is None else _checked(number, rankings_at, config)
    return _RestoreGround(
        number,
        reader,
        config,
        point,
        rankings_at.offset if rankings_at else reader.beginning(rankings),
        outcomes_at.offset if outcomes_at else reader.beginning(outcomes),
        labels_end,
    )


def _checked(number: int, position: Position, config: JoinConfig) -> Position | None:
    """Return the position with its restore point alone, None where it has none.

    Raises UsageError for a state of another shape.
    """
    try:
        point, written = take_apart(position.metadata)
    except ValueError as error:
        raise UsageError(f"partition {number}: {error}") from error
    if config.shape is not None and written is not None and (changed := differences(written, config.shape)):
        raise UsageError(f"partition {number}: the join's state was made otherwise: {'; '.join(changed)}")
    return Position(position.offset, point) if point else None


def _started(found: _RestoreGround, kind: type[State]) -> State:
    config = found.config
    at = {"rankings": found.rankings_next, "outcomes": found.outcomes_next, "labels": found.labels_end}
    state = kind(found.number, config.topics, config.horizons, label_bytes_max=config.label_bytes_max, **at)
    if found.committed is None:
        _reread_labels(found, state, found.labels_beginning())
        if state.labels_read_back:
            # the group's positions are gone, or a first batch was written without them
            log.warning(
                "partition_rebuilt",
                partition=found.number,
                requests_with_labels=state.labels_read_back,
                note="dead letters may be written again",
            )
    return state


def _reread_labels(found: _RestoreGround, state: PartitionJoin | PartitionClose, start: int) -> None:
    foreign = state.reread_labels(found.labels(start))
    if foreign:
        log.warning("foreign_labels_skipped", topic=found.config.topics.labels, partition=found.number, records=foreign)


def _point(found: _RestoreGround, committed: Position, kind: type[Point]) -> Point:
    try:
        return kind.from_text(committed.metadata)
    except ValueError as error:
        msg = f"partition {found.number}: {error}; a group keeps its way to emit: choose another join.group for another one"
        raise UsageError(msg) from error


def _restore_join(found: _RestoreGround) -> PartitionJoin:
    state = _started(found, PartitionJoin)
    if found.committed is not None:
        point = _point(found, found.committed, RestorePoint)
        state.resume_at(point)
        _reread_labels(found, state, point.labels)
        for batch in chain(found.rankings(point.rankings), found.outcomes(point.outcomes)):
            state.reread(batch)
        left_out = state.settle_restored()
        log.debug(
            "partition_restored",
            partition=found.number,
            held=state.held,
            watermark_ms=state.watermark_ms,
            left_out=left_out,
        )
    return state


def _restore_close(found: _RestoreGround) -> PartitionClose:
    state = _started(found, PartitionClose)
    if found.committed is not None:
        point = _point(found, found.committed, ClosePoint)
        state.resume_at(point)
        for batch in found.rankings(point.rankings):
            state.reread_rankings(batch)
        _reread_labels(found, state, point.labels)
        for batch in found.outcomes(point.outcomes):
            state.reread_outcomes(batch)
        log.debug("partition_restored", partition=found.number, held=state.held, watermark_ms=state.watermark_ms)
    return state
