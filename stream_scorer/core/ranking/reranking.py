"""The second stage: re-ranks the towers' shortlist of each request by the release's re-ranker.

A shortlist is the first `rank.shortlist` offers of a request by the towers' score, more where the request asks for more
or exploration draws from more. The order is that of the re-ranker's scores, ties broken by the towers' order.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.ranking.best_offers import Ranked, Scores, small
from stream_scorer.core.ranking.eligibility import Numbers
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.offer_side import OfferSideOf
from stream_scorer.core.towers.reranker import Reranker, Shortlisted

PAIRS_MAX = 65_536  # scored at a time


def rerank(requests: Sequence[CustomerRequest], shortlists: Ranked, catalog: Catalog, reranker: Reranker) -> Ranked:
    """Return the shortlists in the re-ranker's order, with what both stages say of each offer."""
    lengths = np.diff(shortlists.starts)  # (B,)
    pairs = Shortlisted(
        np.repeat(np.arange(len(requests)), lengths),
        shortlists.rows,
        shortlists.scores,
        np.arange(len(shortlists.rows)) - np.repeat(shortlists.starts[:-1], lengths) + 1,
    )  # (M,)
    scores = _scores(requests, shortlists.starts, pairs, catalog, reranker)  # (M,)
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


def _scores(
    requests: Sequence[CustomerRequest], starts: Numbers, pairs: Shortlisted, catalog: Catalog, reranker: Reranker
) -> Scores:
    """Score the pairs, some requests at a time: what a pair takes while it is scored is a row of many columns."""
    side = catalog.once(OfferSideOf(reranker))
    scores, first = np.empty(len(pairs)), 0
    while first < len(requests):
        within = int(np.searchsorted(starts, starts[first] + PAIRS_MAX, side="right")) - 1
        end = max(first + 1, min(within, len(requests)))
        part = pairs.part(int(starts[first]), int(starts[end]))
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
