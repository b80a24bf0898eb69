"""Small worlds in which the right ranking is known, and a slow oracle that says what it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.features.spec import FeatureSpec, Number, RowError
from stream_scorer.core.messages import CustomerRequest, Filter, Offer, OfferId, ReleaseId
from stream_scorer.core.ranking.filters import filter_masks
from stream_scorer.core.ranking.pipeline import RankTopics
from stream_scorer.core.records import Record
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.tower import Embedded

TOPICS = RankTopics("customer-requests", "acceptances", "rankings", "outcomes")
TIME_MS = 1_700_000_000_000
# Attributes of several kinds, and some that offers lack, or have as null or in another kind.
UNEVEN_OFFERS: dict[str, dict[str, Any]] = {
    "a": {"price": 5.0, "brand": "acme", "new": True, "tags": ["x", "y"], "vector": [1.0]},
    "b": {"price": 10.0, "brand": "bolt", "new": False, "tags": []},
    "c": {"price": -1.0, "brand": "", "tags": ["y"]},
    "d": {},
    "e": {"price": None, "brand": None},
    "f": {"price": "five", "brand": 1.0},
}


def unit_vectors(rows: int, dim: int, seed: int = 0) -> NDArray[np.float64]:
    """Return random vectors (rows, dim) of length 1."""
    vectors = np.random.default_rng(seed).standard_normal((rows, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def coarse_vectors(rows: int, dim: int, seed: int = 0) -> NDArray[np.float64]:
    """Return vectors of few values, exact in any order of summation: the source of ties. None is longer than 1."""
    return np.asarray(np.random.default_rng(seed).integers(-1, 2, (rows, dim)) / (4 * dim))


def offer(offer_id: str, **fields: Any) -> Offer:
    """Return an offer without features."""
    return Offer(**{"offer_id": offer_id, "features": {}, **fields})


def catalog_of(vectors: NDArray[np.floating[Any]], offers: Sequence[Offer] | None = None) -> Catalog:
    """Return a catalog of these vectors, its offers named by row where none are given."""
    if offers is not None:
        return Catalog.of(ReleaseId("release-1"), offers, vectors.astype(np.float32))
    rows = len(vectors)
    return Catalog.from_columns(
        ReleaseId("release-1"),
        offer_ids=[OfferId(f"o{row:06d}") for row in range(rows)],
        vectors=vectors.astype(np.float32),
        fragments=[b"{}"] * rows,
        active=np.ones(rows, bool),
        valid_from_ms=np.full(rows, ALWAYS_MS),
        valid_until_ms=np.full(rows, NEVER_MS),
    )


def catalog_with(features: Mapping[str, dict[str, Any]]) -> Catalog:
    """Return a catalog of offers with these features, by id."""
    return catalog_of(
        np.zeros((len(features), 1)), [offer(offer_id, features=named) for offer_id, named in features.items()]
    )


def matching(catalog: Catalog, *filters: Filter) -> str:
    """Return the ids of the offers that match all filters, end to end."""
    (mask,) = filter_masks([filters], catalog)
    assert mask is not None
    return "".join(catalog.offer_ids[row] for row in np.flatnonzero(mask).tolist())


def request(number: int = 0, **fields: Any) -> CustomerRequest:
    """Return a request for ten offers of the whole catalog."""
    return CustomerRequest(
        **{"request_id": f"r{number}", "customer_id": f"c{number}", "event_time_ms": TIME_MS, "features": {}, **fields}
    )


def record_of(message: object, topic: str = TOPICS.requests, offset: int = 0) -> Record:
    """Return a record whose value is the message, or these very bytes."""
    value = message if isinstance(message, bytes) else msgspec.json.encode(message)
    return Record(topic, 0, offset, b"any", value, TIME_MS)


class FixedTower:
    """Gives customers the vectors it was told, by customer id; features named `bad` do not fit it."""

    spec = FeatureSpec("customer", (Number("bad"),))

    def __init__(self, vectors: Mapping[str, NDArray[np.float64]], dim: int) -> None:
        self.vectors, self.dim = vectors, dim

    def embed(self, features: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Embedded:
        errors = tuple(
            RowError(row, "feature_kind", "feature 'bad' must be a number")
            for row, named in enumerate(features)
            if "bad" in named
        )
        return Embedded(np.array([self.vectors[one] for one in ids]).reshape(len(ids), self.dim), errors)


def release_of(catalog: Catalog, customers: NDArray[np.float64]) -> Release:
    """Return a release whose user tower gives customer c{i} the i-th vector."""
    tower = FixedTower({f"c{row}": vector for row, vector in enumerate(customers)}, customers.shape[1])
    return Release(catalog.release_id, tower, catalog, 0)  # type: ignore[arg-type]


def best_offers(
    customer: NDArray[np.float64], catalog: Catalog, eligible: Sequence[str], limit: int
) -> list[tuple[str, float]]:
    """Return what the ranking must be: every eligible offer scored in float64, sorted by score, then offer id."""
    index: Mapping[str, int] = {str(offer_id): row for row, offer_id in enumerate(catalog.offer_ids)}
    vectors = catalog.vectors[[index[offer_id] for offer_id in eligible]].astype(np.float64)
    scores = (vectors * customer).sum(axis=1).tolist()
    return sorted(zip(eligible, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[:limit]
