"""Compares the order of the towers alone with that of both stages, within requests, on the same pairs."""

import numpy as np
import numpy.typing as npt

from stream_scorer.core.evaluation.auc import auc_by_customer
from stream_scorer.core.evaluation.figures import StageFigure, TwoStages
from stream_scorer.core.evaluation.intervals import mean_interval
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.two_stages.pairs import RequestPairs

K = 10
_DISCOUNTS = 1.0 / np.log2(np.arange(2, K + 2))


def ndcg_by_request(group: npt.NDArray[np.int64], scores: Floats, accepted: npt.NDArray[np.int8]) -> Floats:
    """Return the nDCG@10 of each request that has an accepted and another offer; earlier pairs come first in ties."""
    order = np.lexsort((-scores, group))
    group, gains = group[order], accepted[order].astype(np.float64)
    sizes, positives = np.bincount(group), np.bincount(group, gains)
    place = np.arange(len(group)) - (np.cumsum(sizes) - sizes)[group]
    counted = place < K
    found = np.bincount(group[counted], gains[counted] * _DISCOUNTS[place[counted]], minlength=len(sizes))
    ideal = np.cumsum(np.append(0.0, _DISCOUNTS))[np.minimum(positives, K).astype(np.int64)]
    both = (positives > 0) & (positives < sizes)
    return np.asarray(found[both] / ideal[both])


def compare(pairs: RequestPairs, reranked: Floats, seed: int = 0) -> TwoStages | None:
    """Return both figures of both stages with paired 95 % intervals over requests; None: no request has both labels."""
    rng = np.random.default_rng(seed)
    figures = []
    for by_request in (ndcg_by_request, auc_by_customer):
        towers, both = (by_request(pairs.group, scores, pairs.accepted) for scores in (pairs.score, reranked))
        intervals = [mean_interval(values, rng) for values in (towers, both, both - towers)]
        if any(one is None for one in intervals):
            return None
        figures.append((len(towers), StageFigure(*intervals)))  # type: ignore[arg-type]  # none is None
    return TwoStages(figures[0][0], len(pairs), figures[0][1], figures[1][1])
