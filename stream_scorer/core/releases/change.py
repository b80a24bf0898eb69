"""A change of an offer within a release."""

from dataclasses import dataclass

from stream_scorer.core.messages import Offer, OfferId


@dataclass(frozen=True, slots=True)
class OfferChange:
    """An offer as it is from now on, with its vector, the bytes of (p,) float32; an `offer` of None withdraws it.

    `source` is the partition and offset of the record in the offers topic, by which an offer's changes are ordered.
    """

    offer_id: OfferId
    offer: Offer | None
    vector: bytes
    source: tuple[int, int]
