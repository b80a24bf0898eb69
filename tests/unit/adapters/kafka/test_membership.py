"""What is read out of a consumer's statistics and group metadata."""

import json
import struct

import pytest

from stream_scorer.adapters.kafka.membership import any_connected, generation_of, known_partitions
from stream_scorer.core.records import Partition


@pytest.mark.parametrize(
    ("states", "connected"), [([], False), (["INIT", "TRY_CONNECT"], False), (["DOWN", "UP"], True)]
)
def test_one_connected_broker_is_enough(states: list[str], connected: bool) -> None:
    brokers = {str(number): {"state": state, "rtt": {}} for number, state in enumerate(states)}
    assert any_connected(json.dumps({"name": "rdkafka", "brokers": brokers})) == connected


def test_partitions_are_known_by_topic() -> None:
    topics = {"a": {"partitions": {"0": {"leader": 1}, "1": {}, "-1": {}}}, "b": {"partitions": {}}}
    statistics = json.dumps({"brokers": {}, "topics": topics})
    assert known_partitions(statistics) == {Partition("a", 0), Partition("a", 1)}


@pytest.mark.parametrize("generation", [-1, 0, 2, 70_000])
def test_the_generation_is_read(generation: int) -> None:
    assert generation_of(b"CGMDv2:" + struct.pack("=i", generation) + b"group\0member\0\1") == generation


@pytest.mark.parametrize("metadata", [b"CGMDv9:\7\0\0\0", b"", None])
def test_another_format_tells_nothing(metadata: object) -> None:
    assert generation_of(metadata) == 0
