"""What batches say of their partitions."""

from stream_scorer.core.records import (
    Partition,
    Position,
    Record,
    last_times_of,
    offsets_of,
    partitions_of,
    progress_of,
)


def records(*places: tuple[str, int, int]) -> list[Record]:
    return [Record(topic, partition, offset, None, None, 0) for topic, partition, offset in places]


MIXED = records(("a", 0, 7), ("a", 1, 3), ("b", 0, 1), ("a", 0, 9), ("a", 0, 8))


def test_offsets_are_grouped_in_their_order() -> None:
    found = offsets_of(MIXED)
    assert found == {Partition("a", 0): [7, 9, 8], Partition("a", 1): [3], Partition("b", 0): [1]}
    assert {type(partition) for partition in found} == {Partition}


def test_each_partition_is_listed_once() -> None:
    found = partitions_of(MIXED)
    assert found == [Partition("a", 0), Partition("a", 1), Partition("b", 0)]
    assert {type(partition) for partition in found} == {Partition}


def test_progress_is_behind_the_last_offset() -> None:
    found = progress_of(MIXED)
    assert found == {Partition("a", 0): Position(10), Partition("a", 1): Position(4), Partition("b", 0): Position(2)}


def test_the_last_time_of_each_partition() -> None:
    places = [("a", 0, 10), ("a", 1, 20), ("a", 0, 5)]
    batch = [Record(topic, number, offset, None, None, time) for offset, (topic, number, time) in enumerate(places)]
    assert last_times_of(batch) == {Partition("a", 0): 5, Partition("a", 1): 20}
