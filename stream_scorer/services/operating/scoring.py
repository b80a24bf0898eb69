"""Rank requests offline, by the ranker's own function, batch by batch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from stream_scorer.core.features.coverage import FeatureCoverage
from stream_scorer.core.ranking.encoding import ALL_FEATURES, OfferFeatures
from stream_scorer.core.ranking.pipeline import RankTopics, rank_batch
from stream_scorer.core.records import DeadLetter, Record
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT

BATCH_REQUESTS = 512
_TOPICS = RankTopics("requests", "acceptances", "rankings", "outcomes")


@dataclass(frozen=True, slots=True)
class Scored:
    """Rankings, in the order of their requests, and refusals.

    A dead letter's offset is the number of its request, counted from 1.
    """

    rankings: list[bytes]
    dead_letters: list[DeadLetter]
    coverage: FeatureCoverage


def score(
    requests: Iterable[bytes | None],
    release: Release,
    *,
    offer_features: OfferFeatures = ALL_FEATURES,
    ranking_bytes_max: int,
    shortlist: int = SHORTLIST_DEFAULT,
) -> Iterator[Scored]:
    """Yield, batch by batch, the bytes that the ranker would write."""
    records = (Record(_TOPICS.requests, 0, number, None, request, 0) for number, request in enumerate(requests, 1))
    while batch := list(islice(records, BATCH_REQUESTS)):
        ranked = rank_batch(
            batch,
            release,
            topics=_TOPICS,
            offer_features=offer_features,
            ranking_bytes_max=ranking_bytes_max,
            shortlist=shortlist,
        )
        values = [output.value for output in ranked.outputs if output.value is not None]
        yield Scored(values, ranked.dead_letters, ranked.coverage)
