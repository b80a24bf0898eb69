"""Measures rankings of the whole catalog for customers whose accepted offers are known; relevance is binary."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.floating]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AcceptedPairs:
    """Pairs of a customer (m,) and a catalog place (m,), each pair once, in ascending order."""

    customer: Places
    offer: Places

    @staticmethod
    def of(customer: Places, offer: Places, *, catalog: int) -> "AcceptedPairs":
        """Sort pairs and drop duplicates; `catalog` is the number of offers."""
        # A pair as a single number sorts far faster than a row of two.
        keys = np.unique(customer * catalog + offer)
        return AcceptedPairs(keys // catalog, keys % catalog)

    def of_customers(self, chosen: Places) -> "AcceptedPairs":
        """Return the pairs of some customers (C,), each customer renumbered to its place in `chosen`."""
        first, end = (np.searchsorted(self.customer, chosen, side=side) for side in ("left", "right"))
        places = runs(first, end - first)
        return AcceptedPairs(np.repeat(np.arange(len(chosen)), end - first), self.offer[places])

    def of_offers(self, chosen: npt.NDArray[np.bool_]) -> "AcceptedPairs":
        """Return the pairs of some offers; `chosen` is a mask of the catalog."""
        kept = chosen[self.offer]
        return AcceptedPairs(self.customer[kept], self.offer[kept])


@dataclass(frozen=True, slots=True)
class RankingQuality:
    """Figures per customer (C,), for those with at least one relevant offer."""

    recall: Floats
    precision: Floats
    ndcg: Floats
    average_precision: Floats

    def figures(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return all, in the order of the fields."""
        return self.recall, self.precision, self.ndcg, self.average_precision


def top_k(scores: Scores, k: int) -> Places:
    """Return the k best columns of each row (C, k), best first, ties by column; columns at -inf come last but count."""
    k = min(k, scores.shape[1])
    # np.partition of the values takes a thirtieth of the time of np.argpartition, so the columns are looked up after.
    least = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k, None]
    chosen = scores > least
    missing = k - chosen.sum(axis=1, keepdims=True)
    equal = scores == least
    # Where more columns tie for the last places than these can take, the lowest columns get them.
    if (equal.sum(axis=1, keepdims=True) > missing).any():
        equal &= np.cumsum(equal, axis=1, dtype=np.int32) <= missing
    part = np.nonzero(chosen | equal)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, part, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(part, order, axis=1), np.int64)


def ranking_quality(top: Places, relevant: AcceptedPairs, *, catalog: int) -> RankingQuality:
    """Judge rankings (C, k) of customers 0..C-1.

    Recall is hits / relevant. nDCG discounts by 1 / log2(1 + rank), and its ideal ranking has min(k, relevant) hits;
    average precision divides by the same number.
    """
    hits, total = _hits(top, relevant, catalog)
    recall, ndcg = _by_depth(hits, total)
    k = hits.shape[1]
    return RankingQuality(
        recall=recall[:, -1],
        precision=hits.sum(axis=1) / k,
        ndcg=ndcg[:, -1],
        average_precision=(hits * np.cumsum(hits, axis=1) / np.arange(1, k + 1)).sum(axis=1) / np.minimum(total, k),
    )


def quality_by_depth(top: Places, relevant: AcceptedPairs, *, catalog: int) -> tuple[Floats, Floats]:
    """Return recall and nDCG (C, k) of the first 1, 2, … k places of rankings (C, k), as `ranking_quality` does."""
    return _by_depth(*_hits(top, relevant, catalog))


def _hits(top: Places, relevant: AcceptedPairs, catalog: int) -> tuple[Floats, Places]:
    """Return which places (C, k) have a relevant offer, and how many are relevant (C,), for customers who have any."""
    keys = np.arange(len(top))[:, None] * catalog + top
    hits = np.isin(keys, relevant.customer * catalog + relevant.offer).astype(np.float64)
    total = np.bincount(relevant.customer, minlength=len(top))
    return hits[total > 0], total[total > 0]


def _by_depth(hits: Floats, total: Places) -> tuple[Floats, Floats]:
    depths = np.arange(1, hits.shape[1] + 1)
    discounts = 1 / np.log2(depths + 1)
    ideal = np.cumsum(discounts)[np.minimum(total[:, None], depths) - 1]
    return np.cumsum(hits, axis=1) / total[:, None], np.cumsum(hits * discounts, axis=1) / ideal


def runs(first: Places, counts: Places) -> Places:
    """Return the runs first, first + 1, …, each of its count of places, end to end."""
    behind = np.cumsum(counts)
    return np.asarray(
        np.repeat(first - behind + counts, counts) + np.arange(behind[-1] if len(behind) else 0), np.int64
    )


def coverage(top: Places, *, catalog: int) -> float:
    """Return the share of the catalog that is in anybody's first k."""
    return len(np.unique(top)) / catalog
