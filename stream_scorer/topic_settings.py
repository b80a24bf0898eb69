"""The topics: each with its name, what it carries, who writes and reads it, how long it is kept, and its form.

A field of `TopicSettings` is all that a new topic needs: `topics` creates it, `doctor` checks it, `erase` searches it,
and the AsyncAPI document lists it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the settings."""

    # a string under a setting is its description: `settings --describe` and the options' help print it
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


_USERS_KEY = "as you like: we choose the partitions of what we write ourselves"
_CUSTOMER_KEY = "customer_id; the partition is murmur2 of it, as Java clients choose"


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic carries and who sends and receives there, by command; none: users."""

    about: str
    message: str
    key: str
    sent_by: tuple[str, ...] = ()
    received_by: tuple[str, ...] = ()
    beside: tuple[str, tuple[str, ...]] | None = None
    """Another message there, and who sends it."""
    retention: Literal["retention_ms", "labels_retention_ms"] | None = "retention_ms"
    """The setting that bounds how long records are kept; None: compacted."""
    stamped_by_broker: bool = False
    """Whether records bear the time at which the broker appended them: the join goes by it."""
    of_customers: bool = True


class TopicSettings(Section):
    """Names, partition counts and retention of the topics."""

    requests: Annotated[
        str, Topic("Customers to rank offers for.", "customer-request", _USERS_KEY, received_by=("rank",))
    ] = "customer-requests"
    """Topic of the customers' requests."""
    acceptances: Annotated[
        str, Topic("Customers' answers to offers.", "acceptance", _USERS_KEY, received_by=("rank",))
    ] = "acceptances"
    """Topic of the customers' answers to offers."""
    offers: Annotated[
        str,
        Topic(
            "Offers as their owners state them; a tombstone withdraws one.",
            "offer",
            "offer_id",
            received_by=("refresh",),
            beside=("offer-tombstone", ()),
            retention=None,
            of_customers=False,
        ),
    ] = "offers"
    """Topic of the offers and their changes, compacted."""
    rankings: Annotated[
        str,
        Topic(
            "One per request; its own timestamp says when it was ranked.",
            "ranking",
            _CUSTOMER_KEY,
            sent_by=("rank",),
            received_by=("join",),
            stamped_by_broker=True,
        ),
    ] = "rankings"
    """Topic of the rankings."""
    outcomes: Annotated[
        str,
        Topic(
            "Acceptances, validated; an erasure lies in every partition.",
            "acceptance",
            _CUSTOMER_KEY,
            sent_by=("rank",),
            received_by=("join",),
            beside=("erasure", ("erase",)),
            stamped_by_broker=True,
        ),
    ] = "outcomes"
    """Topic of the validated acceptances, each in the partition of its ranking."""
    labels: Annotated[
        str,
        Topic(
            "The highest revision of a request counts.",
            "labelled-ranking",
            _CUSTOMER_KEY,
            sent_by=("join",),
            received_by=("join", "buffer"),
            retention="labels_retention_ms",
            stamped_by_broker=True,
        ),
    ] = "training-labels"
    """Topic of the labelled rankings."""
    dead_letters: Annotated[
        str,
        Topic(
            "Records that can never be processed.",
            "dead-letter",
            "the source's",
            sent_by=("rank", "join", "refresh", "buffer"),
            retention="labels_retention_ms",
        ),
    ] = "dead-letters"
    """Topic of the records that can never be processed, each with its reason."""
    partitions: Count = 8
    """Partitions of each topic that `topics` creates."""
    replication_factor: Count = 1
    """Copies of each partition that `topics` creates; 3 where a broker may fail."""
    retention_ms: Count = 7 * 24 * 3_600_000
    """How long requests, acceptances, rankings and outcomes are kept."""
    labels_retention_ms: Count = 30 * 24 * 3_600_000
    """How long training labels and dead letters are kept."""
    record_bytes_max: Annotated[int, Field(ge=1_048_588, le=50_000_000)] = 2_000_000
    """`max.message.bytes` of every topic, at least Kafka's default; a ranking may have 100,000 bytes less."""

    def each(self) -> Iterator[tuple[str, Topic]]:
        """Yield the name and the description of every topic; one whose name is null is not used."""
        for field, info in type(self).model_fields.items():
            for topic in info.metadata:
                if isinstance(topic, Topic) and (name := getattr(self, field)) is not None:
                    yield name, topic


Form = Literal["json", "cloudevents_binary", "cloudevents_structured", "avro", "json_schema", "protobuf"]
EVENT_FORMS = ("cloudevents_binary", "cloudevents_structured")
FRAMED_FORMS = ("avro", "json_schema", "protobuf")  # whose schemas lie in a registry
FormedTopic = Literal["requests", "acceptances", "offers", "rankings", "labels"]
FORMED_TOPICS: tuple[FormedTopic, ...] = ("requests", "acceptances", "offers", "rankings", "labels")
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
EventText = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,250}$")]
TRACE_HEADERS = ("traceparent", "tracestate")  # of W3C Trace Context
EVENT_TYPES: dict[FormedTopic, str] = {
    "requests": "stream-scorer.customer-request",
    "acceptances": "stream-scorer.acceptance",
    "offers": "stream-scorer.offer",
    "rankings": "stream-scorer.ranking",
    "labels": "stream-scorer.labelled-ranking",
}


class WireSettings(Section):
    """The form of each topic's records, and which headers go on with them."""

    requests: Form = "json"
    """Form of the requests; `outcomes` and `dead-letters` have none: ours stay plain, and theirs as they came."""
    acceptances: Form = "json"
    """Form of the acceptances."""
    offers: Form = "json"
    """Form of the offers."""
    rankings: Form = "json"
    """Form of the rankings, as rankers write and joiners read them."""
    labels: Form = "json"
    """Form of the training labels, as joiners write and buffers read them."""
    headers: Annotated[list[HeaderName], Field(max_length=16)] = Field(default_factory=lambda: [*TRACE_HEADERS])
    """Headers that go from a request to its ranking and labels, and from an acceptance to its outcome."""
    event_source: EventText = "stream-scorer"
    """The `source` of CloudEvents that are written, a URI reference."""
    event_types: dict[FormedTopic, EventText] = Field(default_factory=dict)
    """The `type` of a topic's CloudEvents, read and written, where it is not ours."""
    registry_url: Annotated[str | None, Field(pattern=r"^https?://[^@\s]+$")] = None
    """The Schema Registry of framed topics (extra registry): http:// or https://, Confluent's API."""
    registry: dict[str, SecretStr] = Field(default_factory=dict)
    """Keys of confluent-kafka's registry client, such as basic.auth.user.info or ssl.ca.location; values are masked."""
    registry_wait_s: Annotated[float, Field(gt=0, le=120)] = 30.0
    """How long a job asks again while the registry does not answer, before it ends."""
    register_schemas: bool = False
    """Whether a schema that a subject lacks is registered by whoever writes first; else it must be there."""
    subject_names: Literal["topic", "record", "topic_record"] = "topic"
    """How a subject is named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy."""
    schema_id: Literal["value", "header"] = "value"
    """Where the schema's id is written: before the value, or in the header __value_schema_id; both are read."""

    @model_validator(mode="after")
    def _need_registry(self) -> Self:
        """Refuse a form whose schemas lie nowhere."""
        framed = [topic for topic in FORMED_TOPICS if self.form_of(topic) in FRAMED_FORMS]
        if framed and self.registry_url is None:
            msg = f"registry_url must be set, since {framed[0]} is {self.form_of(framed[0])}"
            raise ValueError(msg)
        return self

    def form_of(self, topic: FormedTopic) -> Form:
        """Return the form of a topic, by its name in `topics`."""
        form: Form = getattr(self, topic)
        return form

    def event_type(self, topic: FormedTopic) -> str:
        """Return the type of a topic's events."""
        return self.event_types.get(topic, EVENT_TYPES[topic])
