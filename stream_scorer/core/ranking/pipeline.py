"""The whole flow of a batch, from records in to records out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from stream_scorer.core.features.coverage import FeatureCoverage, coverage_of
from stream_scorer.core.messages import RECORD_BYTES_MAX, Acceptance, CustomerRequest
from stream_scorer.core.ranking.best_offers import Customers, rank
from stream_scorer.core.ranking.eligibility import Numbers
from stream_scorer.core.ranking.encoding import ALL_FEATURES, OfferFeatures, encode_rankings
from stream_scorer.core.ranking.exploration import Exploration, explore
from stream_scorer.core.ranking.filters import filter_refusal
from stream_scorer.core.ranking.recall import NOTHING_MEASURED, Recall, sampled_recall
from stream_scorer.core.ranking.reranking import first_of_each, rerank
from stream_scorer.core.records import DeadLetter, OutputRecord, Record
from stream_scorer.core.releases.offer_overlay import OfferOverlay, overlay_of
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT
from stream_scorer.core.wire.codec import Decoded, decode_all, encode
from stream_scorer.core.wire.letter_headers import Headers, attempt_headers, passed_headers
from stream_scorer.core.wire.strict_json import Refusal

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class RankTopics:
    """Where requests and acceptances come from, and where rankings and outcomes go."""

    requests: str
    acceptances: str
    rankings: str
    outcomes: str


@dataclass(frozen=True, slots=True)
class RankedBatch:
    """What becomes of a batch: each record is exactly one output or one dead letter; `counts` gives the number of each.

    `coverage` counts which features of the user tower the requests state, and `recall` what an index found of the best
    offers, in the sample that was ranked exactly too.
    """

    outputs: list[OutputRecord]
    dead_letters: list[DeadLetter]
    counts: Mapping[str, int]
    coverage: FeatureCoverage
    recall: Recall = NOTHING_MEASURED


def rank_batch(
    records: Sequence[Record],
    release: Release,
    *,
    topics: RankTopics,
    offer_features: OfferFeatures = ALL_FEATURES,
    ranking_bytes_max: int = RECORD_BYTES_MAX,
    exploration: Exploration | None = None,
    recall_every: int = 0,
    exact: bool = False,
    shortlist: int = SHORTLIST_DEFAULT,
    passed: Collection[str] = (),
) -> RankedBatch:
    """Answer a batch: requests with rankings scored by this one release, acceptances with outcomes.

    `shortlist` is how many of a request's offers the release's re-ranker ranks, where it has one.
    With `exact`, an index that the release has is not used; with `recall_every`, one in so many of the requests that it
    answers is ranked exactly too. Headers whose names are in `passed` go on with what a record becomes.
    """
    requests = decode_all(_from(records, topics.requests), CustomerRequest)
    acceptances = decode_all(_from(records, topics.acceptances), Acceptance)

    requests = _without(requests, _filter_refusals(requests.messages, release))
    requests, customers, coverage = _embed(requests, release)  # (B, p)
    requests, customers, overlay = _overlay(requests, customers, release)
    sizes = _sizes(requests.messages, release, exploration, shortlist)
    pools = rank(requests.messages, customers, release.catalog, limits=sizes, exact=exact, overlay=overlay)
    recall = sampled_recall(requests.messages, customers, release.catalog, pools, every=recall_every)
    if release.reranker is not None:
        shortlists = rerank(requests.messages, pools, release.catalog, release.reranker, overlay)
        # exploration draws from the pool alone: how much longer the shortlist is must not change what is drawn
        pools = first_of_each(shortlists, _wanted(requests.messages, exploration))
    # per request at most its limit
    ranked = explore(requests.messages, pools, release.catalog, exploration) if exploration else pools
    values = encode_rankings(requests.messages, ranked, release.catalog, offer_features, overlay)  # B
    requests, values = _fitting(requests, values, ranking_bytes_max)

    rankings = [
        _output(topics.rankings, message, value, passed_headers(record.headers, passed))
        for record, message, value in zip(requests.records, requests.messages, values, strict=True)
    ]
    outcomes = [
        _output(topics.outcomes, message, encode(message), _outcome_headers(record.headers, passed))
        for record, message in zip(acceptances.records, acceptances.messages, strict=True)
    ]
    dead_letters = requests.dead_letters + acceptances.dead_letters
    counts = {"rankings": len(rankings), "outcomes": len(outcomes), "dead_letters": len(dead_letters)}
    return RankedBatch(rankings + outcomes, dead_letters, counts, coverage, recall)


def _from(records: Sequence[Record], topic: str) -> list[Record]:
    return [record for record in records if record.topic == topic]


def _output(topic: str, message: CustomerRequest | Acceptance, value: bytes, headers: Headers = ()) -> OutputRecord:
    return OutputRecord(topic, message.customer_id.encode(), value, headers)


def _outcome_headers(headers: Headers, passed: Collection[str]) -> Headers:
    return (*attempt_headers(headers), *passed_headers(headers, passed)) if headers else ()


def _filter_refusals(requests: Sequence[CustomerRequest], release: Release) -> dict[int, Refusal]:
    refusals = {}
    for number, request in enumerate(requests):
        if request.filters and (refusal := filter_refusal(request.filters, release.catalog, request.stated_offers)):
            refusals[number] = refusal
    return refusals


def _embed(
    requests: Decoded[CustomerRequest], release: Release
) -> tuple[Decoded[CustomerRequest], Customers, FeatureCoverage]:
    """Embed customers as vectors (B, p); requests whose features do not fit the tower become dead letters."""
    features = [request.features for request in requests.messages]
    embedded = release.user_tower.embed(features, [request.customer_id for request in requests.messages])
    coverage = coverage_of(release.user_tower.spec, features, embedded.errors)
    if not embedded.errors:
        return requests, embedded.vectors, coverage
    refusals = {error.index: Refusal(error.code, error.message) for error in embedded.errors}
    return _without(requests, refusals), np.delete(embedded.vectors, list(refusals), axis=0), coverage


def _overlay(
    requests: Decoded[CustomerRequest], customers: Customers, release: Release
) -> tuple[Decoded[CustomerRequest], Customers, OfferOverlay | None]:
    """Lay over the catalog what requests state of offers; those that state what cannot be read become dead letters."""
    overlay, refusals = overlay_of(requests.messages, release)
    if not refusals:
        return requests, customers, overlay
    left, customers = _without(requests, refusals), np.delete(customers, list(refusals), axis=0)
    return left, customers, overlay_of(left.messages, release)[0]  # anew, as the requests' numbers are others now


def _sizes(
    requests: Sequence[CustomerRequest], release: Release, exploration: Exploration | None, shortlist: int
) -> Numbers | None:
    """Return how many offers the towers must rank for each request (B,); None: as many as its limit."""
    if release.reranker is not None:
        return np.maximum(_wanted(requests, exploration), shortlist)
    return None if exploration is None else exploration.pool_sizes(requests)


def _wanted(requests: Sequence[CustomerRequest], exploration: Exploration | None) -> Numbers:
    """Return how many offers each request's ranking is drawn from (B,); without exploration, that is its limit."""
    if exploration is not None:
        return exploration.pool_sizes(requests)
    return np.array([request.limit for request in requests], np.int64)


def _fitting(
    requests: Decoded[CustomerRequest], values: list[bytes], bytes_max: int
) -> tuple[Decoded[CustomerRequest], list[bytes]]:
    """Move requests whose ranking has too many bytes for a record to the dead letters."""
    refusals = {
        number: Refusal(
            "ranking_too_large",
            f"the ranking must be at most {bytes_max} bytes, got {len(value)}: ask for fewer offers",
        )
        for number, value in enumerate(values)
        if len(value) > bytes_max
    }
    return _without(requests, refusals), [value for number, value in enumerate(values) if number not in refusals]


def _without(decoded: Decoded[Message], refusals: Mapping[int, Refusal]) -> Decoded[Message]:
    """Move the refused messages to the dead letters."""
    if not refusals:
        return decoded
    kept = [number for number in range(len(decoded.messages)) if number not in refusals]
    refused = [
        DeadLetter(decoded.records[number], refusal.code, refusal.message) for number, refusal in refusals.items()
    ]
    return Decoded(
        [decoded.messages[number] for number in kept],
        [decoded.records[number] for number in kept],
        decoded.dead_letters + refused,
    )
