"""Configures the clients of Kafka: members of groups, producers, readers of logs, and the forms of their topics."""

import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stream_scorer.adapters.kafka.log import KafkaLog
from stream_scorer.adapters.kafka.reach import wait_for_brokers
from stream_scorer.adapters.kafka.sink import AtLeastOnceSink, TransactionalSink
from stream_scorer.adapters.kafka.source import KafkaSource
from stream_scorer.core import messages
from stream_scorer.core.forms.cloud_events import ENVELOPE_BYTES_MAX, CloudEvents, Mode
from stream_scorer.core.forms.topic_forms import Form, TopicForms
from stream_scorer.core.messages import RECORD_BYTES_MAX
from stream_scorer.errors import UsageError
from stream_scorer.settings import Settings
from stream_scorer.topic_settings import EVENT_FORMS, FORMED_TOPICS, FRAMED_FORMS, FormedTopic

if TYPE_CHECKING:
    from stream_scorer.adapters.schema_registry.opening import SchemaRegistry

START_S = 60.0
WRITTEN_TOPICS: tuple[FormedTopic, ...] = ("rankings", "labels")
_MESSAGES: dict[FormedTopic, type[Any]] = {
    "requests": messages.CustomerRequest,
    "acceptances": messages.Acceptance,
    "offers": messages.Offer,
    "rankings": messages.Ranking,
    "labels": messages.LabelledRanking,
}

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
    """Wait for the brokers, and for the Schema Registry where a topic needs it.

    Raises NotReady, with the reason, after `START_S` at most, and `wire.registry_wait_s`; Stopped when `stopping` asks
    while no broker answers; UsageError where something else than a registry answers, or it refuses us.
    """
    wait_for_brokers(settings.kafka.client_config(), timeout_s=START_S, stopping=stopping)
    if framed_topics(settings):
        _open_registry(settings).reach()


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

    With `letters`, dead letters are read in the forms of their sources. Raises UsageError without the extra registry
    where a form needs it.
    """
    formed = {getattr(settings.topics, topic): form for topic, form in forms_of(settings).items()}
    return TopicForms(formed, settings.topics.dead_letters if letters else None) if formed else None


def forms_of(settings: Settings) -> dict[FormedTopic, Form]:
    """Return the form of every topic that is not plain JSON. Raises as `topic_forms` does."""
    wire = settings.wire
    events = {topic: _event(settings, topic) for topic in FORMED_TOPICS if wire.form_of(topic) in EVENT_FORMS}
    if not (framed := framed_topics(settings)):
        return dict(events)
    registry = _open_registry(settings)
    from stream_scorer.adapters.schema_registry.opening import framed_form

    formed = {
        topic: framed_form(
            wire.form_of(topic), registry, _MESSAGES[topic], place=wire.schema_id, names=wire.subject_names
        )
        for topic in framed
    }
    return {**events, **formed}


def framed_topics(settings: Settings) -> list[FormedTopic]:
    """Return the topics whose schemas lie in a registry."""
    return [topic for topic in FORMED_TOPICS if settings.wire.form_of(topic) in FRAMED_FORMS]


def _open_registry(settings: Settings) -> "SchemaRegistry":
    wire = settings.wire
    # only who needs a registry pays for its client, which takes half a second to import
    try:
        from stream_scorer.adapters.schema_registry.opening import SchemaRegistry
    except ImportError as error:
        topic = framed_topics(settings)[0]
        asked = f"wire.{topic} = {wire.form_of(topic)}"
        raise UsageError(
            f"{asked} needs the extra registry: pip install 'stream-scorer[registry]' ({error})"
        ) from error
    revealed = {key: value.get_secret_value() for key, value in wire.registry.items()}
    return SchemaRegistry(
        wire.registry_url or "", revealed, wait_s=wire.registry_wait_s, register=wire.register_schemas
    )


def _event(settings: Settings, topic: FormedTopic) -> CloudEvents:
    wire = settings.wire
    mode: Mode = "binary" if wire.form_of(topic) == "cloudevents_binary" else "structured"
    # our own records were bounded when they were written, by what a topic takes
    data_bytes_max = sys.maxsize - ENVELOPE_BYTES_MAX if topic in WRITTEN_TOPICS else RECORD_BYTES_MAX
    return CloudEvents(wire.event_type(topic), wire.event_source, mode, data_bytes_max)
