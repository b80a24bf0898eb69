"""Send the records of dead letters again, exactly once.

Each source topic and code has a consumer group of its own, whose committed offsets say up to where its letters were
looked at. A transaction carries the records and these offsets. So a second resend finds nothing to send, a resend of
one code leaves the others as they are, and a process that dies between has sent all of a batch or nothing. Two at a
time cannot both commit: the later one fences the other by the transactional id, which is the group's name, before it
reads the offsets.

What is appended after a resend has begun is not looked at, so that records which fail again do not keep it going. They
are letters with the next attempt's number, for the next resend, until `attempts_max`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from stream_scorer.core.records import OutputRecord, Partition, Position, Record
from stream_scorer.core.wire.letter_codes import CODES
from stream_scorer.core.wire.letter_reading import Letter, read_letter, sent_again
from stream_scorer.errors import StreamScorerError
from stream_scorer.ports import LogReader, RecordSink
from stream_scorer.services.letters.known_erasures import KnownErasures
from stream_scorer.services.letters.newest_offers import NewestOffers
from stream_scorer.services.letters.survey import LetterChoice, Progress, letters_in, partitions_of

ReaderT = TypeVar("ReaderT", bound=LogReader)
Kind = tuple[str, str]
"""A source topic and a code."""

BATCH_RECORDS_MAX = 500
BATCH_BYTES_MAX = 8_000_000


class PassedOver(StrEnum):
    """Why a letter is not sent again."""

    SHORTENED = "shortened"
    TRIED_OUT = "tried_out"
    SUPERSEDED = "superseded"
    ERASED = "erased"
    OLDER = "older"
    NO_TARGET = "no_target"
    UNKNOWN_CODE = "unknown_code"


@dataclass(frozen=True, slots=True)
class ResendRules:
    """What may be sent where.

    `targets` names for a source topic the one to which its records go again; topics are taken in this order, and
    letters about other topics stay. Of `offers` only the newest statement of each offer goes: an older one would undo
    what its owner has sent since. `outcomes` holds which customers were erased.
    """

    letters: str
    targets: Mapping[str, str]
    offers: str
    outcomes: str
    attempts_max: int
    letters_max: int


@dataclass(frozen=True, slots=True)
class ResendDoor(Generic[ReaderT]):
    """The reader of a group's offsets and of letters, and the sink of their records; None: only look."""

    reader: ReaderT
    sink: RecordSink[ReaderT] | None


Open = Callable[[Kind], AbstractContextManager[ResendDoor[ReaderT]]]


@dataclass(slots=True)
class KindResent:
    """What became of the letters of a source topic and code.

    `skipped` counts by reason those that were passed over for good; `left` those that the bound left for the next time;
    `unchecked` those sent whose customers may have been erased longer ago than is known.
    """

    topic: str
    code: str
    sent: int = 0
    left: int = 0
    unchecked: int = 0
    lost_headers: int = 0
    skipped: Counter[PassedOver] = field(default_factory=Counter)


@dataclass(slots=True)
class Resent:
    """All kinds of a resend; `foreign` records are no letters of ours, `fault` is why it ended early."""

    kinds: list[KindResent] = field(default_factory=list)
    foreign: int = 0
    fault: str | None = None

    @property
    def sent(self) -> int:
        """Return how many letters were sent again."""
        return sum(kind.sent for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class _ResendPlan:
    """What a resend goes by: where the topic of letters ended when it began, and how each offer was last stated."""

    choice: LetterChoice
    rules: ResendRules
    ends: Mapping[Partition, int]
    topic_id: str
    partition_counts: Mapping[str, int]
    newest_offers: NewestOffers
    erasures: KnownErasures


def resend(
    reader: LogReader,
    open_kind: Open[ReaderT],
    choice: LetterChoice,
    rules: ResendRules,
    *,
    progress: Progress = lambda done, total: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Resent:
    """Send again the records of the letters that are meant, `rules.letters_max` at most, kind by kind.

    Letters before `choice.since_ms` and those of erased customers are passed over for good. Raises UsageError where a
    topic does not exist.
    """
    stretches = {each: (reader.beginning(each), reader.end(each)) for each in partitions_of(reader, rules.letters)}
    done = Resent()
    kinds, newest_offers = _look_over(letters_in(reader, stretches, progress), choice, rules, done)
    if any(topic == rules.offers for topic, _ in kinds):
        newest_offers.read(reader, rules.offers)
    plan = _ResendPlan(
        choice,
        rules,
        {each: end for each, (_, end) in stretches.items()},
        reader.topics([rules.letters])[rules.letters].topic_id,
        {target: len(partitions_of(reader, target)) for target in _targets(kinds, rules)},
        newest_offers,
        KnownErasures(reader, rules.outcomes),
    )
    for kind, count in kinds.items():
        if stopping() or done.fault:
            break
        done.kinds.append(KindResent(*kind))
        if kind[1] not in CODES:
            # anybody may write any code: groups are made for ours alone
            done.kinds[-1].skipped[PassedOver.UNKNOWN_CODE] = count
        elif kind[0] in rules.targets:
            _resend_kind(open_kind, done, plan, stopping)
        else:
            done.kinds[-1].skipped[PassedOver.NO_TARGET] = count
    return done


def _look_over(
    letters: Iterable[Letter | None], choice: LetterChoice, rules: ResendRules, done: Resent
) -> tuple[dict[Kind, int], NewestOffers]:
    """Return how many letters each kind has that is meant, and the newest statement of each offer among letters.

    Kinds come in the order of `rules.targets`: requests before the answers to them.
    """
    counts: Counter[Kind] = Counter()
    newest = NewestOffers()
    for letter in letters:
        if letter is None:
            done.foreign += 1
            continue
        if choice.takes_kind(letter):
            counts[letter.source.topic, letter.code] += 1
        if letter.source.topic == rules.offers:
            newest.add(letter)
    return {kind: counts[kind] for kind in sorted(counts, key=lambda kind: _order(kind, rules.targets))}, newest


def _order(kind: Kind, targets: Iterable[str]) -> tuple[int, Kind]:
    topics = list(targets)
    return (topics.index(kind[0]) if kind[0] in topics else len(topics)), kind


def _targets(kinds: Iterable[Kind], rules: ResendRules) -> set[str]:
    return {rules.targets[topic] for topic, _ in kinds if topic in rules.targets}


def _resend_kind(open_kind: Open[ReaderT], done: Resent, plan: _ResendPlan, stopping: Callable[[], bool]) -> None:
    one = done.kinds[-1]
    room = plan.rules.letters_max - done.sent
    try:
        with open_kind((one.topic, one.code)) as door:
            _KindResend(door, one, plan, room).run(stopping)
    except StreamScorerError as error:
        done.fault = str(error)  # what was sent until now is still to be reported


class _KindResend(Generic[ReaderT]):
    """The letters of one kind, from its group's positions on."""

    def __init__(self, door: ResendDoor[ReaderT], done: KindResent, plan: _ResendPlan, room: int) -> None:
        self._door, self._done, self._plan = door, done, plan
        self._room = room  # how many letters may still be sent
        self._outputs: list[OutputRecord] = []
        self._bytes = 0
        self._seen: dict[Partition, Position] = {}

    def run(self, stopping: Callable[[], bool]) -> None:
        for partition, start in self._starts().items():
            end = self._plan.ends[partition]
            for batch in self._door.reader.read(partition, start, end):
                if stopping():
                    return
                for record in batch:
                    self._take(partition, record)
            if start < end and not self._done.left:
                self._see(partition, end)
        self._write()

    def _starts(self) -> dict[Partition, int]:
        """Return from where to read each partition; positions in a topic that was made anew since say nothing."""
        committed = self._door.reader.committed(list(self._plan.ends))
        return {each: self._start(each, committed[each]) for each in self._plan.ends}

    def _start(self, partition: Partition, position: Position | None) -> int:
        first = self._door.reader.beginning(partition)
        if position is None or position.offset > self._plan.ends[partition]:
            return first
        is_another = position.metadata and position.metadata != self._plan.topic_id
        return first if is_another else max(first, position.offset)

    def _take(self, partition: Partition, record: Record) -> None:
        letter = read_letter(record)
        if letter is None or (letter.source.topic, letter.code) != (self._done.topic, self._done.code):
            return
        reason = self._obstacle(letter)
        if reason is None and self._done.sent + len(self._outputs) >= self._room:
            # from here on nothing is passed over, so that the next resend begins with this letter
            self._done.left += 1
        if self._done.left:
            return
        if reason is None:
            self._queue(letter)
        else:
            self._done.skipped[reason] += 1
        self._see(partition, record.offset + 1)
        if len(self._outputs) >= BATCH_RECORDS_MAX or self._bytes >= BATCH_BYTES_MAX:
            self._write()

    def _obstacle(self, letter: Letter) -> PassedOver | None:
        if self._plan.choice.since_ms is not None and letter.record.timestamp_ms < self._plan.choice.since_ms:
            return PassedOver.OLDER
        if letter.is_shortened:
            return PassedOver.SHORTENED
        if letter.attempt is None or letter.attempt >= self._plan.rules.attempts_max:
            return PassedOver.TRIED_OUT
        if letter.source.topic == self._plan.rules.offers:
            return PassedOver.SUPERSEDED if self._plan.newest_offers.supersede(letter) else None
        return PassedOver.ERASED if self._plan.erasures.cover(letter) else None

    def _queue(self, letter: Letter) -> None:
        target = self._plan.rules.targets[letter.source.topic]
        self._outputs.append(sent_again(letter, target, partition=self._partition(letter, target)))
        self._bytes += len(letter.record.value or b"") + len(letter.record.key or b"")
        self._done.lost_headers += letter.lost_headers
        self._done.unchecked += letter.source.topic != self._plan.rules.offers and not self._plan.erasures.reach(letter)

    def _partition(self, letter: Letter, target: str) -> int | None:
        """Return the partition that the producer had chosen: an offer's statements must stay in order."""
        is_there = target == letter.source.topic and letter.source.number < self._plan.partition_counts[target]
        return letter.source.number if is_there else None

    def _see(self, partition: Partition, offset: int) -> None:
        self._seen[partition] = Position(offset, self._plan.topic_id)

    def _write(self) -> None:
        if self._door.sink is not None and self._seen:
            self._door.sink.write(self._outputs, self._seen, self._door.reader)
        self._done.sent += len(self._outputs)
        self._outputs, self._seen, self._bytes = [], {}, 0


def reasons_of(kinds: Sequence[KindResent]) -> Counter[PassedOver]:
    """Return why letters were passed over, over all kinds."""
    return sum((kind.skipped for kind in kinds), Counter[PassedOver]())
