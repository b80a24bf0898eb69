"""What a listing of topics carries beside them."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_scorer.adapters.kafka.topic_shapes import partitions_of


def listing(error: KafkaError | None) -> SimpleNamespace:
    return SimpleNamespace(topics={"offers": SimpleNamespace(error=error, partitions={} if error else {0: "p"})})


def test_partitions_are_returned() -> None:
    assert partitions_of(listing(None), "offers") == {0: "p"}


def test_the_error_beside_a_topic_is_raised() -> None:
    with pytest.raises(KafkaException, match="topic offers: Broker: Topic authorization failed"):
        partitions_of(listing(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)), "offers")
