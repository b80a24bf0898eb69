"""Rebuilds the state of one partition as it was when its positions were committed, from the three topics."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue
from sys import maxsize
from threading import Event, Thread
from typing import Literal, TypeVar

import structlog
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_random_exponential,
)

from stream_scorer.core.joining.at_close import PartitionClose
from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.joining.join_state import ClosePoint, JoinTopics, RestorePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.ring_shape import RingShape, differences, take_apart
from stream_scorer.core.records import Partition, Position, Record
from stream_scorer.core.wire.letter_headers import HeaderStyle
from stream_scorer.errors import Stopped, TransientError, UsageError
from stream_scorer.ports import LogReader

log = structlog.get_logger(__name__)

State = TypeVar("State", PartitionJoin, PartitionClose)
Point = TypeVar("Point", RestorePoint, ClosePoint)
Emit = Literal["at_once", "at_close"]
RESTORE_TRIES_S = 60
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class JoinConfig:
    """The topics, horizons and bounds of a joiner.

    `held_max` bounds the open requests of a joiner, and by itself the outcomes that wait; `label_bytes_max` bounds a
    labelled ranking.
    """

    topics: JoinTopics
    dead_letters: str
    horizons: Horizons
    held_max: int
    emit: Emit = "at_once"
    shape: RingShape | None = None
    """What is written beside the positions, and compared with what was written; None: neither is done."""
    label_bytes_max: int = maxsize
    letter_headers: HeaderStyle = "ours"
    passed_headers: tuple[str, ...] = ()
    """Headers that go from rankings to their labels."""


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
    stopping: Callable[[], bool]

    def rankings(self, start: int) -> Iterator[list[Record]]:
        return self._read(self.config.topics.rankings, start, self.rankings_next)

    def outcomes(self, start: int) -> Iterator[list[Record]]:
        return self._read(self.config.topics.outcomes, start, self.outcomes_next)

    def labels(self, start: int) -> Iterator[Record]:
        return chain.from_iterable(self._read(self.config.topics.labels, start, self.labels_end))

    def _read(self, topic: str, start: int, end: int) -> Iterator[list[Record]]:
        place = Partition(topic, self.number)
        if start < end and (oldest := self.reader.beginning(place)) > start:
            log.warning(
                "restore_records_expired",
                topic=topic,
                partition=self.number,
                records_max=min(oldest, end) - start,
                note="labels of requests that were open may be missing: keep the topic for longer (see doctor)",
            )
        for batch in self.reader.read(place, start, end):
            if self.stopping():
                raise Stopped(f"stopped before partition {self.number} was restored")
            yield batch

    def labels_beginning(self) -> int:
        return self.reader.beginning(Partition(self.config.topics.labels, self.number))


class Restorer:
    """Rebuilds the states of partitions, one after the other, in a thread beside the loop.

    A daemon: a restore that hangs in the client while the brokers are away must not keep a stopped process alive.
    """

    def __init__(self, new_reader: Callable[[], LogReader], config: JoinConfig) -> None:
        """Restore by readers of their own, each until it fails, since it may not recover, or has nothing left to do."""
        self._new_reader, self._config = new_reader, config
        self._reader: LogReader | None = None
        self._closing = Event()
        self._queue: SimpleQueue[tuple[int, Future[PartitionJoin | PartitionClose]] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="restore", daemon=True)
        self._thread.start()

    def submit(self, number: int) -> "Future[PartitionJoin | PartitionClose]":
        """Return the state of a partition as it will be; see `restore` for what it may raise."""
        restored: Future[PartitionJoin | PartitionClose] = Future()
        self._queue.put((number, restored))
        return restored

    def _run(self) -> None:
        while (asked := self._queue.get()) is not None:
            number, restored = asked
            if not restored.set_running_or_notify_cancel():
                continue
            try:
                restored.set_result(self._restore(number))
            except Exception as error:  # noqa: BLE001  # not swallowed: whoever asks for the result gets it
                restored.set_exception(error)
            if self._queue.empty():
                self._let_go()
        self._let_go()

    def _restore(self, number: int) -> PartitionJoin | PartitionClose:
        tries = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_delay(RESTORE_TRIES_S) | stop_when_event_set(self._closing),
            wait=wait_random_exponential(0.2, 5),
            sleep=sleep_using_event(self._closing),
            reraise=True,
        )
        return tries(self._restore_now, number)

    def _restore_now(self, number: int) -> PartitionJoin | PartitionClose:
        # partitions come several at a time, and a reader takes longer to connect than a small one takes to restore
        if self._reader is None:
            self._reader = self._new_reader()
        try:
            return restore(number, self._reader, self._config, stopping=self._closing.is_set)
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            reader.close()

    def close(self) -> None:
        """Stop restoring; wait for what is under way a second at most."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(CLOSE_S)


def restore(
    number: int, reader: LogReader, config: JoinConfig, *, stopping: Callable[[], bool] = lambda: False
) -> PartitionJoin | PartitionClose:
    """Rebuild a partition's state.

    Labels are read back to the end of their topic: what was written without its positions (at least once) counts as
    emitted. Raises UsageError for positions that another way to emit has written, Stopped when `stopping` meanwhile.
    """
    ground = _survey(number, reader, config, stopping)
    return _restore_close(ground) if config.emit == "at_close" else _restore_join(ground)


def _survey(number: int, reader: LogReader, config: JoinConfig, stopping: Callable[[], bool]) -> _RestoreGround:
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
        stopping,
    )


def _checked(number: int, position: Position, config: JoinConfig) -> Position | None:
    """Return the position with its restore point alone, None where it has none.

    Raises UsageError when the state was made with topics or settings of another shape.
    """
    try:
        point, written = take_apart(position.metadata)
    except ValueError as error:
        raise UsageError(f"partition {number}: {error}") from error
    if config.shape is not None and written is not None and (changed := differences(written, config.shape)):
        raise UsageError(f"partition {number}: the join's state was made otherwise: {'; '.join(changed)}")
    return Position(position.offset, point) if point else None


def _started(ground: _RestoreGround, kind: type[State]) -> State:
    config = ground.config
    at = {"rankings": ground.rankings_next, "outcomes": ground.outcomes_next, "labels": ground.labels_end}
    state = kind(
        ground.number,
        config.topics,
        config.horizons,
        label_bytes_max=config.label_bytes_max,
        passed=config.passed_headers,
        **at,
    )
    if ground.committed is None:
        _reread_labels(ground, state, ground.labels_beginning())
        if state.labels_read_back:
            # the group's positions are gone, or a first batch was written without them
            log.warning(
                "partition_rebuilt",
                partition=ground.number,
                requests_with_labels=state.labels_read_back,
                note="dead letters may be written again",
            )
    return state


def _reread_labels(ground: _RestoreGround, state: PartitionJoin | PartitionClose, start: int) -> None:
    foreign = state.reread_labels(ground.labels(start))
    if foreign:
        log.warning(
            "foreign_labels_skipped", topic=ground.config.topics.labels, partition=ground.number, records=foreign
        )


def _point(ground: _RestoreGround, committed: Position, kind: type[Point]) -> Point:
    try:
        return kind.from_text(committed.metadata)
    except ValueError as error:
        raise UsageError(
            f"partition {ground.number}: {error}; a group keeps its way to emit: "
            "choose another join.group for another one"
        ) from error


def _restore_join(ground: _RestoreGround) -> PartitionJoin:
    state = _started(ground, PartitionJoin)
    if ground.committed is not None:
        point = _point(ground, ground.committed, RestorePoint)
        state.resume_at(point)
        _reread_labels(ground, state, point.labels)
        for batch in chain(ground.rankings(point.rankings), ground.outcomes(point.outcomes)):
            state.reread(batch)
        left_out = state.settle_restored()
        log.debug(
            "partition_restored",
            partition=ground.number,
            held=state.held,
            watermark_ms=state.watermark_ms,
            left_out=left_out,
        )
    return state


def _restore_close(ground: _RestoreGround) -> PartitionClose:
    state = _started(ground, PartitionClose)
    if ground.committed is not None:
        point = _point(ground, ground.committed, ClosePoint)
        state.resume_at(point)
        for batch in ground.rankings(point.rankings):
            state.reread_rankings(batch)
        _reread_labels(ground, state, point.labels)
        for batch in ground.outcomes(point.outcomes):
            state.reread_outcomes(batch)
        log.debug("partition_restored", partition=ground.number, held=state.held, watermark_ms=state.watermark_ms)
    return state
