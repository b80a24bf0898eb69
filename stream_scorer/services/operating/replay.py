"""Send events to a topic: at full speed, at a rate, or as their own times say."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from stream_scorer.core.records import OutputRecord
from stream_scorer.errors import UsageError
from stream_scorer.ports import Clock, Event, RecordFeed

_SEND_MAX = 1_000
_STEPS_PER_S = 100
_NAP_MAX_S = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `rate` records a second, or `speed` times as fast as the events' own times; neither: full speed."""

    rate: float | None = None
    speed: float | None = None

    def step(self) -> int:
        """Return how many records to send at once so that the pace stays even."""
        if self.speed is not None:
            return 1
        return _SEND_MAX if self.rate is None else max(1, min(_SEND_MAX, math.ceil(self.rate / _STEPS_PER_S)))

    def due_s(self, place: int, event_time_ms: int | None, first_time_ms: int | None) -> float:
        """Return how long after the start the event at `place` is due."""
        if self.rate is not None:
            return place / self.rate
        if self.speed is None:
            return 0.0
        if event_time_ms is None or first_time_ms is None:
            raise UsageError(f"--speed needs event_time_ms on every event; event {place + 1} has none")
        return (event_time_ms - first_time_ms) / 1000 / self.speed


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it."""

    delivered: int
    failures: dict[str, int]
    seconds: float


def replay(
    events: Iterable[Event],
    feed: RecordFeed,
    *,
    topic: str,
    pace: Pace,
    clock: Clock,
    progress: Callable[[int], None] = lambda sent: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Replayed:
    """Send all events in order, or until told to stop, and wait until they are delivered or given up."""
    started_s, sent, first_time_ms = clock.monotonic_s(), 0, None
    for batch in _batches(events, pace.step()):
        if first_time_ms is None:
            first_time_ms = batch[0].event_time_ms
        due_s = started_s + pace.due_s(sent, batch[0].event_time_ms, first_time_ms)
        while not stopping() and (early_s := due_s - clock.monotonic_s()) > 0:
            clock.sleep(min(early_s, _NAP_MAX_S))
        if stopping():
            break
        feed.send([OutputRecord(topic, event.key, event.value) for event in batch])
        sent += len(batch)
        progress(sent)
    feed.flush()
    failures = dict(feed.failures())
    return Replayed(sent - sum(failures.values()), failures, clock.monotonic_s() - started_s)


def _batches(events: Iterable[Event], size: int) -> Iterator[list[Event]]:
    rest = iter(events)
    while batch := list(islice(rest, size)):
        yield batch
