"""Decides for a request whether an index is looked into, and how far; all of it follows from the request alone.

An index wins where scanning some lists costs less than the product with every offer. Two things make it lose. Where a
filter leaves few offers, the lists near a customer hold few that may be shown, so that many more lists must be scanned
for the same recall. Where a ranking is long, its last offers lie far from the customer. So the number of lists grows
with the offers wanted and with what a filter takes away, and beyond a share of the catalog the exact product is used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.ranking.eligibility import Numbers
from stream_scorer.core.releases.offer_index import IndexCover, InvertedFile

INDEX_OFFERS_MIN = 50_000  # with fewer, the exact product is as fast; docs/approximate-index.md has the measurements
FILTERED_OFFERS_MIN = 200_000  # counting what a filter leaves in each list costs as much as 60,000 exact scores
FRESH_SHARE = 64  # an index serves until more than 1 / FRESH_SHARE of the offers are not in it
SCANNED_SHARE = 8  # a request scans at most 1 / SCANNED_SHARE of the catalog
MEASURED_LIMIT = 10  # the length of ranking for which publish measures the recall and chooses the probes
FETCHED_SPARE = 12  # candidates beyond twice those wanted: codes of 8 bits move neighbours past each other
WANTED_MAX = 2_000


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """How many lists a request looks into, and how many candidates it takes from them to score exactly."""

    lists: int
    candidates: int


def serves_filtered(offers: int) -> bool:
    """Return whether an index is of use for requests with filters, of which a batch may have as many as requests."""
    return offers >= FILTERED_OFFERS_MIN


def serves(file: InvertedFile, cover: IndexCover, offers: int) -> bool:
    """Return whether an index is of use for a catalog of so many offers: large enough, and not outgrown."""
    return (
        offers >= INDEX_OFFERS_MIN
        and not outgrown(cover, offers)
        and file.probes * SCANNED_SHARE <= len(file.centroids)
    )


def outgrown(cover: IndexCover, offers: int) -> bool:
    """Return whether scoring the offers that were added or changed since the index was built costs too much."""
    return len(cover.fresh) * FRESH_SHARE > offers


def wanted_classes(limits: Numbers, excluded: Numbers) -> Numbers:
    """Return for each request the power of two, 16 at least, that covers its ranking and all that it excludes."""
    # Classes let requests share a search whose size still depends on no other request of the batch.
    wanted = np.maximum(limits + excluded, 16)
    classes: Numbers = (2 ** np.ceil(np.log2(wanted))).astype(np.int64)
    return classes


def plan_of(file: InvertedFile, sizes: Numbers, *, wanted: int) -> IndexPlan | None:
    """Return how to look for so many offers in lists that hold `sizes` (L,) eligible ones; None: rank exactly.

    Lists without an eligible offer are never looked into, so a filter that follows the clusters costs nothing.
    """
    offers, filled = len(file.list_of), int(np.count_nonzero(sizes))
    if not filled or wanted > WANTED_MAX:
        return None
    # As many eligible offers are scanned as without a filter, and more in proportion for a longer ranking.
    scanned = file.probes * offers / len(file.centroids) * max(1.0, wanted / 16)
    lists = int(np.ceil(scanned * filled / sizes.sum()))
    if lists * SCANNED_SHARE > len(file.centroids) or lists > filled:
        return None
    return IndexPlan(max(lists, 1), 2 * wanted + FETCHED_SPARE)


def nearest_lists(centroid_scores: NDArray[np.float32], sizes: Numbers, count: int) -> Numbers:
    """Return the lists (B, count) of the highest scores (B, L) among those that are not empty."""
    scores = np.where(sizes > 0, centroid_scores, np.float32(-np.inf))
    if count >= scores.shape[1]:
        return np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    return np.argpartition(-scores, count - 1, axis=1)[:, :count].astype(np.int64)
