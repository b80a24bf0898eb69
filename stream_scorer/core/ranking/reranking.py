"""The second stage: re-ranks the towers' shortlist of each request by the release's re-ranker.

A shortlist is the first `rank.shortlist` offers of a request by the towers' score, more where the request asks for more
or exploration draws from more. The order is that of the re-ranker's scores, ties broken by the towers' order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.best_offers import Ranked, Scores, small
from stream_scorer.core.ranking.eligibility import Numbers
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.offer_overlay import OfferOverlay
from stream_scorer.core.releases.offer_side import OfferSideOf
from stream_scorer.core.towers.reranker import OfferSide, Reranker, Shortlisted

PAIRS_MAX = 65_536  # scored at a time


def rerank(
    requests: Sequence[CustomerRequest],
    shortlists: Ranked,
    catalog: Catalog,
    reranker: Reranker,
    overlay: OfferOverlay | None = None,
) -> Ranked:
    """Return the shortlists in the re-ranker's order, with what both stages say of each offer.

    `overlay` has the offers of which the requests state features.
    """
    lengths = np.diff(shortlists.starts)  # (B,)
    pairs = Shortlisted(
        np.repeat(np.arange(len(requests)), lengths),
        shortlists.rows,
        shortlists.scores,
        np.arange(len(shortlists.rows)) - np.repeat(shortlists.starts[:-1], lengths) + 1,
    )  # (M,)
    sides = _Sides.of(catalog.once(OfferSideOf(reranker)), pairs, overlay, reranker)
    scores = _scores(requests, shortlists.starts, pairs, sides, reranker)  # (M,)
    # Pairs come in the towers' order, so that stable sorts leave ties in it; the second is by radix, on small numbers.
    order = np.argsort(-scores, kind="stable")
    order = order[np.argsort(small(pairs.request[order]), kind="stable")]
    return replace(
        shortlists,
        rows=shortlists.rows[order],
        scores=shortlists.scores[order],
        tower_ranks=pairs.rank[order],
        reranker_scores=scores[order],
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """The catalog's offer side, and that of the D different offers of which requests state features."""

    catalog: OfferSide
    stated: OfferSide | None  # (D, …)
    places: Numbers  # (M,), of each pair among the D; -1: the catalog's own. Empty where requests state nothing.

    @classmethod
    def of(cls, side: OfferSide, pairs: Shortlisted, overlay: OfferOverlay | None, reranker: Reranker) -> "_Sides":
        if overlay is None:
            return cls(side, None, np.empty(0, np.int64))
        stated = reranker.offer_side(overlay.features, overlay.offer_ids)
        return cls(side, stated, overlay.places(pairs.request, pairs.offer))

    def of_part(self, pairs: Shortlisted, start: int) -> tuple[Shortlisted, OfferSide]:
        """Return consecutive pairs, from `start` on, and the side whose rows they name."""
        if self.stated is None:
            return pairs, self.catalog
        places = self.places[start : start + len(pairs)]
        stated = places >= 0
        own = self.catalog.take(pairs.offer)  # a row a pair: a copy of the whole catalog's would be far larger
        for name, array in own.arrays.items():
            array[stated] = self.stated.arrays[name][places[stated]]
        return replace(pairs, offer=np.arange(len(pairs))), own


def _scores(
    requests: Sequence[CustomerRequest], starts: Numbers, pairs: Shortlisted, sides: _Sides, reranker: Reranker
) -> Scores:
    """Score the pairs, some requests at a time: what a pair takes while it is scored is a row of many columns."""
    scores, first = np.empty(len(pairs)), 0
    while first < len(requests):
        within = int(np.searchsorted(starts, starts[first] + PAIRS_MAX, side="right")) - 1
        end = max(first + 1, min(within, len(requests)))
        part, side = sides.of_part(pairs.part(int(starts[first]), int(starts[end])), int(starts[first]))
        scores[starts[first] : starts[end]] = reranker.scores(
            [request.features for request in requests[first:end]],
            [request.customer_id for request in requests[first:end]],
            replace(part, request=part.request - first),
            side,
        )
        first = end
    return scores


def first_of_each(ranked: Ranked, limits: Numbers) -> Ranked:
    """Cut each request's ranking at its limit (B,)."""
    kept = np.minimum(limits, np.diff(ranked.starts))
    starts = np.concatenate([[0], np.cumsum(kept)])
    places = np.repeat(ranked.starts[:-1] - starts[:-1], kept) + np.arange(starts[-1])
    return ranked.taking(starts, places)
