"""Turns labelled rankings into examples, and samples negatives."""

from collections.abc import Iterator
from typing import NamedTuple

import xxhash

from stream_scorer.core.messages import Features, LabelledExample, LabelledOffer, LabelledRanking

_SAMPLING_SEED = 0x5EED  # sampling must not correlate with a split that a trainer makes by the same id


class ExampleRow(NamedTuple):
    """A LabelledExample before validation: same fields, same order, made from values validated already."""

    example_id: str
    revision: int
    request_id: str
    customer_id: str
    offer_id: str
    accepted: int
    cause: str
    customer_features: Features
    offer_features: Features
    rank: int | None
    score: float | None
    propensity: float | None
    release_id: str | None
    request_time_ms: int
    label_time_ms: int
    exposure: str
    keep_prob: float = 1.0
    tower_rank: int | None = None
    reranker_score: float | None = None

    def to_message(self) -> LabelledExample:
        """Validate. Raises pydantic.ValidationError."""
        return LabelledExample(**self._asdict())


def example_id(request_id: str, customer_id: str, offer_id: str) -> str:
    """Derive an id from a request (its id and customer) and an offer: 32 hexadecimal digits, the same for ever."""
    return xxhash.xxh3_128_hexdigest(f"{request_id}\0{customer_id}\0{offer_id}".encode())


def is_kept(example: str, keep_prob: float) -> bool:
    """Decide by the example's id alone whether it is in a sample of this share."""
    return keep_prob >= 1 or xxhash.xxh3_64_intdigest(example.encode(), seed=_SAMPLING_SEED) < keep_prob * 2**64


def half_labelled(ranking: LabelledRanking) -> tuple[str, str] | None:
    """Return the code and the reason when a label is there without its cause or its time, or the other way round."""
    for place, offer in enumerate(ranking.offers):
        if len({offer.accepted is None, offer.cause is None, offer.label_time_ms is None}) > 1:
            return "half_labelled", f"offers[{place}]: accepted, cause and label_time_ms must be null together"
    return None


def take_apart(ranking: LabelledRanking, *, keep_prob: float = 1.0) -> Iterator[ExampleRow]:
    """Yield a row per offer whose label is known, in rank order.

    Only negatives that nobody answered for (`exposure` assumed) are sampled: an acceptance or a decline is always kept.
    """
    for offer in ranking.offers:
        if offer.accepted is None or offer.cause is None or offer.label_time_ms is None:
            continue
        row = _row(ranking, offer, offer.accepted, offer.cause, offer.label_time_ms)
        if row.exposure == "shown":
            yield row
        elif is_kept(row.example_id, keep_prob):
            yield row._replace(keep_prob=keep_prob)


def _row(ranking: LabelledRanking, offer: LabelledOffer, accepted: int, cause: str, label_time_ms: int) -> ExampleRow:
    return ExampleRow(
        example_id(ranking.request_id, ranking.customer_id, offer.offer_id),
        ranking.revision,
        ranking.request_id,
        ranking.customer_id,
        offer.offer_id,
        accepted,
        cause,
        ranking.features,
        offer.features,
        offer.rank,
        offer.score,
        offer.propensity,
        ranking.release_id,
        ranking.request_time_ms,
        label_time_ms,
        "assumed" if cause == "window_closed" else "shown",
        tower_rank=offer.tower_rank,
        reranker_score=offer.reranker_score,
    )
