"""A release: one user tower and the offer vectors made by its own item tower, under one content-derived id."""

import hashlib
from dataclasses import dataclass

from stream_scorer.core.catalog import Catalog
from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.tower import Tower


@dataclass(frozen=True, slots=True)
class Model:
    """What training writes: the two towers of one training, and the facts about it."""

    model_id: str
    user_tower: Tower
    item_tower: Tower
    facts: dict[str, object]


@dataclass(frozen=True, slots=True)
class Release:
    """What a ranker holds; `mark` tells how far the offers' changes are in it, `forced` which faults publish was told to overlook."""

    release_id: ReleaseId
    user_tower: Tower
    catalog: Catalog
    created_ms: int
    mark: str = "0"
    forced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """A line about a stored release."""

    release_id: ReleaseId
    model_id: str
    offers: int
    created_ms: int
    current: bool
    forced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OfferChange:
    """One offer as it is from now on, with its vector (p,) float32; offer None withdraws it.

    `source` (partition, offset) of the offers topic orders the changes of one offer.
    """

    offer_id: OfferId
    offer: Offer | None
    vector: bytes
    source: tuple[int, int]
