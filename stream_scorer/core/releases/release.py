"""A release: a user tower, and the offer vectors that the item tower beside it made, under an id of the content."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.core.towers.tower import Tower


@dataclass(frozen=True, slots=True)
class Release:
    """What a ranker serves from.

    `mark` says up to which change of its offers it goes; `forced` are the faults that publish was forced to overlook.
    `reranker` re-ranks the towers' shortlists; None: the towers alone rank. `item_tower` is for the features that
    requests state of offers; None: it reads no features. `item_tower_missing` says why it is not here where it is due.
    """

    release_id: ReleaseId
    user_tower: Tower
    catalog: Catalog
    created_ms: int
    mark: str = "0"
    forced: tuple[str, ...] = ()
    reranker: Reranker | None = None
    item_tower: Tower | None = None
    item_tower_missing: str = ""


@dataclass(frozen=True, slots=True)
class GateFigures:
    """The gate's figures: AUC within customer of model and popularity, and the number of customers. None: unknown.

    `difference_error` is the standard error of the difference of both, paired by customer.
    """

    auc: float | None = None
    popularity_auc: float | None = None
    customers: int | None = None
    difference_error: float | None = None


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """What a list of stored releases says about a release.

    `place` is its place in the history of current releases: 0 serves, a rollback goes back to 1, and None has never
    served or has left the history. `forced` are the faults that publish was forced to overlook. `reranker` is the kind
    of its second stage, "" where it has none; `index_recall` is what publish measured of its index, None where it has
    none. `fault` says why the release cannot be read; most other fields are then
    unknown.
    """

    release_id: ReleaseId
    model_id: str
    offers: int
    created_ms: int
    current: bool
    forced: tuple[str, ...] = ()
    place: int | None = None
    figures: GateFigures = GateFigures()
    fault: str = ""
    reranker: str = ""
    index_recall: float | None = None


def reading_features(item_tower: Tower) -> Tower | None:
    """Return a tower that reads features; None for one of ids alone: its memory would be for nothing."""
    return item_tower if item_tower.spec.feature_names else None


def figures_of(facts: Mapping[str, object]) -> GateFigures:
    """Return what a model's facts say about its quality; a fact of another form counts as unknown."""
    ours, popular = (facts.get(name) for name in ("held_out_auc", "popularity_auc"))
    customers = _number(ours, "customers")
    return GateFigures(
        _number(ours, "within_customer"),
        _number(popular, "within_customer"),
        None if customers is None else int(customers),
        _number(popular, "difference_error"),
    )


def _number(judged: object, name: str) -> float | None:
    value = judged.get(name) if isinstance(judged, Mapping) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def release_id_of(model_id: str, catalog: Catalog) -> ReleaseId:
    """Return `r-` and 16 hex digits made from the towers' digest, the catalog as it is published, and its index."""
    digest = hashlib.sha256(model_id.encode())
    for texts in ([offer_id.encode() for offer_id in catalog.offer_ids], catalog.fragments):
        # the lengths come first, so that texts divided elsewhere cannot give the same bytes
        digest.update(np.array([len(texts), *map(len, texts)], np.int64).data)
        digest.update(b"".join(texts))
    for column in (catalog.vectors, catalog.active, catalog.valid_from_ms, catalog.valid_until_ms):
        digest.update(f"{column.dtype.str} {column.shape}".encode())
        digest.update(np.ascontiguousarray(column).data)
    if catalog.nearest is not None:
        # the same offers with another index are another release: rankers that serve the one must load the other
        file = catalog.nearest.file
        digest.update(f"index {file.centroids.shape} {file.probes}".encode())
        digest.update(np.ascontiguousarray(file.centroids).data)
        digest.update(np.ascontiguousarray(file.list_of).data)
    return ReleaseId(f"r-{digest.hexdigest()[:16]}")
