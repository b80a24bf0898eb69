"""Records that retention took before a worker had read them, on a broker in memory."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog, MemorySource
from stream_scorer.core.records import OutputRecord, Partition, Position
from stream_scorer.errors import TransientError
from stream_scorer.health import Health
from stream_scorer.services.streaming.ring_check import ASK_EVERY_S, LOOK_EVERY_S, MARKERS_MAX, RetentionWatch
from stream_scorer.telemetry.prometheus import PrometheusTelemetry
from tests.doubles import SilentTelemetry

UNITS = ("records", "seconds")
INPUT, OURS = Partition("customer-requests", 0), Partition("rankings", 0)


class Worker:
    """A member of a group that has committed two of a hundred records in each of two topics, and its watch."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(1, HandClock())
        for one in (INPUT, OURS):
            for _ in range(100):
                self.broker.append(OutputRecord(one.topic, b"k", b"v", partition=0))
            self.broker.committed["g", one] = Position(2)
        self.source = MemorySource(self.broker, "g", [INPUT.topic, OURS.topic])
        self.telemetry = SilentTelemetry()
        self.log = MemoryLog(self.broker, "g")
        self.watch = RetentionWatch("rank", self.log, [OURS.topic], clock=self.broker.clock, telemetry=self.telemetry)

    def read(self, records_max: int = 1_000) -> list[MutableMapping[str, Any]]:
        """Fetch once, a second after the last time, and return what was logged."""
        self.broker.clock.sleep(1.0)
        with capture_logs() as logs:
            self.watch.look(self.source.fetch(records_max=records_max, wait_s=0, linger_s=0))
        return logs


@pytest.mark.parametrize(("place", "tolerated"), [(INPUT, 0), (OURS, MARKERS_MAX)])
def test_records_expired_before_a_start_count(place: Partition, tolerated: int) -> None:
    for gone in (0, tolerated, tolerated + 1):
        worker = Worker()
        worker.broker.oldest[place] = 2 + gone
        logged = [line["records_max"] for line in worker.read()]
        assert logged == list(worker.telemetry.expired.values()) == ([gone] if gone > tolerated else [])


def test_lag_is_right_before_a_record() -> None:
    worker = Worker()
    clock, registry = worker.broker.clock, CollectorRegistry()
    telemetry = PrometheusTelemetry(registry, health=Health(clock, stalled_after_s=60), clock=clock)
    clock.sleep(90.0)
    worker.broker.committed["g", OURS] = Position(100)
    held = MemorySource(worker.broker, "g", [INPUT.topic, OURS.topic], held=True)  # as a joiner's that restores
    fetched = held.fetch(records_max=9, wait_s=0, linger_s=0)
    telemetry.fetched("join", fetched)
    RetentionWatch("join", worker.log, [], clock=clock, telemetry=telemetry).look(fetched)
    clock.sleep(10.0)
    places = [{"ring_job": "join", "topic": each.topic, "partition": "0"} for each in (INPUT, OURS)]
    lags = [[registry.get_sample_value(f"stream_scorer_lag_{unit}", place) for place in places] for unit in UNITS]
    assert lags == [[98, 0], [100, 0]]


def test_records_expired_while_running_count() -> None:
    worker = Worker()
    worker.read(10)
    worker.broker.oldest[INPUT] = 50
    [logged] = worker.read()
    assert (logged["event"], logged["position"], logged["oldest"]) == ("records_expired_unread", 12, 50)
    assert worker.telemetry.expired == {INPUT: 38}


def test_partitions_log_once_and_count_always() -> None:
    worker = Worker()
    worker.broker.oldest[INPUT] = 10
    assert len(worker.read(5)) == 1
    worker.broker.oldest[INPUT] = 40
    assert worker.read(5) == []
    assert worker.telemetry.expired == {INPUT: 8 + 25}


def test_records_that_were_read_may_expire() -> None:
    worker = Worker()
    worker.read(10)
    worker.broker.oldest[INPUT] = 12
    assert worker.read() == []
    assert not worker.telemetry.expired


def test_a_group_without_positions_misses_nothing() -> None:
    worker = Worker()
    worker.broker.committed.clear()
    worker.broker.oldest[INPUT] = 50
    assert worker.read() == []


def test_lag_is_known_as_a_partition_arrives() -> None:
    worker = Worker()
    del worker.broker.committed["g", OURS]
    worker.broker.oldest[OURS] = 30
    worker.watch.look(worker.source.fetch(records_max=1, wait_s=0, linger_s=0))
    assert worker.telemetry.lag == {INPUT: 98, OURS: 70}


def test_an_absent_broker_is_asked_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, asked = Worker(), list[Partition]()

    def beginning(partition: Partition) -> int:
        asked.append(partition)
        raise TransientError("no broker answers")

    monkeypatch.setattr(worker.log, "beginning", beginning)
    for _ in range(int(LOOK_EVERY_S)):
        worker.read()
    assert len(asked) == 1
    worker.broker.clock.sleep(ASK_EVERY_S)
    worker.read()
    assert len(asked) == 2
