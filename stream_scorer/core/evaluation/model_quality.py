"""Measures a model by judged rows: rankings of the whole catalog, and order within customers, beside popularity."""

from dataclasses import asdict

import numpy as np

from stream_scorer.core.evaluation.auc import auc_by_customer
from stream_scorer.core.evaluation.calibration import Calibration, calibration
from stream_scorer.core.evaluation.figures import (
    GROUPS,
    QUALITIES,
    Compared,
    DepthCurve,
    DepthCurves,
    GroupAuc,
    GroupQuality,
    PeriodAuc,
    WholeCatalog,
    WithinCustomer,
)
from stream_scorer.core.evaluation.intervals import mean_interval
from stream_scorer.core.evaluation.judging import Floats, Mask, Places, ScoredRows
from stream_scorer.core.evaluation.ranking_quality import (
    AcceptedPairs,
    coverage,
    quality_by_depth,
    ranking_quality,
    top_k,
)

_BLOCK = 512
_PERIODS = 6
_Z95 = 1.96


def whole_catalog(judged: ScoredRows, k: int, rng: np.random.Generator) -> WholeCatalog:
    """Rank the catalog for each customer with a relevant offer, without what they had accepted before.

    Offers that may not be shown, as they are inactive, are neither ranked nor relevant.
    """
    catalog, rankable = len(judged.offers), judged.rankable()
    place, who = judged.catalog_place, judged.who.astype(np.int64)
    hit = (judged.accepted == 1) & (place >= 0)
    relevant = AcceptedPairs.of(who[hit], place[hit], catalog=catalog).of_offers(rankable)
    relevant = relevant.without(judged.known.accepted, catalog=catalog)
    people, numbered = np.unique(relevant.customer, return_inverse=True)
    if not len(people):
        return WholeCatalog()
    wanted = AcceptedPairs(numbered.reshape(-1), relevant.offer)
    tops = {
        "model": _ranked(judged, people, k, rankable, None),
        "popularity": _ranked(judged, people, k, rankable, judged.known.popularity),
        "random": _ranked(judged, people, k, rankable, rng),
    }
    new = ~judged.known.customers[people][wanted.customer]
    of_new_customers = AcceptedPairs(wanted.customer[new], wanted.offer[new])
    return WholeCatalog(
        customers=len(people),
        coverage={name: coverage(top[rankable[top]], catalog=int(rankable.sum())) for name, top in tops.items()},
        all=_qualities(tops, wanted, catalog, rng),
        new_customers=_qualities(tops, of_new_customers, catalog, rng),
        new_offers=_qualities(tops, wanted.of_offers(~judged.known.offers), catalog, rng),
        by_depth={name: _by_depth(top, wanted, catalog) for name, top in tops.items()},
    )


def _by_depth(top: Places, relevant: AcceptedPairs, catalog: int) -> DepthCurves:
    recall, ndcg = (
        DepthCurve(values.mean(axis=0).tolist(), (_Z95 * values.std(axis=0) / np.sqrt(len(values))).tolist())
        for values in quality_by_depth(top, relevant, catalog=catalog)
    )
    return DepthCurves(recall, ndcg)


def _qualities(
    tops: dict[str, Places], relevant: AcceptedPairs, catalog: int, rng: np.random.Generator
) -> GroupQuality:
    found = {name: asdict(ranking_quality(top, relevant, catalog=catalog)) for name, top in tops.items()}
    figures = {one: _compared({name: values[one] for name, values in found.items()}, rng) for one in QUALITIES}
    return GroupQuality(len(np.unique(relevant.customer)), **figures)


def _compared(each: dict[str, Floats], rng: np.random.Generator) -> Compared | None:
    model, popularity, random = (mean_interval(each[name], rng) for name in ("model", "popularity", "random"))
    above = mean_interval(each["model"] - each["popularity"], rng)
    if model is None or popularity is None or random is None or above is None:
        return None
    return Compared(model, popularity, random, above)


def _ranked(
    judged: ScoredRows, people: Places, k: int, rankable: Mask, by: Floats | np.random.Generator | None
) -> Places:
    """Rank for some customers, in blocks: by the model (None), by one order for all, or at random."""
    first = np.full(len(judged.data.customer_ids), -1)
    first[judged.who[::-1]] = judged.data.customer[judged.rows[::-1]]  # the earliest judged features of each customer
    taken = judged.known.accepted
    tops = []
    for start in range(0, len(people), _BLOCK):
        block = people[start : start + _BLOCK]
        if by is None:
            scores = judged.model.user_tower.forward(judged.data.customers.inputs(first[block])) @ judged.vectors.T
        elif isinstance(by, np.random.Generator):
            scores = by.random((len(block), len(judged.offers)))
        else:
            scores = np.tile(by, (len(block), 1))
        scores[:, ~rankable] = -np.inf
        low, high = np.searchsorted(taken.customer, block), np.searchsorted(taken.customer, block, side="right")
        for row, (one, other) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            scores[row, taken.offer[one:other]] = -np.inf
        tops.append(top_k(scores, k))
    return np.concatenate(tops)


def within_customer(judged: ScoredRows, rng: np.random.Generator) -> WithinCustomer:
    """Return the AUC within customers of the judged rows, and of those with new customers or offers."""
    scores, popularity, place = judged.scores(), judged.popularity, judged.catalog_place
    groups = {
        "all": np.ones(len(scores), bool),
        "new_customers": ~judged.known.customers[judged.who],
        "new_offers": np.where(place >= 0, ~judged.known.offers[place], True),
    }
    found: dict[str, GroupAuc] = {}
    for name in GROUPS:
        rows = groups[name]
        who, accepted = judged.who[rows], judged.accepted[rows]
        ours, theirs = auc_by_customer(who, scores[rows], accepted), auc_by_customer(who, popularity[rows], accepted)
        model, popular, above = (mean_interval(values, rng) for values in (ours, theirs, ours - theirs))
        found[name] = GroupAuc(len(ours), model, popular, above)
    return WithinCustomer(**found)


def by_time(judged: ScoredRows, rng: np.random.Generator) -> tuple[PeriodAuc, ...]:
    """Return the AUC within customers of periods with as many rows each: does it last?"""
    scores, popularity, times = judged.scores(), judged.popularity, judged.data.request_time_ms[judged.rows]
    periods: list[PeriodAuc] = []
    for part in np.array_split(np.arange(len(scores)), _PERIODS):  # rows are in order of time
        who, accepted = judged.who[part], judged.accepted[part]
        ours = auc_by_customer(who, scores[part], accepted)
        model = mean_interval(ours, rng)
        popular = mean_interval(auc_by_customer(who, popularity[part], accepted), rng)
        if model is not None and popular is not None:
            periods.append(PeriodAuc(int(times[part[0]]), int(times[part[-1]]), len(ours), model, popular))
    return tuple(periods)


def calibration_of(judged: ScoredRows) -> Calibration | None:
    """Return what scores say about the odds; None where there are too few labels of either kind."""
    counts = judged.data.weight[judged.rows].astype(np.float64)
    return calibration(judged.who % 2 == 0, judged.scores(), judged.accepted.astype(np.float64), counts)
