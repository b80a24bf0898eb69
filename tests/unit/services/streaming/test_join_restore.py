"""Restores beside the loop: what they raise, and that stopping waits for none that hangs."""

from collections.abc import Iterator, Sequence
from threading import Event
from time import monotonic

import pytest
from structlog.testing import capture_logs

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemoryLog
from stream_scorer.core.joining.event_time import Clocks
from stream_scorer.core.joining.join_state import RestorePoint
from stream_scorer.core.joining.labelling import Horizons
from stream_scorer.core.records import OutputRecord, Partition, Position, Record
from stream_scorer.errors import Stopped, TransientError
from stream_scorer.services.streaming.join_restore import CLOSE_S, JoinConfig, Restorer, restore
from stream_scorer.topic_settings import TopicSettings

HORIZONS = Horizons(60_000, 60_000, 1_000, 1_000, 100, 1_000, 0)
CONFIG = JoinConfig(TopicSettings(), "dead-letters", HORIZONS, held_max=100)


class AwayLog(MemoryLog):
    """A log whose brokers are away: it raises at once, or hangs until it is let go."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__(MemoryBroker(1, HandClock()), "g")
        self.hangs, self.asked, self.let_go = hangs, Event(), Event()

    def committed(self, partitions: Sequence[Partition]) -> dict[Partition, Position | None]:
        """See LogReader."""
        self.asked.set()
        if self.hangs:
            self.let_go.wait(60)
        raise TransientError("the brokers are away")


class ClosableLog(MemoryLog):
    """A log that notes that it was let go."""

    def __init__(self, broker: MemoryBroker, group: str) -> None:
        super().__init__(broker, group)
        self.closed = Event()

    def close(self) -> None:
        """See LogReader."""
        self.closed.set()


class EndlessLog(MemoryLog):
    """A log with one record that is read again and again."""

    def read(self, partition: Partition, start: int, end: int) -> Iterator[list[Record]]:
        """See LogReader."""
        while True:
            yield from super().read(partition, start, end)


@pytest.mark.parametrize("hangs", [False, True])
def test_closing_waits_for_no_broker(hangs: bool) -> None:
    log = AwayLog(hangs=hangs)
    restorer = Restorer(lambda: log, CONFIG)
    restorer.submit(0)
    assert log.asked.wait(60)
    started_s = monotonic()
    restorer.close()
    assert monotonic() - started_s < CLOSE_S + 20  # on a busy machine, too; what hangs does so for 60 s
    log.let_go.set()


def test_a_restore_stops_between_two_batches() -> None:
    broker = MemoryBroker(1, HandClock())
    broker.append(OutputRecord("training-labels", b"c", b"{}", partition=0))
    with pytest.raises(Stopped, match="partition 0"):
        restore(0, EndlessLog(broker, "g"), CONFIG, stopping=lambda: True)


def test_a_cancelled_restore_is_not_begun() -> None:
    log = AwayLog(hangs=True)
    restorer = Restorer(lambda: log, CONFIG)
    restorer.submit(0)
    waiting = restorer.submit(1)
    assert waiting.cancel()
    log.let_go.set()
    restorer.close()
    assert waiting.cancelled()


def test_partitions_that_wait_share_a_reader() -> None:
    first = AwayLog(hangs=True)
    second = ClosableLog(MemoryBroker(1, HandClock()), "g")
    readers = iter([first, second])
    restorer = Restorer(lambda: next(readers), CONFIG)
    restored = [restorer.submit(number) for number in range(3)]
    first.let_go.set()  # fails, and is replaced
    assert [each.result(60).number for each in restored] == [0, 1, 2]
    restorer.close()
    assert second.closed.wait(60)


def test_a_reader_without_work_is_let_go() -> None:
    log = ClosableLog(MemoryBroker(1, HandClock()), "g")
    restorer = Restorer(lambda: log, CONFIG)
    assert restorer.submit(0).result(60).number == 0
    assert log.closed.wait(60)
    restorer.close()


@pytest.mark.parametrize(("oldest", "logged"), [(1, []), (2, [1]), (9, [3])])
def test_a_restore_of_expired_records_warns(oldest: int, logged: list[int]) -> None:
    broker, place = MemoryBroker(1, HandClock()), Partition("rankings", 0)
    for _ in range(4):
        broker.append(OutputRecord("rankings", b"c", b"{}", partition=0))
    broker.committed["g", place] = Position(4, RestorePoint(Clocks(), 1, 0, 0).to_text())
    broker.oldest[place] = oldest
    with capture_logs() as logs:
        restore(0, MemoryLog(broker, "g"), CONFIG)
    assert [line["records_max"] for line in logs if line["event"] == "restore_records_expired"] == logged
