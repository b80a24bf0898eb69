"""join: rankings and outcomes to labels, one state per partition, rebuilt from the topics when a partition arrives."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace

from stream_scorer.core.joining.at_close import PartitionClose
from stream_scorer.core.joining.at_once import PartitionJoin
from stream_scorer.core.joining.written_labels import LabelTally
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Position, Record
from stream_scorer.core.wire.dead_letters import dead_letter_record
from stream_scorer.errors import FatalStreamError
from stream_scorer.ports import Assignment, Clock, Fetched, LogReader, RecordSource, Telemetry
from stream_scorer.services.streaming.join_restore import JoinConfig, Restorer
from stream_scorer.services.streaming.loop import Work

State = PartitionJoin | PartitionClose

ASK_EVERY_MS = 500  # how often the broker is asked whether a partition has more to read
# what became of answers, as the joins count it
FATES = {"outcomes_joined": "joined", "duplicate_outcomes": "duplicate", "outcomes_erased": "erased"}


class Joiner:
    """The join's part of the loop; see services.streaming.loop.Job."""

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
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Join what `source` reads; `look` raises when the ring's topics have changed under this worker."""
        self._source, self._sink_ends = source, sink_ends
        self._config, self._clock, self._telemetry, self._look = config, clock, telemetry, look
        self._states: dict[int, State] = {}
        self._restoring: dict[int, Future[State]] = {}
        self._committed: dict[int, dict[Partition, Position]] = {}
        self._read_ahead: set[int] = set()
        self._asked_ms: dict[int, int] = {}
        self._tell: Callable[[], None] = lambda: None
        self._restorer = Restorer(new_reader, config)

    def process(self, fetched: Fetched) -> Work | None:
        """See Job.process."""
        self._look()
        self._change_hands(fetched.assignment)
        self._start_restored()
        records, ended = _by_partition(fetched.records, fetched.ended)
        now_ms = self._clock.now_ms()
        due = {number for number in self._states if self._due_by_the_clock(number, now_ms)}
        numbers = sorted((records.keys() | ended.keys() | due) & self._states.keys())
        return self._join(numbers, records, ended, dict.fromkeys(due, now_ms))

    def _due_by_the_clock(self, number: int, now_ms: int) -> bool:
        """Return whether the clock makes something due, and the broker confirms that no outcome is left to read."""
        if now_ms < self._asked_ms.get(number, 0) + ASK_EVERY_MS:
            return False
        self._asked_ms[number] = now_ms
        return self._states[number].idle_due(now_ms) and self._source.still_at_end(self._inputs(number)[1:])

    def _join(
        self, numbers: list[int], records: dict[int, list[Record]], ended: dict[int, list[str]], now_ms: dict[int, int]
    ) -> Work | None:
        outputs: list[OutputRecord] = []
        dead: list[DeadLetter] = []
        counts, tally = Counter[str](), LabelTally()
        progress: dict[Partition, Position] = {}
        changed: set[int] = set()
        for number in numbers:
            state = self._states[number]
            joined = state.join(records.get(number, []), ended=ended.get(number, []), now_ms=now_ms.get(number))
            outputs += joined.labels
            dead += joined.dead_letters
            counts += joined.counts
            tally.add(joined.tally)
            if (
                joined.labels
                or joined.dead_letters
                # by the clock too: a partition that has drained commits that nothing is open
                or ((number in records or number in now_ms) and state.progress() != self._committed.get(number))
            ):
                changed.add(number)
        for number, letters in self._shed():
            dead += letters
            changed.add(number)
        for number in changed:
            self._committed[number] = self._states[number].progress()
            progress |= self._beside(self._committed[number])
        self._check_bound()
        self._pace()
        if not progress:
            return None
        self._tell = lambda: self._telemetry.labels(
            tally, self._fates(counts, dead), sum(state.held for state in self._states.values())
        )
        outputs += [
            dead_letter_record(letter, self._config.dead_letters, self._config.letter_headers) for letter in dead
        ]
        return Work([record for number in numbers for record in records.get(number, [])], outputs, dead, progress)

    def _beside(self, progress: dict[Partition, Position]) -> dict[Partition, Position]:
        """Write the ring's shape beside the restore point."""
        if (shape := self._config.shape) is None:
            return progress
        return {
            partition: replace(position, metadata=shape.beside(position.metadata)) if position.metadata else position
            for partition, position in progress.items()
        }

    def _fates(self, counts: Counter[str], dead: list[DeadLetter]) -> Counter[str]:
        fates = Counter(letter.code for letter in dead if letter.record.topic == self._config.topics.outcomes)
        return fates + Counter({fate: counts[name] for name, fate in FATES.items()})

    def _shed(self) -> Iterator[tuple[int, list[DeadLetter]]]:
        """Yield by partition, the fullest first, the oldest of the outcomes that wait beyond the bound."""
        excess = sum(state.waiting for state in self._states.values()) - self._config.held_max
        for number, state in sorted(self._states.items(), key=lambda each: -each[1].waiting):
            if excess <= 0:
                return
            letters = state.shed(excess)
            excess -= len(letters)
            yield number, letters

    def _check_bound(self) -> None:
        held = sum(state.held - state.waiting for state in self._states.values())
        if held > self._config.held_max:
            msg = (
                f"{held} open requests are more than join.open_requests_max = {self._config.held_max}: "
                "run more joiners, make join.window_ms or join.late_ms shorter, or emit at_close"
            )
            raise FatalStreamError(msg)

    def _pace(self) -> None:
        """Stop reading rankings where enough are read ahead, and go on where they are used up."""
        for number, state in self._states.items():
            rankings = Partition(self._config.topics.rankings, number)
            if state.full and number not in self._read_ahead:
                self._source.hold([rankings])
                self._read_ahead.add(number)
            elif state.hungry and number in self._read_ahead:
                self._source.start({rankings: state.reading()[rankings]})
                self._read_ahead.discard(number)

    def written(self, work: Work) -> None:
        """See Job.written."""
        self._tell()
        ends = self._sink_ends()
        for number, state in self._states.items():
            if (end := ends.get(Partition(self._config.topics.labels, number))) is not None:
                state.written_to(end)

    def aborted(self) -> None:
        """See Job.aborted: what the states took in was not written, so they are rebuilt."""
        numbers = sorted(self._states)
        self._source.hold([one for number in numbers for one in self._inputs(number)])
        self._states, self._committed, self._read_ahead = {}, {}, set()
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
            self._committed.pop(number, None)
            self._read_ahead.discard(number)
            if (restoring := self._restoring.pop(number, None)) is not None:
                restoring.cancel()
        for number in sorted({one.number for one in assignment.gained}):
            self._restore(number)

    def _restore(self, number: int) -> None:
        self._restoring[number] = self._restorer.submit(number)

    def _start_restored(self) -> None:
        for number in [number for number, restoring in self._restoring.items() if restoring.done()]:
            state = self._restoring.pop(number).result()
            self._states[number] = state
            self._source.start(state.reading())
        self._telemetry.restoring(self.name, len(self._restoring))

    def close(self) -> None:
        """Stop restoring."""
        for restoring in self._restoring.values():
            restoring.cancel()
        self._restorer.close()


def _by_partition(
    records: list[Record], ended: tuple[Partition, ...]
) -> tuple[dict[int, list[Record]], dict[int, list[str]]]:
    grouped: dict[int, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.partition, []).append(record)
    ends: dict[int, list[str]] = {}
    for one in ended:
        ends.setdefault(one.number, []).append(one.topic)
    return grouped, ends
