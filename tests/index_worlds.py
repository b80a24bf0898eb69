"""Catalogs of well separated clusters, with an index over them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_scorer.adapters.memory.lists import MemoryLists
from stream_scorer.core.messages import Offer
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.offer_index import InvertedFile, OfferIndex
from tests.ranking_worlds import catalog_of, unit_vectors

CLUSTERS, MEMBERS, DIM = 32, 40, 16


def centres() -> NDArray[np.float64]:
    """Return the middle of each cluster (CLUSTERS, DIM)."""
    return unit_vectors(CLUSTERS, DIM, seed=5)


def clustered(offers: Sequence[Offer] | None = None) -> Catalog:
    """Return a catalog in which offer i is of cluster i modulo CLUSTERS, and every eighth has a twin."""
    rng = np.random.default_rng(6)
    vectors = np.tile(centres(), (MEMBERS, 1)) + 0.03 * rng.standard_normal((CLUSTERS * MEMBERS, DIM))
    vectors[CLUSTERS::8] = vectors[:-CLUSTERS:8]  # ties
    return catalog_of(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), offers)


def file_of(catalog: Catalog, probes: int = 2) -> InvertedFile:
    """Return an index whose lists are the clusters."""
    list_of = (catalog.vectors @ centres().T).argmax(axis=1).astype(np.int32)
    return InvertedFile(centres().astype(np.float32), list_of, probes, 0.99)


def indexed(catalog: Catalog, probes: int = 2) -> tuple[Catalog, MemoryLists]:
    """Return the catalog with an index, and the lists of the index."""
    file = file_of(catalog, probes)
    lists = MemoryLists(file, catalog.vectors)
    return catalog.indexed_by(OfferIndex(file, lists, catalog.offer_ids, catalog.vectors)), lists
