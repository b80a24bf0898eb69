"""Offers of the current release by their id or any text in their features."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.errors import ReleaseError
from stream_scorer.services.watching.remembered_releases import RememberedReleases

OFFERS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class FoundOffer:
    """An offer of the catalog; the times between which it is valid are None where they are open."""

    offer_id: str
    features: Mapping[str, Any]
    active: bool
    valid_from_ms: int | None
    valid_until_ms: int | None


@dataclass(frozen=True, slots=True)
class FoundOffers:
    """The first `OFFERS_SHOWN` offers that match, by id, and how many there are in all."""

    release_id: str
    offers: tuple[FoundOffer, ...]
    matching: int
    in_all: int


def find_offers(releases: RememberedReleases, text: str) -> FoundOffers:
    """Search ids and features for a text, whatever its case.

    Raises ReleaseError where there is no release, TransientError while the store is away.
    """
    current = releases.current()
    if current is None:
        raise ReleaseError("there is no release yet; stream-scorer publish makes one")
    catalog = releases.load(current).catalog
    rows = list(_matching(catalog, text.lower()))
    shown = tuple(_offer(catalog, row) for row in rows[:OFFERS_SHOWN])
    return FoundOffers(current, shown, len(rows), len(catalog))


def _matching(catalog: Catalog, wanted: str) -> Iterator[int]:
    # the features are searched as the JSON text that they are: names and values alike, without decoding each offer
    text = wanted.encode()
    for row, (offer_id, fragment) in enumerate(zip(catalog.offer_ids, catalog.fragments, strict=True)):
        if wanted in offer_id.lower() or text in fragment.lower():
            yield row


def _offer(catalog: Catalog, row: int) -> FoundOffer:
    start, until = int(catalog.valid_from_ms[row]), int(catalog.valid_until_ms[row])
    return FoundOffer(
        catalog.offer_ids[row],
        msgspec.json.decode(catalog.fragments[row], type=dict[str, Any]),
        bool(catalog.active[row]),
        None if start == ALWAYS_MS else start,
        None if until == NEVER_MS else until,
    )
