"""What the requests of a batch state of offers, laid over the catalog: another price, for this request alone.

A stated feature counts in place of the catalog's, and the others stay. The item tower makes a vector of both, once for
the requests that state the same of an offer. Where it reads none of what is stated, the catalog's vector stays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream_scorer.core.messages import FEATURE_NAMES_MAX, CustomerRequest, RequestedOffer
from stream_scorer.core.releases.catalog import Catalog, Vectors
from stream_scorer.core.releases.release import Release
from stream_scorer.core.releases.vector_faults import vector_faults
from stream_scorer.core.towers.tower import Tower
from stream_scorer.core.wire.strict_json import Refusal

Places = npt.NDArray[np.int64]

_encode = msgspec.json.Encoder().encode
_features_of = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True, eq=False)
class OfferOverlay:
    """Pairs of a request and an offer of which it states features, and the D different offers that they make.

    A pair is a single number: the request's number in the batch, times the N offers of the catalog, plus the offer's
    row. Requests that state the same of the same offer share one of the D.
    """

    catalog_offers: int  # N
    pairs: Places  # (K,), ascending
    which: Places  # (K,), the place of each among the D
    offer_ids: list[str]  # (D,)
    features: list[dict[str, Any]]  # (D,): the catalog's with what is stated over them
    vectors: Vectors  # (D, p)

    def places(self, requests: Places, rows: Places) -> Places:
        """Return for pairs (M,) of a request and a catalog row their places among the D; -1: the catalog's own."""
        wanted = requests * self.catalog_offers + rows
        found = np.minimum(np.searchsorted(self.pairs, wanted), len(self.pairs) - 1)
        return np.where(self.pairs[found] == wanted, self.which[found], -1)

    def of(self, part: slice, requests: int) -> "OfferOverlay | None":
        """Return the same for consecutive requests of a batch of so many, numbered from 0; None: they state nothing."""
        first, end, _ = part.indices(requests)
        start, stop = np.searchsorted(self.pairs, (first * self.catalog_offers, end * self.catalog_offers))
        if start == stop:
            return None
        pairs = self.pairs[start:stop] - first * self.catalog_offers
        return OfferOverlay(
            self.catalog_offers, pairs, self.which[start:stop], self.offer_ids, self.features, self.vectors
        )


class _Stated(NamedTuple):
    """An offer of the catalog of which a request states features, and its place in the request's `offers`."""

    request: int
    place: int
    row: int
    offer: RequestedOffer


@dataclass(slots=True)
class _Distinct:
    """The different offers, in the order in which they come."""

    rows: list[int]
    stated: list[dict[str, Any]]
    merged: list[dict[str, Any]]


def overlay_of(requests: Sequence[CustomerRequest], release: Release) -> tuple[OfferOverlay | None, dict[int, Refusal]]:
    """Lay over the catalog what requests state of its offers; None: they state nothing that differs from it.

    Return also, by number, why requests are refused: for features that the item tower cannot read, or too many.
    """
    asked = list(_stated(requests, release.catalog))
    if not asked:
        return None, {}
    if release.item_tower_missing:
        reason = Refusal("offer_features_unread", release.item_tower_missing)
        return None, {one.request: reason for one in asked}
    which, distinct = _distinct(asked, release.catalog)
    ids: list[str] = [release.catalog.offer_ids[row] for row in distinct.rows]
    vectors, faults = _embedded(distinct, ids, release.catalog, release.item_tower)
    pairs = np.array([one.request * len(release.catalog) + one.row for one in asked], np.int64)
    order = np.argsort(pairs)
    overlay = OfferOverlay(len(release.catalog), pairs[order], which[order], ids, distinct.merged, vectors)
    return overlay, _refusals(asked, which.tolist(), faults)


def _stated(requests: Sequence[CustomerRequest], catalog: Catalog) -> Iterator[_Stated]:
    for number, request in enumerate(requests):
        for place, offer in enumerate(request.stated_offers):
            # an offer without features is as the catalog has it, and one that the catalog lacks is never ranked
            row = catalog.index.get(offer.offer_id) if offer.features else None  # type: ignore[call-overload]
            if row is not None:
                yield _Stated(number, place, row, offer)


def _distinct(asked: Sequence[_Stated], catalog: Catalog) -> tuple[Places, _Distinct]:
    """Return the place of each among the different offers, and these."""
    places: dict[tuple[int, bytes], int] = {}
    distinct = _Distinct([], [], [])
    which = np.empty(len(asked), np.int64)
    for number, one in enumerate(asked):
        key = (one.row, _encode(one.offer.features))
        if (place := places.setdefault(key, len(places))) == len(distinct.rows):
            distinct.rows.append(one.row)
            distinct.stated.append(one.offer.features)
            distinct.merged.append({**_features_of(catalog.fragments[one.row]), **one.offer.features})
        which[number] = place
    return which, distinct


Faults = dict[int, tuple[str, str]]  # by place among the different offers


def _embedded(
    distinct: _Distinct, ids: Sequence[str], catalog: Catalog, item_tower: Tower | None
) -> tuple[Vectors, Faults]:
    """Return the vectors (D, p) of the different offers, and what is wrong with some of them."""
    vectors = catalog.vectors.take(distinct.rows, axis=0)
    faults = _crowded(distinct)
    read = set() if item_tower is None else set(item_tower.spec.feature_names)
    fresh = [place for place, stated in enumerate(distinct.stated) if not read.isdisjoint(stated)]
    if item_tower is None or not fresh:
        return vectors, faults
    made = item_tower.embed([distinct.merged[place] for place in fresh], [ids[place] for place in fresh])
    vectors[fresh] = made.vectors
    errors = made.errors
    if errors:  # the request answers for what it states, not for what the catalog was published with in spite of it
        errors = item_tower.embed([distinct.stated[place] for place in fresh], [ids[place] for place in fresh]).errors
    faults |= {fresh[place]: fault for place, fault in vector_faults(vectors[fresh], errors).items()}
    return vectors, faults


def _crowded(distinct: _Distinct) -> Faults:
    """Refuse what no ranking could carry."""
    faults: Faults = {}
    for place, features in enumerate(distinct.merged):
        if len(features) > FEATURE_NAMES_MAX:
            what = f"with the catalog's own the offer has {len(features)} features, at most {FEATURE_NAMES_MAX}"
            faults.setdefault(place, ("too_many_features", what))
    return faults


def _refusals(asked: Sequence[_Stated], which: Sequence[int], faults: Faults) -> dict[int, Refusal]:
    refusals: dict[int, Refusal] = {}
    for one, place in zip(asked, which, strict=True):
        if place in faults:
            code, message = faults[place]
            refusals.setdefault(one.request, Refusal(code, f"offers[{one.place}]: {message}"))
    return refusals
