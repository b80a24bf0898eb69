"""What lies on the topic of dead letters: counts by code and source, the newest, and a single letter."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_scorer.core.records import Partition
from stream_scorer.core.wire.letter_reading import Letter, read_letter
from stream_scorer.errors import UsageError
from stream_scorer.ports import LogReader

Progress = Callable[[int, int], None]
Stretches = Mapping[Partition, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class LetterChoice:
    """Which letters are meant; an empty set takes every code or source topic. Times are those of the letters."""

    codes: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Return whether a letter is meant."""
        time_ms = letter.record.timestamp_ms
        return (
            self.takes_kind(letter)
            and (self.since_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms < self.until_ms)
        )

    def takes_kind(self, letter: Letter) -> bool:
        """Return whether a letter's code and source topic are meant."""
        return (not self.codes or letter.code in self.codes) and (not self.topics or letter.source.topic in self.topics)


@dataclass(slots=True)
class LetterCount:
    """The letters of one source topic and code; times are milliseconds since the epoch."""

    topic: str
    code: str
    count: int = 0
    shortened: int = 0
    oldest_ms: int = 2**63 - 1
    newest_ms: int = 0

    def add(self, letter: Letter) -> None:
        """Count a letter."""
        time_ms = letter.record.timestamp_ms
        self.count += 1
        self.shortened += letter.is_shortened
        self.oldest_ms, self.newest_ms = min(self.oldest_ms, time_ms), max(self.newest_ms, time_ms)


@dataclass(slots=True)
class LetterSurvey:
    """What was read: `foreign` records are no letters of ours, `unread` is how many older ones there are at most."""

    counts: dict[tuple[str, str], LetterCount] = field(default_factory=dict)
    newest: list[Letter] = field(default_factory=list)
    foreign: int = 0
    unread: int = 0

    def most_first(self) -> list[LetterCount]:
        """Return the counts, the largest first."""
        return sorted(self.counts.values(), key=lambda one: (-one.count, one.topic, one.code))


def partitions_of(reader: LogReader, topic: str) -> list[Partition]:
    """Return the partitions of a topic. Raises UsageError where there is none."""
    shape = reader.topics([topic]).get(topic)
    if shape is None:
        raise UsageError(
            f"topic {topic} does not exist, or this user may not see it: stream-scorer topics makes it, "
            "and topics.dead_letters names another"
        )
    return [Partition(topic, number) for number in range(shape.partitions)]


def newest_stretches(reader: LogReader, partitions: Sequence[Partition], records_max: int) -> tuple[Stretches, int]:
    """Return the newest offsets of each partition, `records_max` in all at most, and how many older ones there are."""
    whole = {each: (reader.beginning(each), reader.end(each)) for each in partitions}
    in_all, left, stretches = sum(end - start for start, end in whole.values()), records_max, {}
    # the short partitions first: what they leave of their shares goes to the long ones
    for number, (each, (start, end)) in enumerate(sorted(whole.items(), key=lambda one: one[1][1] - one[1][0])):
        taken = min(end - start, left // (len(whole) - number))
        stretches[each], left = (end - taken, end), left - taken
    return stretches, in_all - (records_max - left)


def letters_in(
    reader: LogReader, stretches: Stretches, progress: Progress = lambda done, total: None
) -> Iterator[Letter | None]:
    """Yield the letters of these offsets, by partition; None for a record that is none of ours."""
    done, total = 0, sum(end - start for start, end in stretches.values())
    for partition, (start, end) in sorted(stretches.items()):
        for batch in reader.read(partition, start, end):
            yield from map(read_letter, batch)
            progress(done + batch[-1].offset + 1 - start, total)
        done += end - start


def survey(
    reader: LogReader,
    topic: str,
    choice: LetterChoice,
    *,
    read_max: int,
    newest_max: int,
    progress: Progress = lambda done, total: None,
) -> LetterSurvey:
    """Count the letters that are meant among the newest `read_max`, and keep the newest `newest_max` of them.

    Raises UsageError where the topic does not exist.
    """
    stretches, unread = newest_stretches(reader, partitions_of(reader, topic), read_max)
    seen, newest = LetterSurvey(unread=unread), list[tuple[int, Partition, int, Letter]]()
    for letter in letters_in(reader, stretches, progress):
        if letter is None:
            seen.foreign += 1
        elif choice.takes(letter):
            kind = (letter.source.topic, letter.code)
            seen.counts.setdefault(kind, LetterCount(*kind)).add(letter)
            _keep(newest, letter, newest_max)
    seen.newest = [each[-1] for each in sorted(newest, key=lambda each: each[:3], reverse=True)]
    return seen


def _keep(newest: list[tuple[int, Partition, int, Letter]], letter: Letter, newest_max: int) -> None:
    record = letter.record
    # place and offset differ for all letters, so that two letters themselves are never compared
    entry = (record.timestamp_ms, Partition(record.topic, record.partition), record.offset, letter)
    if len(newest) < newest_max:
        heapq.heappush(newest, entry)
    elif newest:
        heapq.heappushpop(newest, entry)


def letter_at(reader: LogReader, place: Partition, offset: int) -> Letter:
    """Return the letter at an offset. Raises UsageError, with what there is, where none of ours lies there."""
    if place not in partitions_of(reader, place.topic):
        raise UsageError(f"topic {place.topic} has no partition {place.number}")
    start, end = reader.beginning(place), reader.end(place)
    where = f"{place.topic}[{place.number}]@{offset}"
    if not start <= offset < end:
        raise UsageError(f"there is no record {where}: the partition's offsets are {start} to {end - 1}")
    records = [
        record for batch in reader.read(place, offset, offset + 1) for record in batch if record.offset == offset
    ]
    if not records:
        raise UsageError(f"there is no record {where}: it is a transaction's marker, or was aborted")
    letter = read_letter(records[0])
    if letter is None:
        raise UsageError(f"the record {where} is no dead letter of ours: it lacks error.code or source.* headers")
    return letter
