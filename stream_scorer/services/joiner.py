"""join: rankings and outcomes to labels, one state per partition, rebuilt from the topics when a partition arrives."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import structlog

from stream_scorer.core.codec import dead_letter_record
from stream_scorer.core.joining import JoinTopics, PartitionJoin, RestorePoint
from stream_scorer.core.labelling import Horizons
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Position, Record
from stream_scorer.errors import FatalStreamError
from stream_scorer.ports import Assignment, Clock, Fetched, LogReader, RecordSink, RecordSource, Telemetry
from stream_scorer.services.loop import Work

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JoinConfig:
    """What a joiner is told."""

    topics: JoinTopics
    dead_letters: str
    horizons: Horizons
    open_requests_max: int


def restore(number: int, reader: LogReader, config: JoinConfig) -> PartitionJoin:
    """Rebuild the state of one partition as it was when its positions were committed.

    The read-back of labels goes to the end of the topic: what was written without its positions (at least once) counts as emitted.
    """
    topics = config.topics
    rankings, outcomes, labels = (Partition(topic, number) for topic in (topics.rankings, topics.outcomes, topics.labels))
    committed = reader.committed([rankings, outcomes])
    labels_end = reader.end(labels)
    if (position := committed[rankings]) is None or not position.metadata:
        return _begin(number, reader, config, labels_end)
    point = RestorePoint.from_text(position.metadata)
    outcomes_next = (committed[outcomes] or Position(reader.beginning(outcomes))).offset
    state = PartitionJoin.begin(number, topics, config.horizons, rankings=position.offset, outcomes=outcomes_next, labels=labels_end)
    state.resume_at(point)
    state.reread_labels(chain.from_iterable(reader.read(labels, point.labels, labels_end)))
    for batch in reader.read(rankings, point.rankings, position.offset):
        state.reread(batch)
    for batch in reader.read(outcomes, point.outcomes, outcomes_next):
        state.reread(batch)
    left_out = state.settle_restored()
    log.debug("partition_restored", partition=number, open_requests=len(state.open), watermark_ms=state.watermark_ms, left_out=left_out)
    return state


def _begin(number: int, reader: LogReader, config: JoinConfig, labels_end: int) -> PartitionJoin:
    rankings, outcomes, labels = (
        Partition(topic, number) for topic in (config.topics.rankings, config.topics.outcomes, config.topics.labels)
    )
    state = PartitionJoin.begin(
        number,
        config.topics,
        config.horizons,
        rankings=reader.beginning(rankings),
        outcomes=reader.beginning(outcomes),
        labels=labels_end,
    )
    emitted = state.reread_labels(chain.from_iterable(reader.read(labels, reader.beginning(labels), labels_end)))
    if emitted:
        # the group's positions are gone, or a first batch was written without them
        log.warning("partition_rebuilt", partition=number, requests_with_labels=emitted, note="dead letters may be written again")
    return state


class Joiner:
    """The join's part of the loop; see services.loop.Job."""

    name = "join"

    def __init__(
        self,
        source: RecordSource,
        sink_ends: Callable[[], dict[Partition, int]],
        new_reader: Callable[[], LogReader],
        config: JoinConfig,
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._source, self._sink_ends, self._new_reader = source, sink_ends, new_reader
        self._config, self._clock, self._telemetry = config, clock, telemetry
        self._states: dict[int, PartitionJoin] = {}
        self._restoring: dict[int, Future[PartitionJoin]] = {}
        self._restorer = ThreadPoolExecutor(1, thread_name_prefix="restore")

    def process(self, fetched: Fetched) -> Work | None:
        """See Job.process."""
        self._change_hands(fetched.assignment)
        self._start_restored()
        records, ended = _by_partition(fetched.records, fetched.ended)
        now_ms = self._clock.now_ms()
        due = {number for number, state in self._states.items() if state.idle_due(now_ms)}
        numbers = sorted((records.keys() | ended.keys() | due) & self._states.keys())
        return self._join(numbers, records, ended, now_ms)

    def _join(self, numbers: list[int], records: dict[int, list[Record]], ended: dict[int, list[str]], now_ms: int) -> Work | None:
        outputs: list[OutputRecord] = []
        dead: list[DeadLetter] = []
        counts: Counter[str] = Counter()
        progress: dict[Partition, Position] = {}
        for number in numbers:
            state = self._states[number]
            joined = state.join(records.get(number, []), ended=ended.get(number, []), now_ms=now_ms)
            outputs += joined.labels
            dead += joined.dead_letters
            counts += joined.counts
            if number in records or joined.labels or joined.dead_letters:
                progress |= state.progress()
        self._check_bound()
        if not progress:
            return None
        self._telemetry.labels(counts, sum(len(state.open) for state in self._states.values()))
        outputs += [dead_letter_record(letter, self._config.dead_letters) for letter in dead]
        return Work([record for number in numbers for record in records.get(number, [])], outputs, dead, progress)

    def _check_bound(self) -> None:
        held = sum(len(state.open) for state in self._states.values())
        if held > self._config.open_requests_max:
            msg = (
                f"{held} open requests are more than join.open_requests_max = {self._config.open_requests_max}: "
                "run more joiners, or make join.window_ms or join.late_ms shorter"
            )
            raise FatalStreamError(msg)

    def written(self, work: Work) -> None:
        """See Job.written."""
        ends = self._sink_ends()
        for number, state in self._states.items():
            if (end := ends.get(Partition(self._config.topics.labels, number))) is not None:
                state.written_to(end)

    def aborted(self) -> None:
        """See Job.aborted: what the states took in was not written, so they are rebuilt."""
        numbers = sorted(self._states)
        self._source.hold([one for number in numbers for one in self._inputs(number)])
        self._states = {}
        for number in numbers:
            self._restore(number)

    def idle(self) -> bool:
        """See Job.idle."""
        return not self._restoring

    def _inputs(self, number: int) -> list[Partition]:
        return [Partition(self._config.topics.rankings, number), Partition(self._config.topics.outcomes, number)]

    def _change_hands(self, assignment: Assignment) -> None:
        for number in {one.number for one in assignment.dropped}:
            self._states.pop(number, None)
            if (restoring := self._restoring.pop(number, None)) is not None:
                restoring.cancel()
        for number in sorted({one.number for one in assignment.gained}):
            self._restore(number)

    def _restore(self, number: int) -> None:
        self._restoring[number] = self._restorer.submit(self._restore_now, number)

    def _restore_now(self, number: int) -> PartitionJoin:
        reader = self._new_reader()
        try:
            return restore(number, reader, self._config)
        finally:
            reader.close()

    def _start_restored(self) -> None:
        for number in [number for number, restoring in self._restoring.items() if restoring.done()]:
            state = self._restoring.pop(number).result()
            self._states[number] = state
            self._source.start(state.progress())

    def close(self) -> None:
        """Stop restoring."""
        self._restorer.shutdown(wait=True, cancel_futures=True)


def _by_partition(records: list[Record], ended: tuple[Partition, ...]) -> tuple[dict[int, list[Record]], dict[int, list[str]]]:
    grouped: dict[int, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.partition, []).append(record)
    ends: dict[int, list[str]] = {}
    for one in ended:
        ends.setdefault(one.number, []).append(one.topic)
    return grouped, ends
