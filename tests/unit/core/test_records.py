"""What batches say of their partitions."""

from stream_scorer.core.records import Partition, Record, last_times_of


def test_the_last_time_of_each_partition() -> None:
    places = [("a", 0, 10), ("a", 1, 20), ("a", 0, 5)]
    batch = [Record(topic, number, offset, None, None, time) for offset, (topic, number, time) in enumerate(places)]
    assert last_times_of(batch) == {Partition("a", 0): 5, Partition("a", 1): 20}
