"""What each topic should be, by the settings."""

from stream_scorer.core.forms.cloud_events import ENVELOPE_BYTES_MAX
from stream_scorer.ports import TopicSpec
from stream_scorer.settings import Settings
from stream_scorer.topic_settings import Topic, TopicSettings

# what labels add to a ranking of LIMIT_MAX offers, with its key and the protocol's own bytes
_LABELS_BYTES_MAX = 100_000
_BINARY_GROWTH = 4  # "0," in a list of numbers is two bytes of JSON, and a double of eight


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Return every topic of the ring.

    Rankings, outcomes and training labels have one partition count and the broker's time.
    """
    topics = settings.topics
    return [
        TopicSpec(name, topics.partitions, topics.replication_factor, _config(topics, topic))
        for name, topic in topics.each()
    ]


def _config(topics: TopicSettings, topic: Topic) -> dict[str, str]:
    kept = (
        {"cleanup.policy": "compact"}
        if topic.retention is None
        else {"cleanup.policy": "delete", "retention.ms": str(getattr(topics, topic.retention))}
    )
    stamped = {"message.timestamp.type": "LogAppendTime"} if topic.stamped_by_broker else {}
    return {**kept, **stamped, "max.message.bytes": str(topics.record_bytes_max)}


def label_bytes_max(settings: Settings) -> int:
    """Return how large labels may be as JSON, so that a record has room for them in their form."""
    room = settings.topics.record_bytes_max // (_BINARY_GROWTH if _output_forms(settings) & {"avro", "protobuf"} else 1)
    return room - (0 if _output_forms(settings) == {"json"} else ENVELOPE_BYTES_MAX)


def ranking_bytes_max(settings: Settings) -> int:
    """Return how large a ranking may be as JSON, so that training labels have room for it with its labels."""
    return label_bytes_max(settings) - _LABELS_BYTES_MAX


def _output_forms(settings: Settings) -> set[str]:
    return {settings.wire.rankings, settings.wire.labels}


def horizon_ms(settings: Settings) -> int:
    """Return how long rankings and outcomes must be kept for the join to rebuild its state from them."""
    join = settings.join
    # see core/joining/labelling.py:Horizons.remember_ms, the longest of its horizons
    return join.window_ms + join.late_ms + 2 * (join.disorder_ms + join.back_ms)
