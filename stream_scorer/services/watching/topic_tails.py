"""The ends of the topics in figures: the newest rankings, labels and dead letters, so many at most."""

from collections.abc import Iterator
from dataclasses import dataclass

from stream_scorer.core.evaluation.intervals import Interval, share_interval
from stream_scorer.core.evaluation.label_health import HealthTally, LabelHealth
from stream_scorer.core.inspecting.recent_rankings import RecentRankings, recent_rankings
from stream_scorer.core.messages import LabelledRanking, Ranking
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import TransientError
from stream_scorer.ports import Clock, LogReader
from stream_scorer.services.letters.survey import (
    LetterChoice,
    LetterSurvey,
    Stretches,
    newest_stretches,
    partitions_of,
    survey,
)

_DAY_MS = 86_400_000
_LETTERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class KeyTail:
    """The records of a key among the last `read` ones of its partition, and the time of the first of those."""

    own: list[Record]
    read: int
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class TailReader:
    """Reads the newest records of topics: `records_max` of them at most, within `read_s`."""

    reader: LogReader
    clock: Clock
    records_max: int
    read_s: float

    def newest(self, topic: str) -> list[Record]:
        """Return the newest records of a topic, spread over its partitions.

        Raises UsageError for a missing topic, TransientError when they cannot be read in time.
        """
        stretches, _ = newest_stretches(self.reader, partitions_of(self.reader, topic), self.records_max)
        return list(self._read(stretches))

    def newest_with_key(self, place: Partition, key: bytes) -> KeyTail:
        """Look for a key among the newest records of a partition, of which no others are kept.

        Raises TransientError when they cannot be read in time.
        """
        end = self.reader.end(place)
        start = max(self.reader.beginning(place), end - self.records_max)
        own, read, since_ms = [], 0, None
        for each in self._read({place: (start, end)}):
            read += 1
            if since_ms is None:
                since_ms = each.timestamp_ms
            if each.key == key:
                own.append(each)
        return KeyTail(own, read, since_ms)

    def _read(self, stretches: Stretches) -> Iterator[Record]:
        deadline_s = self.clock.monotonic_s() + self.read_s
        for place, (start, end) in stretches.items():
            for batch in self.reader.read(place, start, end):
                yield from batch
                self.in_time(deadline_s, place.topic)

    def in_time(self, deadline_s: float, topic: str) -> None:
        """Raise TransientError once the deadline is past."""
        if self.clock.monotonic_s() > deadline_s:
            raise TransientError(f"the end of {topic} was not read within {self.read_s:g} s")


def rankings_now(tail: TailReader, topic: str) -> RecentRankings | None:
    """Count the newest rankings; None where there are none. Raises as `TailReader.newest` does."""
    decoded = decode_all(tail.newest(topic), Ranking)
    return recent_rankings(decoded.messages, [each.timestamp_ms for each in decoded.records])


@dataclass(frozen=True, slots=True)
class ReleaseRate:
    """How many requests with a closed window a release has, and the share of them that have an accepted offer."""

    release_id: str
    closed: int
    accepted: int
    share: Interval


@dataclass(frozen=True, slots=True)
class LabelsNow:
    """The newest labels in figures: the latest revision of each of `requests` requests."""

    requests: int
    since_ms: int
    health: LabelHealth
    rates: tuple[ReleaseRate, ...]


def labels_now(tail: TailReader, topic: str) -> LabelsNow | None:
    """Count the newest labels; None where there are none. Raises as `TailReader.newest` does."""
    records = tail.newest(topic)
    messages = decode_all(records, LabelledRanking).messages
    if not messages:
        return None
    latest: dict[tuple[str, str], LabelledRanking] = {}
    for each in sorted(messages, key=lambda one: one.revision):
        latest[each.request_id, each.customer_id] = each
    tally = HealthTally()
    for each in latest.values():
        tally.add_labels(each)
    since_ms = min(each.timestamp_ms for each in records)
    return LabelsNow(len(latest), since_ms, tally.health(), tuple(_rates(tally)))


def _rates(tally: HealthTally) -> Iterator[ReleaseRate]:
    for release_id, counted in sorted(tally.closed().items()):
        share = share_interval(counted.accepted, counted.requests)
        if share is not None:
            yield ReleaseRate(release_id, counted.requests, counted.accepted, share)


def letters_now(tail: TailReader, topic: str) -> LetterSurvey:
    """Survey the dead letters of the last day. Raises as `TailReader.newest` does."""
    deadline_s = tail.clock.monotonic_s() + tail.read_s
    return survey(
        tail.reader,
        topic,
        LetterChoice(since_ms=tail.clock.now_ms() - _DAY_MS),
        read_max=tail.records_max,
        newest_max=_LETTERS_SHOWN,
        progress=lambda done, total: tail.in_time(deadline_s, topic),
    )
