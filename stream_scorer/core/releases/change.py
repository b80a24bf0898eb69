"""A change of one offer within a release."""

from dataclasses import dataclass

from stream_scorer.core.messages import Offer, OfferId


@dataclass(frozen=True, slots=True)
class OfferChange:
    """One offer as it is from now on, with its vector (p,) float32; offer None withdraws it.

    `source` (partition, offset) of the offers topic orders the changes of one offer.
    """

    offer_id: OfferId
    offer: Offer | None
    vector: bytes
    source: tuple[int, int]
