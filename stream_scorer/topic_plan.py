"""What each topic should be, by the settings."""

from stream_scorer.ports import TopicSpec
from stream_scorer.settings import Settings

_LABELS_BYTES_MAX = (
    100_000  # what labels add to a ranking of LIMIT_MAX offers, with its key and the protocol's own bytes
)


def topic_specs(settings: Settings) -> list[TopicSpec]:
    """Return every topic of the ring.

    Rankings, outcomes and training labels have one partition count and the broker's time.
    """
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
            {**config, "max.message.bytes": str(topics.record_bytes_max)},
        )
        for name, config in plan
    ]


def ranking_bytes_max(settings: Settings) -> int:
    """Return how large a ranking may be, so that training labels have room for it with its labels."""
    return settings.topics.record_bytes_max - _LABELS_BYTES_MAX


def horizon_ms(settings: Settings) -> int:
    """Return how long rankings and outcomes must be kept for the join to rebuild its state from them."""
    join = settings.join
    # see core/joining/labelling.py:Horizons.remember_ms, the longest of its horizons
    return join.window_ms + join.late_ms + 2 * (join.disorder_ms + join.back_ms)
