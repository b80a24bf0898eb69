"""Recomputes what a release's re-ranker made of shortlists, and judges the order of rankings.

An order is judged by the score that made it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from stream_scorer.core.features.columns import Floats
from stream_scorer.core.messages import RankedOffer, Ranking
from stream_scorer.core.towers.reranker import Places, Reranker, Shortlisted
from stream_scorer.core.verifying.judgements import Fault

TOLERANCE = 1e-6  # as a share of a score's size: re-rankers compute in float64, in a fixed order


def stage_faults(rankings: Sequence[Ranking], reranker: Reranker | None) -> Iterator[tuple[int, Fault]]:
    """Yield the faults of both stages' order and of the second stage's scores, each with its ranking's place.

    The towers' scores are judged elsewhere, and are taken here as they are stated: a re-ranker read just these.
    """
    due = reranker is not None
    whole = [place for place, one in enumerate(rankings) if one.offers and _states_stages(one.offers) == due]
    for place in sorted({place for place, one in enumerate(rankings) if one.offers}.difference(whole)):
        wanted = (
            "its release has a re-ranker, so every offer must" if due else "its release has no re-ranker, no offer may"
        )
        yield place, _fault("stage_unstated", rankings[place], f"{wanted} state tower_rank and reranker_score")
    if reranker is not None and whole:
        yield from _score_faults(rankings, whole, reranker)
    for place in whole:
        if what := _disorder(rankings[place].offers):
            yield place, _fault("order_wrong", rankings[place], what)


def _states_stages(offers: Sequence[RankedOffer]) -> bool | None:
    """Return whether all offers state both, or none states either; None: neither."""
    stated = {value is not None for one in offers for value in (one.tower_rank, one.reranker_score)}
    return stated.pop() if len(stated) == 1 else None


def _score_faults(rankings: Sequence[Ranking], whole: Sequence[int], reranker: Reranker) -> Iterator[tuple[int, Fault]]:
    owners: Places = np.repeat(
        np.arange(len(whole), dtype=np.int64), [len(rankings[place].offers) for place in whole]
    )  # (M,)
    offers = [offer for place in whole for offer in rankings[place].offers]
    made = _recomputed([rankings[place] for place in whole], offers, owners, reranker)
    stated = np.array([one.reranker_score for one in offers], np.float64)
    wrong = ~(np.abs(made - stated) <= TOLERANCE * np.maximum(1.0, np.abs(made)))
    for owner in np.unique(owners[wrong]).tolist():
        first = int(np.flatnonzero(wrong & (owners == owner))[0])
        what = f"the re-ranker's score of {offers[first].offer_id} is {stated[first]:.6g}, it makes {made[first]:.6g}"
        yield whole[owner], _fault("reranker_score_wrong", rankings[whole[owner]], what)


def _recomputed(
    rankings: Sequence[Ranking], offers: Sequence[RankedOffer], owners: Places, reranker: Reranker
) -> Floats:
    side = reranker.offer_side([one.features for one in offers], [one.offer_id for one in offers])
    pairs = Shortlisted(
        owners,
        np.arange(len(offers)),
        np.array([one.score for one in offers], np.float64),
        np.array([one.tower_rank for one in offers], np.int64),
    )
    return reranker.scores([one.features for one in rankings], [one.customer_id for one in rankings], pairs, side)


def _disorder(offers: Sequence[RankedOffer]) -> str:
    """Return what stands in the wrong order; "" where nothing does. Where rankings explore, any order may be drawn."""
    by_towers = sorted(offers, key=lambda one: one.tower_rank or one.rank)
    if offers[0].tower_rank is not None:
        for better, worse in pairwise(by_towers):
            if better.tower_rank == worse.tower_rank or better.score < worse.score:
                return f"{worse.offer_id} has tower_rank {worse.tower_rank}, {better.offer_id} {better.tower_rank}"
    if any(one.propensity < 1 for one in offers):
        return ""
    for better, worse in pairwise(offers):
        if _final(better) < _final(worse):
            return f"{better.offer_id} stands before {worse.offer_id}, whose score is higher"
    return ""


def _final(offer: RankedOffer) -> tuple[float, int]:
    """Return what an offer's place is by: the last stage's score, and of equal ones the towers' order."""
    return (offer.score, 0) if offer.reranker_score is None else (offer.reranker_score, -(offer.tower_rank or 0))


def _fault(kind: str, ranking: Ranking, what: str) -> Fault:
    return Fault(kind, f"{ranking.request_id}: {what}")
