"""Offers of the current release by their id or any text in their features."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import msgspec

from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.release import Release
from stream_scorer.errors import ReleaseError, TransientError
from stream_scorer.services.watching.remembered_releases import RememberedReleases

OFFERS_SHOWN = 50
_ANSWERS_MAX = 64


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


class OfferSearch:
    """Searches ids and features for a text, whatever its case.

    One search goes on at a time, and none is made twice in a state of the catalog.

    A search goes through all offers, which of a million takes a core for a second: many people who type must not take
    all of the page's threads.
    """

    def __init__(self, releases: RememberedReleases, *, wait_s: float) -> None:
        """Search what `releases` loads; whoever asks waits `wait_s` at most for the searches of others."""
        self._releases, self._wait_s = releases, wait_s
        self._alone = Lock()
        self._searched = ("", "")
        self._answers: dict[str, FoundOffers] = {}

    def find(self, text: str) -> FoundOffers:
        """Return the offers that match.

        Raises ReleaseError where there is no release, TransientError while the store is away or others search.
        """
        if not self._alone.acquire(timeout=self._wait_s):
            raise TransientError("others are searching at this moment: ask again")
        try:
            return self._find(text.lower())
        finally:
            self._alone.release()

    def _find(self, wanted: str) -> FoundOffers:
        current = self._releases.current()
        if current is None:
            raise ReleaseError("there is no release yet; stream-scorer publish makes one")
        release = self._releases.load(current)
        state = (release.release_id, release.mark)  # the release itself would be kept in memory beside the next one
        if state != self._searched:
            self._searched, self._answers = state, {}
        if wanted not in self._answers:
            while len(self._answers) >= _ANSWERS_MAX:
                del self._answers[next(iter(self._answers))]
            self._answers[wanted] = _found(release, wanted)
        return self._answers[wanted]


def _found(release: Release, wanted: str) -> FoundOffers:
    catalog = release.catalog
    rows = list(_matching(catalog, wanted))
    shown = tuple(_offer(catalog, row) for row in rows[:OFFERS_SHOWN])
    return FoundOffers(release.release_id, shown, len(rows), len(catalog))


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
