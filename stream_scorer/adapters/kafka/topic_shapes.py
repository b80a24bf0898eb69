"""Partition counts and ids of topics, as the brokers state them."""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, murmur2
from confluent_kafka.admin import AdminClient

from stream_scorer.adapters.kafka.client import kafka_error
from stream_scorer.core.records import TopicShape

_GRACE_S = 5.0  # the client's own time-out comes first, with a reason


def has_controller(metadata: Any) -> bool:
    """Return whether the brokers have a controller: librdkafka's mock has none, and knows no ids of topics."""
    return metadata.controller_id in metadata.brokers


def partitions_of(metadata: Any, name: str) -> Mapping[int, Any]:
    """Return the partitions of a topic that exists.

    Raises KafkaException with the error that a listing carries beside the topic: its partitions are then left out.
    """
    listed = metadata.topics[name]
    if listed.error is not None:
        raise KafkaException(KafkaError(listed.error.code(), f"topic {name}: {listed.error.str()}"))
    partitions: Mapping[int, Any] = listed.partitions
    return partitions


def topic_shapes(client: AdminClient, names: Sequence[str], *, timeout_s: float) -> dict[str, TopicShape]:
    """Return the shapes of those of the topics that exist. Raises KafkaException."""
    metadata = client.list_topics(timeout=timeout_s)
    existing = [name for name in names if name in metadata.topics]
    if not existing or not has_controller(metadata):
        return {name: TopicShape(len(partitions_of(metadata, name))) for name in existing}
    futures = client.describe_topics(TopicCollection(existing), request_timeout=timeout_s)
    shapes = {name: _shape(future, timeout_s) for name, future in futures.items()}
    return {name: shape for name, shape in shapes.items() if shape is not None}


def _shape(future: Any, timeout_s: float) -> TopicShape | None:
    try:
        described = future.result(timeout_s + _GRACE_S)
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None  # deleted between the two questions
        raise
    return TopicShape(len(described.partitions), str(described.topic_id))


def place_of_key(key: bytes, count: int) -> int:
    """Return the partition, of `count`, in which we and Java clients put a key."""
    return int(murmur2(key, count))
