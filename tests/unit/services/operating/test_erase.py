"""erase: joiners drop what they keep of a customer."""

from collections.abc import Sequence

import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.feed import MemoryFeed
from stream_scorer.adapters.memory.stream import MemoryLog
from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import OutputRecord, Partition, Position
from stream_scorer.errors import TransientError
from stream_scorer.services.operating.erase import send_erasure, wait_until_read
from stream_scorer.services.operating.whereabouts import OpenTrace
from tests.unit.services.operating.test_whereabouts import find, ring
from tests.verify_ring import START_MS, TOPICS, Ring

__all__ = ["ring"]  # the fixture


class BrokerFeed(MemoryFeed):
    """Feeds a ring's topics."""

    def __init__(self, ring: Ring) -> None:
        super().__init__()
        self._ring = ring

    def send(self, records: Sequence[OutputRecord]) -> None:
        for record in records:
            self._ring.broker.append(record)


OUTCOMES = Partition(TOPICS.outcomes, 0)


def test_joiners_read_the_erasure(ring: Ring) -> None:
    reader = MemoryLog(ring.broker, "join")
    places = send_erasure(Erasure("c", START_MS), BrokerFeed(ring), reader, [OUTCOMES])
    assert places == {OUTCOMES: len(ring.log(TOPICS.outcomes)) - 1}
    assert not wait_until_read(places, reader, HandClock(0), wait_s=5)
    ring.broker.committed["join", OUTCOMES] = Position(places[OUTCOMES] + 1)
    assert wait_until_read(places, reader, HandClock(0), wait_s=0)
    assert find(ring, "c").open_requests == OpenTrace(0, None)


def test_an_undelivered_erasure_fails(ring: Ring) -> None:
    feed = MemoryFeed(refuse=lambda record: "the broker is gone")
    with pytest.raises(TransientError, match="the broker is gone"):
        send_erasure(Erasure("c", START_MS), feed, MemoryLog(ring.broker, "join"), [OUTCOMES])


def test_verify_accepts_what_joiners_dropped(ring: Ring) -> None:
    ring.ask("r3", START_MS + 20)
    ring.accept("r3", "o1", START_MS + 30)
    send_erasure(Erasure("c", START_MS + 30), BrokerFeed(ring), MemoryLog(ring.broker, "join"), [OUTCOMES])
    ring.settle()
    assert not [record for record in ring.log(TOPICS.labels) if b"r3" in (record.value or b"")]
    assert not [kind for kind in ring.verify().faults if kind.startswith(("label", "outcome"))]
