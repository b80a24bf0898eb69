"""Where a customer's data lies."""

import pytest

from stream_scorer.adapters.memory.buffer import MemoryBuffer
from stream_scorer.adapters.memory.stream import MemoryLog
from stream_scorer.core.joining.join_state import ClosePoint
from stream_scorer.core.records import Partition, Position
from stream_scorer.ports import TopicState
from stream_scorer.services.operating.whereabouts import Ground, OpenTrace, Whereabouts, locate
from tests.verify_ring import HORIZONS, PARTITIONS, START_MS, TOPICS, Ring

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


def test_unreadable_records_count_by_key(ring: Ring) -> None:
    counts = {trace.topic: trace.records for trace in find(ring, "c").topics}
    assert counts == {
        TOPICS.requests: 2,
        TOPICS.acceptances: 1,
        TOPICS.rankings: 1,
        TOPICS.outcomes: 1,
        TOPICS.labels: 1,
        TOPICS.dead_letters: 0,
    }


def test_records_go_with_their_segment(ring: Ring) -> None:
    trace = find(ring, "d").topics[0]
    assert (trace.records, trace.newest_ms, trace.gone_by_ms) == (1, START_MS, START_MS + 8 * DAY_MS)


def test_open_requests_have_an_end(ring: Ring) -> None:
    assert find(ring, "c").open_requests == OpenTrace(1, START_MS + HORIZONS.forget_ms)
    ring.settle(later_ms=10_000)
    assert find(ring, "c").open_requests == OpenTrace(0, None)


def test_an_erasure_counts_once_it_is_read(ring: Ring) -> None:
    ring.append(TOPICS.outcomes, {"customer_id": "c", "erased_to_ms": START_MS})
    assert find(ring, "c").open_requests.count == 1
    ring.settle(later_ms=0)
    assert find(ring, "c").open_requests == OpenTrace(0, None)


def test_at_close_no_request_stays_open(ring: Ring) -> None:
    point = ClosePoint(watermark_ms=START_MS, labelled_ms=0, rankings=1, outcomes=1, labels=0)
    ring.broker.committed["join", Partition(TOPICS.rankings, 0)] = Position(1, point.to_text())
    ring.broker.committed["join", Partition(TOPICS.outcomes, 0)] = Position(1, point.to_text())
    assert find(ring, "c").open_requests == OpenTrace(0, None)


def test_rows_are_counted_by_file(ring: Ring) -> None:
    assert sum(find(ring, "c").rows.values()) == 1
    assert find(ring, "nobody").rows == {}


def test_verify_accepts_erased_rows(ring: Ring) -> None:
    assert ring.buffer is not None
    ring.buffer.erase("c", START_MS)
    assert not [kind for kind in ring.verify().faults if kind.startswith("rows")]


def test_an_unknown_customer_is_reported(ring: Ring) -> None:
    assert (find(ring, "c").known, find(ring, "nobody").known) == (True, False)


def test_progress_reaches_every_record(ring: Ring) -> None:
    shares: list[tuple[int, int]] = []
    ground = Ground(TOPICS, STATES, HORIZONS)
    locate("c", MemoryLog(ring.broker, "join"), None, ground, progress=lambda *share: shares.append(share))
    assert shares[-1][0] == shares[-1][1] == sum(len(ring.log(name)) for name in PARTITIONS)


def test_missing_topics_are_left_out(ring: Ring) -> None:
    few = {name: STATES[name] for name in (TOPICS.requests, TOPICS.labels)}
    found = locate("c", MemoryLog(ring.broker, "join"), None, Ground(TOPICS, few, HORIZONS))
    assert [trace.topic for trace in found.topics] == [TOPICS.requests, TOPICS.labels]
