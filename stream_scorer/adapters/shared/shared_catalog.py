"""A catalog as plain arrays, which the processes of a machine can share, and a catalog over such arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog, SharedVectors, Vectors
from stream_scorer.core.releases.packed_texts import PackedIds, PackedIndex, PackedTexts, pack, slots_of

Columns = Mapping[str, NDArray[Any]]


def columns_of(catalog: Catalog) -> dict[str, NDArray[Any]]:
    """Return all that a catalog has, as arrays; `catalog_over` makes the catalog of them again."""
    ids = [offer_id.encode() for offer_id in catalog.offer_ids]
    joined_ids, id_bounds = pack(ids)
    joined, bounds = pack(catalog.fragments)
    return {
        "vectors": catalog.vectors,
        "active": catalog.active,
        "valid_from_ms": catalog.valid_from_ms,
        "valid_until_ms": catalog.valid_until_ms,
        "ids": joined_ids,
        "id_bounds": id_bounds,
        "features": joined,
        "feature_bounds": bounds,
        "slots": slots_of(ids),
    }


def catalog_over(release_id: ReleaseId, columns: Columns, again: Callable[[], Vectors]) -> Catalog:
    """Return the catalog over `columns_of` another; nothing is copied. `again` is that of SharedVectors."""
    ids = PackedIds(PackedTexts(columns["ids"], columns["id_bounds"]))
    return Catalog(
        release_id,
        ids,
        columns["vectors"],
        PackedTexts(columns["features"], columns["feature_bounds"]),
        columns["active"],
        columns["valid_from_ms"],
        columns["valid_until_ms"],
        PackedIndex(ids, columns["slots"]),
        shared=SharedVectors(again, np.empty(0, np.int64)),
    )
