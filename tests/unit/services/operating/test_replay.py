"""Events into a topic, at the pace that is asked for."""

import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.feed import MemoryFeed
from stream_scorer.errors import UsageError
from stream_scorer.ports import Event
from stream_scorer.services.operating.replay import Pace, Replayed, replay

EVENTS = [Event(b"%d" % number, b"value %d" % number, 1_000 * number) for number in range(2_500)]


def run(pace: Pace, events: list[Event] = EVENTS, feed: MemoryFeed | None = None, **options: object) -> Replayed:
    return replay(events, feed or MemoryFeed(), topic="t", pace=pace, clock=HandClock(), **options)  # type: ignore[arg-type]


def test_events_keep_order_and_key() -> None:
    feed = MemoryFeed()
    replayed = run(Pace(), feed=feed)
    assert [(record.key, record.value) for record in feed.records] == [(event.key, event.value) for event in EVENTS]
    assert replayed == Replayed(delivered=2_500, failures={}, seconds=0.0)


@pytest.mark.parametrize("rate", [0.5, 7, 100, 12_345])
def test_a_rate_takes_the_time_it_should(rate: float) -> None:
    # the last ones go out at once: at most a hundredth of a second's worth, or one event
    assert run(Pace(rate=rate)).seconds == pytest.approx(2_500 / rate, abs=max(0.01, 1 / rate) + 1e-6)


def test_speed_divides_the_time() -> None:
    events = [Event(None, b"{}", time_ms) for time_ms in (5_000, 5_000 + 1_800_000, 5_000 + 3_600_000)]
    assert run(Pace(speed=10), events).seconds == pytest.approx(360, abs=0.001)


def test_speed_without_times_is_refused() -> None:
    with pytest.raises(UsageError, match="event 1 has none"):
        run(Pace(speed=10), [Event(None, b"{}")])


def test_undelivered_records_count_by_reason() -> None:
    feed = MemoryFeed(refuse=lambda record: "too large" if record.key == b"7" else None)
    replayed = run(Pace(), feed=feed)
    assert (replayed.delivered, replayed.failures) == (2_499, {"too large": 1})
    assert len(feed.records) == 2_499


def test_progress_is_the_count_so_far() -> None:
    told: list[int] = []
    run(Pace(), progress=told.append)
    assert told == [1_000, 2_000, 2_500]


def test_it_stops_when_told_to() -> None:
    feed = MemoryFeed()
    replay(EVENTS, feed, topic="t", pace=Pace(), clock=HandClock(), stopping=lambda: len(feed.records) >= 1_000)
    assert len(feed.records) == 1_000
