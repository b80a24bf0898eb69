"""Makes the index of a catalog, and measures how far requests must look into it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.best_offers import rank
from stream_scorer.core.ranking.index_plan import INDEX_OFFERS_MIN, MEASURED_LIMIT, SCANNED_SHARE
from stream_scorer.core.ranking.recall import Recall, recall_of
from stream_scorer.core.releases.catalog import ALWAYS_MS, NEVER_MS, Catalog
from stream_scorer.core.releases.offer_index import LISTS_MAX, Cluster, InvertedFile, OfferIndex, OpenIndex

LISTS_A_ROOT = 4  # with half as many, clusters of offers are cut apart, and requests must look into far more lists
PROBES_MIN = 8
MEASURED_REQUESTS = 512
_GRADES = 4  # of how much the second offer weighs, from nothing to as much as the first
_STRIDE = 7_919  # a prime, so that the pairs of offers behind the measured requests run through the whole catalog


def build_index(
    catalog: Catalog, cluster: Cluster, open_index: OpenIndex, *, recall_min: float
) -> tuple[OfferIndex | None, list[str]]:
    """Return an index with the fewest probes of a power of two that reach the recall, and the fault where none do.

    None: the catalog is so small that exact ranking is as fast.
    """
    if len(catalog) < INDEX_OFFERS_MIN:
        return None, []
    lists = min(LISTS_MAX, int(LISTS_A_ROOT * np.sqrt(len(catalog))))
    centroids, list_of = cluster(catalog.vectors, lists)
    file = InvertedFile(centroids, list_of, PROBES_MIN, 0.0)
    index = OfferIndex(file, open_index(file, catalog.vectors), catalog.offer_ids, catalog.vectors)
    measured = recall_gauge(catalog)
    for probes in _probes(lists):
        file = replace(file, probes=probes)
        index = replace(index, file=file)
        recall = measured(index)
        index = replace(index, file=replace(file, recall=round(recall.share, 4)))
        if recall.share >= recall_min:
            return index, []
    fault = (
        f"the index finds {index.file.recall:.4f} of the best {MEASURED_LIMIT} offers, below rank.recall_min = "
        f"{recall_min}, with {index.file.probes} of {lists} lists, beyond which exact ranking is as fast"
    )
    return index, [fault]


def _probes(lists: int) -> Iterator[int]:
    probes = PROBES_MIN
    while probes * SCANNED_SHARE <= lists:
        yield probes
        probes *= 2


def recall_gauge(catalog: Catalog) -> Callable[[OfferIndex], Recall]:
    """Return what measures an index: its recall at ten over made-up customers, who are ranked exactly only once.

    Nobody knows the customers at publish. At the place of an offer it is too easy, since that offer's list has most of
    the neighbours; between two that may be far apart, the neighbours are spread over many lists. So they are from the
    place of an offer to half way between two.
    """
    rows = np.arange(MEASURED_REQUESTS) * _STRIDE
    first, second = rows % len(catalog), (rows * _STRIDE + 1) % len(catalog)
    weights = (np.arange(MEASURED_REQUESTS) % _GRADES / (_GRADES - 1))[:, None]
    sums = catalog.vectors[first].astype(np.float64) + weights * catalog.vectors[second]
    customers = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    requests = [CustomerRequest(f"r{row}", f"c{row}", 0, {}, limit=MEASURED_LIMIT) for row in range(MEASURED_REQUESTS)]
    # an offer that is not valid yet is indexed, too, so all offers count as valid here
    offers = _always_valid(catalog)
    exact = rank(requests, customers, offers, exact=True)

    def measured(index: OfferIndex) -> Recall:
        return recall_of(rank(requests, customers, offers.indexed_by(index)), np.arange(MEASURED_REQUESTS), exact)

    return measured


def _always_valid(catalog: Catalog) -> Catalog:
    offers = len(catalog)
    return replace(
        catalog,
        active=np.ones(offers, bool),
        valid_from_ms=np.full(offers, ALWAYS_MS),
        valid_until_ms=np.full(offers, NEVER_MS),
        derived={},
    )
