"""Recomputes scores and offer vectors by the towers, for a sample that the records alone decide."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from stream_scorer.core.features.columns import Floats
from stream_scorer.core.messages import RankedOffer, Ranking
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower
from stream_scorer.core.verifying.judgements import Fault
from stream_scorer.core.verifying.second_stage import stage_faults

RANKINGS_MAX = 1_000
SAMPLE_BYTES_MAX = 64_000_000
OFFERS_MAX = 10_000
SCORE_TOLERANCE = 1e-5  # programs compute in float32


class RankingSample:
    """Rankings or requests whose request ids have the smallest hashes: the same in whatever order they are read."""

    def __init__(self, size_max: int = RANKINGS_MAX, bytes_max: int = SAMPLE_BYTES_MAX) -> None:
        self._size_max, self._bytes_max, self._bytes = size_max, bytes_max, 0
        self._heap: list[tuple[int, bytes]] = []
        self.seen = 0

    def add(self, request_id: str, value: bytes) -> None:
        """Take a record in, or pass it over."""
        self.seen += 1
        heapq.heappush(self._heap, (-xxhash.xxh3_64_intdigest(request_id.encode()), value))
        self._bytes += len(value)
        while len(self._heap) > self._size_max or (self._bytes > self._bytes_max and len(self._heap) > 1):
            self._bytes -= len(heapq.heappop(self._heap)[1])

    def values(self) -> list[bytes]:
        """Return the sample in the order of the hashes."""
        return [value for _, value in sorted(self._heap, reverse=True)]


@dataclass(frozen=True, slots=True)
class Recomputed:
    """How many were recomputed, the faults, and how many the towers could not read."""

    checked: int
    faults: list[Fault]
    unreadable: int


def recompute_rankings(rankings: Sequence[Ranking], model: Model) -> Recomputed:
    """Compare rankings of one release with what its towers make of the features that they carry, and its re-ranker."""
    users = model.user_tower.embed([one.features for one in rankings], [one.customer_id for one in rankings])
    offers = list(chain.from_iterable(one.offers for one in rankings))
    items = model.item_tower.embed([one.features for one in offers], [one.offer_id for one in offers])
    if users.vectors.shape[1] != items.vectors.shape[1]:
        return Recomputed(0, [], len(rankings))
    owners = np.repeat(np.arange(len(rankings)), [len(one.offers) for one in rankings])  # (M,)
    published = items.vectors.astype(np.float32).astype(np.float64)  # (M, p)
    made = np.einsum("ij,ij->i", users.vectors[owners], published)  # (M,)
    apart = np.abs(made - np.array([one.score for one in offers], np.float64))  # (M,)
    unreadable = {error.index for error in users.errors} | {int(owners[error.index]) for error in items.errors}
    right = np.ones(len(rankings), bool)
    right[owners[~(apart <= SCORE_TOLERANCE)]] = False
    faults = [
        Fault("score_wrong", f"{rankings[row].request_id}: {_worst(offers, made, apart, owners == row)}")
        for row in np.flatnonzero(~right).tolist()
        if row not in unreadable
    ]
    faults += [fault for row, fault in stage_faults(rankings, model.reranker) if row not in unreadable]
    return Recomputed(len(rankings) - len(unreadable), faults, len(unreadable))


def _worst(offers: Sequence[RankedOffer], made: Floats, apart: Floats, own: NDArray[np.bool_]) -> str:
    place = int(np.where(own, apart, -1).argmax())
    offer = offers[place]
    return f"the score of {offer.offer_id} is {offer.score:.6g}, the towers of its release make {made[place]:.6g}"


def recompute_offers(catalog: Catalog, item_tower: Tower, sample_max: int = OFFERS_MAX) -> Recomputed:
    """Compare stored offer vectors with what the item tower makes of the features stored beside them."""
    rows = np.unique(np.linspace(0, len(catalog) - 1, min(len(catalog), sample_max)).astype(np.int64))
    features = [_features(catalog.fragments[row]) for row in rows]
    embedded = item_tower.embed([one or {} for one in features], [catalog.offer_ids[row] for row in rows])
    if embedded.vectors.shape[1] != catalog.dim:
        return Recomputed(0, [], len(rows))
    apart = np.abs(embedded.vectors - catalog.vectors[rows]).max(axis=1, initial=0.0)
    unreadable = {error.index for error in embedded.errors} | {
        place for place, one in enumerate(features) if one is None
    }
    return Recomputed(
        len(rows) - len(unreadable), list(_offer_faults(catalog, rows, apart, unreadable)), len(unreadable)
    )


def _features(fragment: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(fragment, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _offer_faults(catalog: Catalog, rows: NDArray[np.int64], apart: Floats, unreadable: set[int]) -> Iterator[Fault]:
    for place in np.flatnonzero(~(apart <= SCORE_TOLERANCE)).tolist():
        if place not in unreadable:
            what = f"its vector differs by {apart[place]:.2g} from what the item tower makes"
            yield Fault("offer_vector_wrong", f"{catalog.offer_ids[rows[place]]}: {what}")
