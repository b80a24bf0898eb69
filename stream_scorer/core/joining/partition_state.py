"""What both ways to join share: the state of one partition, how its records are read, and the order of a batch's steps.

`at_once.PartitionJoin` and `at_close.PartitionClose` fill in what a record comes to.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from sys import maxsize
from typing import Generic, TypeVar

from stream_scorer.core.joining import reasons
from stream_scorer.core.joining.erasure import ErasedCustomers, sort_out
from stream_scorer.core.joining.held_outcomes import HeldOutcomes, Reach
from stream_scorer.core.joining.join_state import ClosePoint, JoinTopics, RestorePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.joining.reasons import Reason
from stream_scorer.core.joining.written_labels import LabelTally, LabelWriter
from stream_scorer.core.messages import Acceptance, Erasure
from stream_scorer.core.records import DeadLetter, OutputRecord, Partition, Position, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.core.wire.kept_rankings import RankingParts
from stream_scorer.core.wire.own_topics import RankingHead, labelled_bytes_max

OutcomeT = TypeVar("OutcomeT")
"""What is kept of an outcome that waits for its ranking."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a batch of one partition came to: labels that are owed, dead letters, and figures."""

    labels: list[OutputRecord]
    dead_letters: list[DeadLetter]
    counts: Counter[str]
    tally: LabelTally


class PartitionState(ABC, Generic[OutcomeT]):
    """The state of one partition of rankings and outcomes; does no I/O and reads no clock."""

    def __init__(
        self,
        number: int,
        topics: JoinTopics,
        horizons: Horizons,
        *,
        rankings: int,
        outcomes: int,
        labels: int,
        label_bytes_max: int = maxsize,
        passed: Collection[str] = (),
    ) -> None:
        """Start with nothing, at these offsets and before all event time.

        A labelled ranking may have `label_bytes_max` bytes; headers of rankings whose names are in `passed` go on.
        """
        self.number = number
        self._topics, self._horizons = topics, horizons
        self._label_bytes_max, self._headers_passed = label_bytes_max, passed
        self._next = {topics.rankings: rankings, topics.outcomes: outcomes}
        self._at_end = {topics.rankings: False, topics.outcomes: False}
        self._waiting: HeldOutcomes[OutcomeT] = HeldOutcomes(lambda outcome: self._record_of(outcome).offset)
        self._shed = 0  # no outcome before this offset waits
        self._erased = ErasedCustomers()
        self._outcomes_reach = Reach()
        self._writer = LabelWriter(topics, number, labels)
        self._begin()
        self._start_batch()

    @abstractmethod
    def _begin(self) -> None:
        """Start with nothing of what only this way to join keeps."""

    def _start_batch(self) -> None:
        """Forget what the last batch caused: it was returned, or was written before a restart."""
        self._labels: list[OutputRecord] = []
        self._dead: list[DeadLetter] = []
        self._counts: Counter[str] = Counter()

    # -- a batch

    def join(self, records: Sequence[Record], *, ended: Iterable[str] = (), now_ms: int | None = None) -> Joined:
        """Take in records of this partition, in offset order per topic, and return what is owed after them.

        `ended` names the topics whose end these records reach. `now_ms` is given only when outcomes had nothing more at
        that time: then the clock may make due what no record does, so that a quiet partition ends its windows too.
        """
        self._read(records)
        for topic in ended:
            self._at_end[topic] = True
        self._advance(now_ms)
        joined = Joined(self._labels, self._dead, self._counts, self._writer.take_tally())
        self._start_batch()
        self._forget()
        return joined

    @abstractmethod
    def _advance(self, now_ms: int | None) -> None:
        """Let event time go on, and do all that has become due."""

    @abstractmethod
    def _read_ranking(self, record: Record) -> None: ...

    @abstractmethod
    def _read_outcome(self, record: Record, acceptance: Acceptance) -> None: ...

    @abstractmethod
    def _drop_erased(self, customers: AbstractSet[str]) -> None:
        """Drop what the state has of requests that are erased; only these customers' erasures are new."""

    def _read(self, records: Sequence[Record]) -> None:
        outcomes: list[Record] = []
        for record in records:
            self._next[record.topic] = record.offset + 1
            self._at_end[record.topic] = False
            if record.topic == self._topics.rankings:
                self._read_ranking(record)
            else:
                outcomes.append(record)
        self._read_outcomes(outcomes)

    def _read_outcomes(self, outcomes: Sequence[Record]) -> None:
        decoded = decode_all(outcomes, Acceptance)
        dead, erasures = sort_out(decoded.dead_letters)
        self._dead += dead
        for record, acceptance in zip(decoded.records, decoded.messages, strict=True):
            self._read_outcome(record, acceptance)
        self._erase(erasures)

    def _erase(self, erasures: Sequence[tuple[Record, Erasure]]) -> None:
        """Take the erasures of a batch in, and walk over the state once for all of them."""
        passed_ms = self._passed_ms
        # nothing so old is in the state, and nothing so old will be taken in
        noted = [(record, erasure) for record, erasure in erasures if passed_ms <= erasure.erased_to_ms]
        for record, erasure in noted:
            self._erased.note(erasure)
            self._outcomes_reach.note(record.offset, erasure.erased_to_ms)
        if noted:
            self._drop_erased({erasure.customer_id for _, erasure in noted})

    # -- refusals

    def _is_ahead(self, time_ms: int, record: Record) -> bool:
        """Return whether an event claims to be further ahead of the broker's clock than is allowed."""
        return time_ms > record.timestamp_ms + self._horizons.skew_ms

    def _unfit(self, record: Record, head: RankingHead | RankingParts) -> Reason | None:
        """Return why a ranking can have no labels, whatever else was read; None when it can."""
        if self._is_ahead(head.event_time_ms, record):
            return reasons.from_the_future(self._horizons)
        if labelled_bytes_max(len(record.value or b""), len(head.offers)) > self._label_bytes_max:
            return reasons.labels_too_large(self._label_bytes_max)
        return None

    def _reject(self, record: Record, reason: Reason) -> None:
        self._dead.append(DeadLetter(record, *reason))

    # -- outcomes that wait

    @staticmethod
    @abstractmethod
    def _record_of(outcome: OutcomeT) -> Record: ...

    @property
    def waiting(self) -> int:
        """Return how many outcomes wait for their rankings."""
        return len(self._waiting)

    def shed(self, count: int) -> list[DeadLetter]:
        """Stop so many outcomes from waiting, the oldest, and return them as dead letters."""
        oldest = [self._record_of(outcome) for outcome in self._waiting.take_oldest(count)]
        if oldest:
            self._shed = oldest[-1].offset + 1
        return [DeadLetter(record, *reasons.SHED) for record in oldest]

    # -- event time

    @property
    @abstractmethod
    def _passed_ms(self) -> int:
        """Return the event time before which nothing matters any more."""

    @abstractmethod
    def idle_due(self, now_ms: int) -> bool:
        """Return whether the clock alone makes something due."""

    def _forget(self) -> None:
        self._outcomes_reach.forget(self._passed_ms)
        self._erased.forget(self._passed_ms)

    # -- where it stands

    @property
    @abstractmethod
    def held(self) -> int:
        """Return how many rankings and waiting outcomes the state keeps in memory."""

    @property
    @abstractmethod
    def labels_read_back(self) -> int:
        """Return of how many requests labels were read back whose rankings have not come again."""

    @property
    def full(self) -> bool:
        """Return whether enough rankings are read ahead; never, where none are."""
        return False

    @property
    def hungry(self) -> bool:
        """Return whether more rankings should be read; always, where none are read ahead."""
        return True

    def written_to(self, labels_end: int) -> None:
        """Note the offset behind the labels that are known to be written: the next ones lie at or behind it."""
        self._writer.end = max(self._writer.end, labels_end)

    def reading(self) -> dict[Partition, Position]:
        """Return where to read on; in `rankings` that may be ahead of what is committed."""
        return {Partition(topic, self.number): Position(offset) for topic, offset in self._next.items()}

    def progress(self) -> dict[Partition, Position]:
        """Return the positions to commit, with the point where the state begins beside that of the rankings."""
        cursor = self._cursor()
        return {
            Partition(self._topics.rankings, self.number): Position(cursor, self._point(cursor).to_text()),
            Partition(self._topics.outcomes, self.number): Position(self._next[self._topics.outcomes]),
        }

    def _cursor(self) -> int:
        """Return the offset of the first ranking whose fate is open."""
        return self._next[self._topics.rankings]

    @abstractmethod
    def _point(self, cursor: int) -> RestorePoint | ClosePoint: ...


def request_key(request_id: str, customer_id: str) -> str:
    """Return a text for a request of a customer; no id holds a NUL."""
    return f"{request_id}\0{customer_id}"
