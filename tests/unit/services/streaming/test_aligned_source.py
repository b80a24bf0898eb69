"""A backlog over several partitions, in the order of event time."""

from stream_scorer.adapters.local.clock import HandClock
from stream_scorer.adapters.memory.stream import MemoryBroker, MemorySink, MemorySource
from stream_scorer.core.records import OutputRecord, Partition, Record, progress_of
from stream_scorer.services.streaming.aligned_source import AlignedSink, AlignedSource

BACKLOG = 400
ONE, TWO = Partition("requests", 0), Partition("requests", 1)


class World:
    """Two partitions with a backlog, whose event times interleave."""

    def __init__(self) -> None:
        self.clock = HandClock(1_000_000)
        self.broker = MemoryBroker(2, self.clock)
        for time_ms in range(2 * BACKLOG):
            value = b'{"event_time_ms": %d}' % time_ms
            self.broker.append(OutputRecord("requests", None, value, partition=time_ms % 2))

    def source(self) -> AlignedSource[MemorySource]:
        return AlignedSource(MemorySource(self.broker, "g", ["requests"]), clock=self.clock)


def fetch(source: AlignedSource[MemorySource], times: int) -> list[Record]:
    return [record for _ in range(times) for record in source.fetch(records_max=50, wait_s=0.2, linger_s=0).records]


def times_ms(records: list[Record]) -> list[int]:
    return [int((record.value or b"")[18:-1]) for record in records]


def test_a_backlog_comes_by_event_time_once() -> None:
    records = fetch(World().source(), 60)
    assert times_ms(records) == list(range(2 * BACKLOG))


def test_waiting_records_are_lag_before_ends() -> None:
    source = World().source()
    assert fetch(source, 3) == []  # the first partition waits for the second
    assert source.lag() == {ONE: BACKLOG, TWO: BACKLOG}
    ended: list[Partition] = []
    for _ in range(60):
        fetched = source.fetch(records_max=50, wait_s=0.2, linger_s=0)
        assert not set(ended) & {Partition(record.topic, record.partition) for record in fetched.records}
        ended += fetched.ended
    assert sorted(ended) == [ONE, TWO]


def test_first_records_wait_for_silent_partitions() -> None:
    source = World().source()
    assert source.fetch(records_max=0, wait_s=0, linger_s=0).records == []  # assigned, and nothing has come yet
    assert source.fetch(records_max=50, wait_s=0, linger_s=0).records == []


def test_a_rewind_leaves_nothing_behind() -> None:
    source = World().source()
    fetch(source, 20)
    source.rewind()
    assert times_ms(fetch(source, 60)) == list(range(2 * BACKLOG))


def test_progress_is_that_of_the_member_below() -> None:
    world = World()
    source, sink = world.source(), AlignedSink[MemorySource](MemorySink(world.broker))
    records = fetch(source, 60)
    sink.write([], progress_of(records), source)
    assert world.broker.committed["g", ONE].offset == BACKLOG


def test_a_revoked_partition_leaves_nothing_behind() -> None:
    world = World()
    source = world.source()
    fetch(source, 3)
    source.source.move_away([ONE])
    assert {record.partition for record in fetch(source, 60)} == {1}
