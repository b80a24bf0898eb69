"""Send events to a topic: at full speed, at a rate, or at the pace of their own times.

The first event is checked before any is sent: nothing can be removed from a topic again.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import msgspec

from stream_scorer.core.messages import Acceptance, CustomerRequest, Offer
from stream_scorer.core.records import OutputRecord, Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import UsageError
from stream_scorer.ports import Clock, Event, RecordFeed

_SEND_MAX = 1_000
_STEPS_PER_S = 100
_NAP_MAX_S = 0.5
TIMES = ("event_time_ms", "request_time_ms", "valid_from_ms", "valid_until_ms")
# as milliseconds these are days of 1970 to 1973, as seconds they are 1973 to 5138
SECONDS_MIN, SECONDS_MAX = 100_000_000, 100_000_000_000

Kind = type[CustomerRequest] | type[Acceptance] | type[Offer]


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `rate` records a second, or `speed` times as fast as the events' own times; neither: full speed."""

    rate: float | None = None
    speed: float | None = None

    def step(self) -> int:
        """Return how many records to send at once: few enough that the pace stays even, many enough that it is fast."""
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
    """How many records were delivered, why others were not, and how long it took."""

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
    """Send all events in order, or until `stopping`, and wait until each is delivered or given up."""
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


def with_first_checked(events: Iterable[Event], kind: Kind, topic: str) -> Iterator[Event]:
    """Return all events. Raises UsageError when the first is no message of the topic's kind, with what it lacks."""
    rest = iter(events)
    first = next(rest, None)
    if first is None:
        return rest
    if first.value is not None and (fault := fault_of(first.value, kind)):
        name = kind.__name__
        raise UsageError(
            f"nothing was sent: the first record is no {name} for {topic}: {fault}; --anyway sends it all the same"
        )
    return chain([first], rest)


def fault_of(value: bytes, kind: Kind) -> str | None:
    """Return why a worker would refuse the record; None: it would not.

    Times in seconds would be accepted, and are a fault here.
    """
    if missing := _missing(value, kind):
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    decoded: Any = decode_all([Record("", 0, 0, None, value, 0)], kind)
    if decoded.dead_letters:
        return f"{decoded.dead_letters[0].message} ({decoded.dead_letters[0].code})"
    for name in TIMES:
        time = getattr(decoded.messages[0], name, None)
        if time is not None and SECONDS_MIN <= time < SECONDS_MAX:
            return f"{name} is {time}, a day of the early seventies: seconds instead of milliseconds?"
    return None


def _missing(value: bytes, kind: Kind) -> list[str]:
    """Return the required fields that are not there; none of a value that is no JSON object."""
    try:
        given = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return [field.name for field in dataclasses.fields(kind) if _is_required(field) and field.name not in given]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    default = field.default
    if getattr(default, "default_factory", None) is not None:  # pydantic keeps its own description as the default
        return False
    return default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
