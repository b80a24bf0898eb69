"""Configures the clients of Kafka: members of groups, producers, readers of logs, and the forms of their topics."""

import sys
import uuid
from collections.abc import Callable, Mapping, Sequence

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.reach import wait_for_brokers
from stream_scorer.adapters.kafka.sink import AtLeastOnceSink, TransactionalSink
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.core.forms.cloud_events import ENVELOPE_BYTES_MAX, CloudEvents, Mode
from stream_scorer.core.forms.topic_forms import Form, TopicForms
from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.settings import Settings
from stream_scorer.topic_settings import FORMED_TOPICS, FormedTopic

START_S = 60.0

ClientConfig = dict[str, str | int | float | bool]


def member_config(settings: Settings, group: str) -> ClientConfig:
    """Return the client settings of a member of a consumer group."""
    kafka = settings.kafka
    config: ClientConfig = {
        **kafka.client_config(),
        "group.id": group,
        "group.protocol": kafka.group_protocol,
        "fetch.wait.max.ms": kafka.fetch_wait_max_ms,
    }
    if kafka.group_protocol == "classic":
        config |= {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": kafka.session_timeout_ms,
            # several heartbeats may get lost before the session ends
            "heartbeat.interval.ms": max(100, kafka.session_timeout_ms // 5),
        }
    return config


def record_source(
    settings: Settings,
    group: str,
    topics: Sequence[str],
    *,
    mirrored: Sequence[str] = (),
    held: bool = False,
) -> KafkaSource:
    """Return a source that joins the consumer group at once."""
    return KafkaSource(
        member_config(settings, group), topics, mirrored=mirrored, held=held, forms=topic_forms(settings)
    )


def brokers_ready(settings: Settings, stopping: Callable[[], bool]) -> None:
    """Wait for the brokers. Raises NotReady, with the reason, after `START_S` at most; Stopped when `stopping` asks."""
    wait_for_brokers(settings.kafka.client_config(), timeout_s=START_S, stopping=stopping)


def producer_config(settings: Settings) -> ClientConfig:
    """Return the client settings of whatever writes to the ring's topics."""
    return {
        "message.max.bytes": settings.topics.record_bytes_max,
        "compression.type": settings.kafka.compression,
        **settings.kafka.client_config(),
    }


def record_sink(
    settings: Settings,
    group: str,
    *,
    note_ends: bool = False,
    counts: Mapping[str, int] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> TransactionalSink | AtLeastOnceSink:
    """Return the sink for the delivery mode in the settings.

    `counts` fixes, by topic, the number of partitions over which the sink spreads records.
    """
    config, timeout_s = producer_config(settings), settings.kafka.transaction_timeout_ms / 1000
    forms = topic_forms(settings)
    if settings.loop.delivery == "at_least_once":
        return AtLeastOnceSink(config, timeout_s=timeout_s, note_ends=note_ends, counts=counts or {}, forms=forms)
    instance = settings.loop.instance or uuid.uuid4().hex[:12]
    config |= {
        "transactional.id": f"{group}-{instance}",
        "transaction.timeout.ms": settings.kafka.transaction_timeout_ms,
    }
    return TransactionalSink(
        config, timeout_s=timeout_s, note_ends=note_ends, counts=counts or {}, forms=forms, stopping=stopping
    )


def log_reader(settings: Settings, group: str) -> KafkaLog:
    """Return a reader of partitions and of a group's committed positions."""
    # Records behind a dead predecessor's open transaction cannot be read until the broker has aborted it, which happens
    # within this time.
    return KafkaLog(
        {**settings.kafka.client_config(), "group.id": group},
        timeout_s=2 * settings.kafka.transaction_timeout_ms / 1000,
        forms=topic_forms(settings),
    )


def topic_forms(settings: Settings, *, letters: bool = False) -> TopicForms | None:
    """Return the forms of the settings, None where all is plain JSON: then nothing looks at records at all.

    With `letters`, dead letters are read in the forms of their sources.
    """
    names = {topic: getattr(settings.topics, topic) for topic in FORMED_TOPICS}
    formed = {names[topic]: _form(settings, topic) for topic in FORMED_TOPICS if settings.wire.form_of(topic) != "json"}
    return TopicForms(formed, settings.topics.dead_letters if letters else None) if formed else None


def _form(settings: Settings, topic: FormedTopic) -> Form:
    wire = settings.wire
    mode: Mode = "binary" if wire.form_of(topic) == "cloudevents_binary" else "structured"
    # our own records were bounded when they were written, by what a topic takes
    data_bytes_max = sys.maxsize - ENVELOPE_BYTES_MAX if topic in ("rankings", "labels") else RECORD_BYTES_MAX
    return CloudEvents(wire.event_type(topic), wire.event_source, mode, data_bytes_max)
