"""What each topic should be, by the settings."""

from stream_scorer.ports import TopicSpec
from stream_scorer.settings import Settings

_HEADERS_BYTES_MAX = 200_000  # a dead letter is the largest record with its reason on top


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Return every topic of the ring; rankings, outcomes and training labels have one partition count and the broker's time."""
    topics = settings.topics
    brief = {"cleanup.policy": "delete", "retention.ms": str(topics.retention_ms)}
    long = {"cleanup.policy": "delete", "retention.ms": str(topics.labels_retention_ms)}
    stamped = {"message.timestamp.type": "LogAppendTime"}
    plan = [
        (topics.requests, brief),
        (topics.acceptances, brief),
        (topics.offers, {"cleanup.policy": "compact"}),
        (topics.rankings, {**brief, **stamped}),
        (topics.outcomes, {**brief, **stamped}),
        (topics.labels, {**long, **stamped}),
        (topics.dead_letters, long),
    ]
    return [
        TopicSpec(
            name,
            topics.partitions,
            topics.replication_factor,
            {**config, "max.message.bytes": str(_bytes_max(name, settings))},
        )
        for name, config in plan
    ]


def _bytes_max(name: str, settings: Settings) -> int:
    return settings.topics.record_bytes_max + (_HEADERS_BYTES_MAX if name == settings.topics.dead_letters else 0)


def horizon_ms(settings: Settings) -> int:
    """Return how long rankings and outcomes must be kept for the join to rebuild its state from them."""
    join = settings.join
    return join.window_ms + join.late_ms + join.disorder_ms + join.back_ms
