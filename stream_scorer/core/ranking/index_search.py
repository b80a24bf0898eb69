"""Finds candidates for the best offers by a release's index; requests without any must be ranked exactly instead.

The index only names candidates: they are scored exactly, as all candidates are. Offers that were added or changed since
the index was built are scored beside it, and those withdrawn are never returned.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.ranking.eligibility import NO_PAIRS, Candidates, EligibleOffers, Numbers, is_in, joined
from stream_scorer.core.ranking.index_plan import nearest_lists, plan_of, serves, serves_filtered, wanted_classes
from stream_scorer.core.releases.catalog import Catalog, Flags, index_cover
from stream_scorer.core.releases.offer_index import IndexCover, OfferIndex
from stream_scorer.core.releases.precision import margins

TILE_ROWS = 64  # customers of one product with the centroids
FRESH_SCORES_MAX = 4_000_000  # float32 scores of fresh offers at a time

Scores32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IndexSearch:
    """The candidates of the requests that the index answers, and the last of each whose lists may hold more.

    What the lists still hold is no better than that last candidate, but for rounding, and may tie with it.
    """

    candidates: list[Candidates]
    last: list[Candidates]


def search_index(
    choices: EligibleOffers, customers: Scores32, catalog: Catalog, limits: Numbers, filtered: Flags
) -> IndexSearch:
    """Look for candidates of the requests in `choices.groups`.

    `customers` (B, p), `limits` (B,) and `filtered` (B,), whether a request has filters, are of all requests.
    """
    index, cover = catalog.nearest, catalog.once(index_cover)
    if index is None or cover is None or not serves(index.file, cover, len(catalog)):
        return IndexSearch([], [])
    classes = wanted_classes(limits, np.bincount(choices.excluded.requests, minlength=len(limits)))
    least = np.minimum(limits, choices.eligible_counts)
    found = IndexSearch([], [])
    for group in choices.groups:
        # requests of a group have the same filters
        if filtered[group.requests[0]] and not serves_filtered(len(catalog)):
            continue
        scope = _Scope.of(index, cover, catalog, group.mask)
        for wanted in np.unique(classes[group.requests]).tolist():
            numbers = group.requests[classes[group.requests] == wanted]
            pairs, last = _pairs(scope, customers, numbers, wanted)
            found.candidates.append(_enough(_allowed(pairs, choices.excluded, len(catalog)), least))
            found.last.append(last)
    return found


def _enough(pairs: Candidates, least: Numbers) -> Candidates:
    """Return the pairs of the requests that have enough of them.

    Too few are left where the lists near a customer hold little of what may be shown.
    """
    counts = np.bincount(pairs.requests, minlength=len(least))
    return pairs.where((counts >= least)[pairs.requests])


@dataclass(frozen=True, slots=True)
class _Scope:
    """What requests of one group may be shown: among the indexed offers, and among the fresh ones (catalog's rows)."""

    index: OfferIndex
    rows: Numbers | None
    eligible: Flags | None
    sizes: Numbers
    fresh: Numbers
    catalog: Catalog

    @classmethod
    def of(cls, index: OfferIndex, cover: IndexCover, catalog: Catalog, mask: Flags | None) -> "_Scope":
        fresh = cover.fresh if mask is None else cover.fresh[mask[cover.fresh]]
        if cover.rows is None:
            eligible = mask
        else:
            here = cover.rows >= 0
            # row -1 reads the last offer's flag, which `here` then takes away
            eligible = here if mask is None else here & mask[cover.rows]
        sizes = catalog.once(_whole_sizes) if eligible is None else index.sizes(eligible)
        return cls(index, cover.rows, eligible, sizes, fresh, catalog)


def _whole_sizes(catalog: Catalog) -> Numbers:
    return np.empty(0, np.int64) if catalog.nearest is None else catalog.nearest.sizes(None)


def _pairs(scope: _Scope, customers: Scores32, numbers: Numbers, wanted: int) -> tuple[Candidates, Candidates]:
    """Return candidates of these requests from the lists and the fresh offers, and the last of those from full lists.

    There are none where the requests are to be ranked exactly.
    """
    file = scope.index.file
    plan = plan_of(file, scope.sizes, wanted=wanted)
    if plan is None:
        return NO_PAIRS, NO_PAIRS
    own = customers[numbers]
    lists = np.concatenate(
        [nearest_lists(scores, scope.sizes, plan.lists) for scores in _centroid_scores(own, file.centroids)]
    )
    rows = scope.index.lists.search(own, lists, count=plan.candidates, eligible=scope.eligible)
    there = rows >= 0
    if scope.rows is not None:
        rows = scope.rows[rows]  # where nothing is there, the last offer's row, which `there` leaves out
    more = there[:, -1]
    listed = Candidates(np.repeat(numbers, there.sum(axis=1)), rows[there])
    parts = [listed, *_fresh_pairs(scope, own, numbers, wanted)]
    return joined(parts), Candidates(numbers[more], rows[more, -1])


def _centroid_scores(customers: Scores32, centroids: Scores32) -> Iterator[Scores32]:
    """Yield the customers' scores with the centroids, a tile at a time.

    Of two centroids that score the same but for rounding, only one may be looked into, and a ranking must not depend on
    its batch. BLAS rounds by the shape of a product and, in single precision, by the row, so every product has one
    shape, in double precision.
    """
    tile = np.zeros((TILE_ROWS, customers.shape[1]))
    columns = centroids.T.astype(np.float64)
    for start in range(0, len(customers), TILE_ROWS):
        own = customers[start : start + TILE_ROWS]
        tile[: len(own)] = own
        yield (tile @ columns)[: len(own)].astype(np.float32)


def _fresh_pairs(scope: _Scope, customers: Scores32, numbers: Numbers, wanted: int) -> list[Candidates]:
    """Return the fresh offers of each request that may be among its best, exactly, by the margin of best_offers."""
    fresh = scope.fresh
    if not len(fresh):
        return []
    vectors, parts = scope.catalog.vectors[fresh], []
    step = max(1, FRESH_SCORES_MAX // len(fresh))
    for start in range(0, len(numbers), step):
        own = customers[start : start + step]
        scores = own @ vectors.T
        place = max(0, len(fresh) - wanted)
        thresholds = np.partition(scores, place, axis=1)[:, place] - margins(own)
        requests, columns = np.nonzero(scores >= thresholds[:, None])
        parts.append(Candidates(numbers[start + requests], fresh[columns]))
    return parts


def _allowed(pairs: Candidates, excluded: Candidates, offers: int) -> Candidates:
    """Return the pairs without those that requests exclude."""
    if not len(excluded.rows):
        return pairs
    return pairs.where(~is_in(pairs, excluded, offers))
