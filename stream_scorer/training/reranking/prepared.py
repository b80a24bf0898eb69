"""Pairs with their columns worked out, as either kind of re-ranker learns from them."""

from dataclasses import dataclass, replace

import numpy as np

from stream_scorer.core.datasets.training_set import Places
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.reranking.network import NetworkReranker
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.reranking.trees import TreesReranker
from stream_scorer.core.towers.reranker import OfferSide, Shortlisted
from stream_scorer.core.two_stages.pairs import RequestPairs, joined

CROSSES_KEPT = 12
SURE_ERRORS = 2.0


@dataclass(frozen=True, slots=True)
class PreparedPairs:
    """Pairs, their columns (M, P), and whether a request is a choice of one offer among all its pairs.

    The columns of pairs are counted from other requests than theirs: a lift that knows its own label would flatter
    itself.
    """

    pairs: RequestPairs
    columns: Floats
    inputs: PairInputs
    choices: bool

    def of_groups(self, start: int, stop: int) -> "PreparedPairs":
        """Return the pairs of the requests from `start` up to, not including, `stop`."""
        low, high = np.searchsorted(self.pairs.group, (start, stop))
        return replace(self, pairs=self.pairs.of_groups(start, stop), columns=self.columns[low:high])

    def scores(self, reranker: NetworkReranker | TreesReranker) -> Floats:
        """Return scores (M,) by the columns as they are here, not by the re-ranker's own crosses."""
        pairs = self.pairs
        views, view_of = np.unique(pairs.customer, return_inverse=True)
        offers, offer_of = np.unique(pairs.offer, return_inverse=True)
        listed = Shortlisted(view_of.reshape(-1), offer_of.reshape(-1), pairs.score, pairs.rank)
        side = reranker.offers_of(pairs.offers.inputs(offers))
        return reranker.scores_of_columns(pairs.customers.inputs(views), self.columns, listed, side)


def columns_of(pairs: RequestPairs, inputs: PairInputs) -> Floats:
    """Return the columns (M, P) of pairs."""
    side = OfferSide(inputs.offer_arrays(pairs.offers.inputs(np.arange(len(pairs.offers)))))
    views, view_of = np.unique(pairs.customer, return_inverse=True)
    listed = Shortlisted(view_of.reshape(-1), pairs.offer, pairs.score, pairs.rank)
    return inputs.columns(pairs.customers.inputs(views), side, listed)


def prepared(parts: list[tuple[RequestPairs, PairInputs]], final: PairInputs, *, choices: bool) -> PreparedPairs:
    """Join parts, each with the inputs that were counted from the other parts, and keep the crosses that say much.

    `final` has the crosses counted from all parts; those of the result are a selection of them.
    """
    columns = np.concatenate([columns_of(pairs, inputs) for pairs, inputs in parts])
    pairs = joined([pairs for pairs, _ in parts])
    kept = _telling(pairs, columns[:, 2 : 2 + len(final.crosses)])
    inputs = replace(final, crosses=tuple(final.crosses[place] for place in kept))
    rest = np.arange(2 + len(final.crosses), columns.shape[1])
    columns = columns[:, np.concatenate([[0, 1], 2 + kept, rest]).astype(np.int64)]
    return PreparedPairs(pairs, columns, inputs, choices)


def _telling(pairs: RequestPairs, crossed: Floats) -> Places:
    """Return the crosses that order the pairs of requests better than chance by two standard errors, at most 12."""
    counts = np.maximum(np.bincount(pairs.group), 1)
    rate = np.bincount(pairs.group, pairs.accepted) / counts
    surprise = pairs.accepted - rate[pairs.group]
    surely = np.array(
        [_errors_above(np.bincount(pairs.group, surprise * column).astype(np.float64)) for column in crossed.T]
    )
    best = np.argsort(-surely, kind="stable")[:CROSSES_KEPT]
    return np.sort(best[surely[best] > SURE_ERRORS]).astype(np.int64)


def _errors_above(by_request: Floats) -> float:
    error = by_request.std() / np.sqrt(max(1, len(by_request)))
    return float(by_request.mean() / error) if error > 0 else 0.0
