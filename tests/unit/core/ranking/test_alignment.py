"""Records of several partitions in the order of event time."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.ranking.alignment import HELD_BYTES_MAX, HELD_RECORDS_MAX, SILENT_S, InStep
from stream_scorer.core.records import Partition, Record

ONE, TWO = Partition("t", 1), Partition("t", 2)


def records(partition: Partition, *times_ms: int, first: int = 0) -> list[Record]:
    return [
        Record(partition.topic, partition.number, first + offset, None, b'{"event_time_ms": %d}' % time_ms, 1_000_000)
        for offset, time_ms in enumerate(times_ms)
    ]


def times(taken: Sequence[Record]) -> list[int]:
    return [int((record.value or b"")[18:-1]) for record in taken]


def in_step() -> InStep:
    order = InStep()
    order.take([ONE, TWO], records_max=9, now_s=0.0)
    return order


def test_later_records_wait_for_behind_partitions() -> None:
    order = in_step()
    order.add(records(ONE, 10, 20, 30), 0.0)
    assert order.take([ONE, TWO], records_max=9, now_s=0.1) == []
    order.add(records(TWO, 5, 25), 0.1)
    assert times(order.take([ONE, TWO], records_max=9, now_s=0.1)) == [5, 10, 20, 25]
    assert (order.held_of(ONE), order.held_of(TWO)) == (1, 0)


def test_nothing_waits_once_nobody_is_behind() -> None:
    order = in_step()
    order.add(records(ONE, 10, 20), 0.0)
    order.add(records(TWO, 15), 0.0)
    assert times(order.take([], records_max=2, now_s=0.0)) == [10, 15]
    assert times(order.take([], records_max=2, now_s=0.0)) == [20]
    assert not order


def test_a_silent_partition_is_not_waited_for() -> None:
    order = in_step()
    order.add(records(ONE, 10, 20), SILENT_S)
    assert times(order.take([TWO], records_max=9, now_s=SILENT_S)) == [10, 20]


def test_a_partition_is_awaited_again() -> None:
    order = in_step()
    order.take([], records_max=9, now_s=5 * SILENT_S)
    order.add(records(ONE, 10), 9 * SILENT_S)
    assert order.take([ONE, TWO], records_max=9, now_s=9 * SILENT_S) == []
    assert times(order.take([ONE, TWO], records_max=9, now_s=10 * SILENT_S)) == [10]


def test_what_is_held_is_bounded() -> None:
    order = in_step()
    order.add(records(ONE, *range(HELD_RECORDS_MAX)), 0.0)
    assert len(order.take([TWO], records_max=100, now_s=0.0)) == 100
    assert order.take([TWO], records_max=100, now_s=0.0) == []


def large(count: int) -> list[Record]:
    """Return records that have as many bytes together as may wait."""
    value = b'{"event_time_ms": 10}' + bytes(HELD_BYTES_MAX // count)
    return [Record("t", 1, offset, None, value, 1_000_000) for offset in range(count)]


def test_bytes_that_wait_are_bounded() -> None:
    order = in_step()
    order.add(large(4), 0.0)
    assert len(order.take([TWO], records_max=1, now_s=0.0)) == 1
    assert order.take([TWO], records_max=1, now_s=0.0) == []


def test_bytes_of_a_dropped_partition_are_free() -> None:
    order = in_step()
    order.add(large(4), 0.0)
    order.drop([ONE])
    assert not order
    order.add(records(ONE, 10), 0.0)
    assert order.take([TWO], records_max=9, now_s=0.0) == []


def test_times_jumping_back_keep_the_order() -> None:
    order = in_step()
    order.add(records(ONE, 30, 10, 20), 0.0)
    order.add(records(TWO, 5, 40), 0.0)
    assert times(order.take([], records_max=9, now_s=0.0)) == [5, 30, 10, 20, 40]


def test_partitions_read_first_precede_at_equal_times() -> None:
    order, numbers = InStep(), [5, 2, 7, 0, 6, 1, 4, 3]
    order.add([record for number in numbers for record in records(Partition("t", number), 10)], 0.0)
    assert [record.partition for record in order.take([], records_max=9, now_s=0.0)] == numbers


def test_odd_event_times_count_as_written() -> None:
    order = in_step()
    order.add([Record("t", 1, 0, None, b"[]", 30), Record("t", 1, 1, None, b'{"event_time_ms": 99}', 40)], 0.0)
    order.add([Record("t", 2, 0, None, b'{"event_time_ms": 35}', 50)], 0.0)
    assert [record.timestamp_ms for record in order.take([], records_max=9, now_s=0.0)] == [30, 50, 40]


def test_nothing_of_a_dropped_partition_stays() -> None:
    order = in_step()
    order.add(records(ONE, 10), 0.0)
    order.add(records(TWO, 20), 0.0)
    order.drop([ONE])
    assert times(order.take([], records_max=9, now_s=0.0)) == [20]


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), st.integers(0, 50), st.booleans()), max_size=40))
def test_records_come_once_in_order(steps: list[tuple[Partition, int, bool]]) -> None:
    order, taken, ends = in_step(), [], {ONE: 0, TWO: 0}
    for partition, time_ms, behind in steps:
        order.add(records(partition, time_ms, first=ends[partition]), 0.0)
        ends[partition] += 1
        taken += order.take([ONE, TWO] if behind else [], records_max=3, now_s=0.0)
    while order:
        taken += order.take([], records_max=3, now_s=0.0)
    for partition, end in ends.items():
        assert [record.offset for record in taken if record.partition == partition.number] == list(range(end))
