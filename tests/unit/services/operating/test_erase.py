"""erase: where a customer's data lies."""

from collections.abc import Sequence

import pytest

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.feed import MemoryFeed
from stream_scorer.adapters.memory.stream import MemoryLog
from stream_scorer.core.messages import Erasure
from stream_scorer.core.records import OutputRecord, Partition, Position
from stream_scorer.errors import TransientError
from stream_scorer.ports import TopicState
from stream_scorer.services.operating.erase import (
    Ground,
    OpenTrace,
    Whereabouts,
    locate,
    tell_joiners,
    wait_until_heard,
)
from tests.unit.services.verifying.test_verify import HORIZONS, PARTITIONS, START_MS, TOPICS, Ring

DAY_MS = 86_400_000
STATES = {name: TopicState(1, 1, {"retention.ms": str(7 * DAY_MS), "segment.ms": str(DAY_MS)}) for name in PARTITIONS}


@pytest.fixture
def ring() -> Ring:
    ring = Ring()
    ring.ask("r1")
    ring.accept("r1", "o1")
    ring.append(TOPICS.requests, {"request_id": "r2", "customer_id": "d"})
    ring.append(TOPICS.requests, b"{")
    ring.settle(later_ms=0)
    ring.fill()
    return ring


def find(ring: Ring, customer: str) -> Whereabouts:
    return locate(
        customer, MemoryLog(ring.broker, "join"), ring.buffer or MemoryBuffer(), Ground(TOPICS, STATES, HORIZONS)
    )


def test_records_are_counted_by_topic_also_those_whose_value_cannot_be_read(ring: Ring) -> None:
    counts = {trace.topic: trace.records for trace in find(ring, "c").topics}
    assert counts == {
        TOPICS.requests: 2,
        TOPICS.acceptances: 1,
        TOPICS.rankings: 1,
        TOPICS.outcomes: 1,
        TOPICS.labels: 1,
        TOPICS.dead_letters: 0,
    }


def test_the_last_record_goes_with_retention_and_its_segment(ring: Ring) -> None:
    trace = find(ring, "d").topics[0]
    assert (trace.records, trace.newest_ms, trace.gone_by_ms) == (1, START_MS, START_MS + 8 * DAY_MS)


def test_open_requests_are_told_with_their_end(ring: Ring) -> None:
    assert find(ring, "c").open_requests == OpenTrace(1, START_MS + HORIZONS.forget_ms)
    ring.settle(later_ms=10_000)
    assert find(ring, "c").open_requests == OpenTrace(0, None)


def test_rows_are_told_by_file(ring: Ring) -> None:
    assert sum(find(ring, "c").rows.values()) == 1
    assert find(ring, "nobody").rows == {}


def test_verify_takes_an_erasure_for_right(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.erase("c", START_MS)
    assert not [kind for kind in ring.verify().faults if kind.startswith("rows")]


def test_an_unknown_customer_is_said(ring: Ring) -> None:
    assert (find(ring, "c").known, find(ring, "nobody").known) == (True, False)


def test_progress_goes_from_nothing_to_all(ring: Ring) -> None:
    shares: list[tuple[int, int]] = []
    ground = Ground(TOPICS, STATES, HORIZONS)
    locate("c", MemoryLog(ring.broker, "join"), None, ground, progress=lambda *share: shares.append(share))
    assert shares[-1][0] == shares[-1][1] == sum(len(ring.log(name)) for name in PARTITIONS)


def test_topics_that_are_not_there_are_left_out(ring: Ring) -> None:
    few = {name: STATES[name] for name in (TOPICS.requests, TOPICS.labels)}
    found = locate("c", MemoryLog(ring.broker, "join"), None, Ground(TOPICS, few, HORIZONS))
    assert [trace.topic for trace in found.topics] == [TOPICS.requests, TOPICS.labels]


class BrokerFeed(MemoryFeed):
    """Feeds a ring's topics."""

    def __init__(self, ring: Ring) -> None:
        super().__init__()
        self._ring = ring

    def send(self, records: Sequence[OutputRecord]) -> None:
        for record in records:
            self._ring.broker.append(record)


OUTCOMES = Partition(TOPICS.outcomes, 0)


def test_joiners_are_told_where_they_read_and_waited_for(ring: Ring) -> None:
    reader = MemoryLog(ring.broker, "join")
    places = tell_joiners(Erasure("c", START_MS), BrokerFeed(ring), reader, [OUTCOMES])
    assert places == {OUTCOMES: len(ring.log(TOPICS.outcomes)) - 1}
    assert not wait_until_heard(places, reader, HandClock(0), wait_s=5)
    ring.broker.committed["join", OUTCOMES] = Position(places[OUTCOMES] + 1)
    assert wait_until_heard(places, reader, HandClock(0), wait_s=0)
    assert find(ring, "c").open_requests == OpenTrace(0, None)


def test_an_erasure_that_is_not_delivered_is_said(ring: Ring) -> None:
    feed = MemoryFeed(refuse=lambda record: "the broker is gone")
    with pytest.raises(TransientError, match="the broker is gone"):
        tell_joiners(Erasure("c", START_MS), feed, MemoryLog(ring.broker, "join"), [OUTCOMES])


def test_verify_takes_what_joiners_dropped_for_right(ring: Ring) -> None:
    ring.ask("r3", START_MS + 20)
    ring.accept("r3", "o1", START_MS + 30)
    tell_joiners(Erasure("c", START_MS + 30), BrokerFeed(ring), MemoryLog(ring.broker, "join"), [OUTCOMES])
    ring.settle()
    assert not [record for record in ring.log(TOPICS.labels) if b"r3" in (record.value or b"")]
    assert not [kind for kind in ring.verify().faults if kind.startswith(("label", "outcome"))]
