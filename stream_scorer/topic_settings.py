"""The topics: each with its name, what it carries, who writes and reads it, and how long it is kept.

A field of `TopicSettings` is all that a new topic needs: `topics` creates it, `doctor` checks it, `erase` searches it,
and the AsyncAPI document lists it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
