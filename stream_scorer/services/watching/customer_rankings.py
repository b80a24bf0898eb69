"""The last rankings of a customer: explained by the towers that made them, with the labels they have by now."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream_scorer.core.inspecting.explaining import ExplainedOffer, explain
from stream_scorer.core.messages import LabelledRanking, Ranking, ReleaseId
from stream_scorer.core.records import Partition, Record
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import BadModel, ReleaseError, StreamScorerError, TransientError
from stream_scorer.services.letters.survey import partitions_of
from stream_scorer.services.watching.remembered_releases import RememberedReleases
from stream_scorer.services.watching.topic_tails import TailReader

RANKINGS_SHOWN = 5
_UNEXPLAINED = (ReleaseError, BadModel, TransientError)

PlaceOf = Callable[[bytes, int], int]


@dataclass(frozen=True, slots=True)
class ExplainedRanking:
    """A ranking, when it was ranked, its offers, and the latest labels of it; `fault` says why it is not explained."""

    ranking: Ranking
    ranked_ms: int
    offers: tuple[ExplainedOffer, ...]
    labels: LabelledRanking | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class CustomerNow:
    """The last rankings of a customer, newest first; `read` rankings of a partition were looked through."""

    rankings: tuple[ExplainedRanking, ...]
    partition: int
    read: int
    since_ms: int | None
    unread_labels: str = ""


@dataclass(frozen=True, slots=True)
class CustomerTopics:
    """Where rankings and their labels lie; `place_of` chooses a key's partition among so many.

    With `all_features` rankings carry all features of their offers.
    """

    rankings: str
    labels: str
    place_of: PlaceOf
    all_features: bool = True


def customer_now(
    tail: TailReader, releases: RememberedReleases, topics: CustomerTopics, customer_id: str
) -> CustomerNow:
    """Look through the end of the customer's partition for rankings of this customer, and explain them.

    Raises UsageError for a missing topic, TransientError when the rankings cannot be read in time.
    """
    key = customer_id.encode()
    number = topics.place_of(key, len(partitions_of(tail.reader, topics.rankings)))
    newest = tail.newest_with_key(Partition(topics.rankings, number), key)
    own = decode_all(newest.own[-RANKINGS_SHOWN:], Ranking)
    labels, unread = _labels(tail, topics, key, number) if own.messages else ({}, "")
    explained = [
        _explained(each, record, releases, labels.get(each.request_id), topics)
        for each, record in zip(own.messages, own.records, strict=True)
    ]
    return CustomerNow(tuple(reversed(explained)), number, newest.read, newest.since_ms, unread)


def _labels(
    tail: TailReader, topics: CustomerTopics, key: bytes, number: int
) -> tuple[dict[str, LabelledRanking], str]:
    """Return the latest labels by request, and why there are none where they cannot be read."""
    try:
        newest = tail.newest_with_key(Partition(topics.labels, number), key)
    except StreamScorerError as error:
        return {}, str(error)
    return _latest(newest.own), ""


def _latest(records: Sequence[Record]) -> dict[str, LabelledRanking]:
    messages = decode_all(records, LabelledRanking).messages
    return {each.request_id: each for each in sorted(messages, key=lambda one: one.revision)}


def _explained(
    ranking: Ranking,
    record: Record,
    releases: RememberedReleases,
    labels: LabelledRanking | None,
    topics: CustomerTopics,
) -> ExplainedRanking:
    try:
        release_id = ReleaseId(ranking.release_id)
        catalog: Catalog | None = None if topics.all_features else releases.load(release_id).catalog
        offers = explain(ranking, releases.model(release_id), catalog)
    except _UNEXPLAINED as error:
        plain = tuple(ExplainedOffer(each, each.rank, ()) for each in ranking.offers)
        fault = f"release {ranking.release_id} cannot be asked any more: {error}"
        return ExplainedRanking(ranking, record.timestamp_ms, plain, labels, fault)
    return ExplainedRanking(ranking, record.timestamp_ms, tuple(offers), labels)
