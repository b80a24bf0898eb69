"""Measures a model by judged rows: rankings of the whole catalog, and order within customers, beside popularity."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.training_set import TrainingSet
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
from stream_scorer.core.evaluation.judging import Floats, Places, ScoredRows
from stream_scorer.core.held_out.beside import Z95, Beside, beside
from stream_scorer.core.held_out.judgement import Judgement, judge_rankings
from stream_scorer.core.held_out.questions import Questions, ask, by_customer
from stream_scorer.core.held_out.ranking_quality import RankingQuality, coverage, quality_by_depth
from stream_scorer.core.held_out.trivial import POPULARITY, RANDOM, TrivialRankings

_SCORES_MAX = 1_000_000_000
_DRAWN = (("model", "model"), ("popularity", POPULARITY), ("random", RANDOM))  # names in the figures, of the rankings
_PERIODS = 6


@dataclass(frozen=True, slots=True)
class RankedCatalog:
    """The questions of the judged acceptances and their rankings; `judgement` is None where there is no question."""

    questions: Questions
    judgement: Judgement | None


def rank_catalog(judged: ScoredRows, k: int) -> RankedCatalog:
    """Rank the catalog for the judged acceptances, each with the features of its own request.

    Offers that may not be shown, such as inactive offers, are neither ranked nor relevant.
    """
    rankable, known = judged.rankable(), judged.known
    questions = ask(judged.data, known.accepted, judged.rows, rankable=rankable, scores_max=_SCORES_MAX)
    if not len(questions):
        return RankedCatalog(questions, None)
    found = judge_rankings(
        questions,
        scores_of(judged, questions),
        known.trivial,
        known_customers=known.customers,
        known_offers=known.offers,
        k=k,
    )
    return RankedCatalog(questions, found)


def whole_catalog(ranked: RankedCatalog, k: int, rng: np.random.Generator) -> WholeCatalog:
    """Return the figures of rankings of the whole catalog."""
    questions, found = ranked.questions, ranked.judgement
    if found is None:
        return WholeCatalog(acceptances=questions.acceptances, repeats=questions.repeats)
    rankable = questions.rankable
    tops = {name: found.tops[of] for name, of in _DRAWN}
    return WholeCatalog(
        customers=len(np.unique(questions.who)),
        questions=len(questions),
        drawn_from=questions.drawn_from,
        acceptances=questions.acceptances,
        repeats=questions.repeats,
        known_ranked=questions.repeating,
        beside=found.beside(k),
        coverage={name: coverage(top[rankable[top]], catalog=int(rankable.sum())) for name, top in tops.items()},
        by_depth={name: _by_depth(questions, top) for name, top in tops.items()},
        **{group: _qualities(each, rng) for group, each in found.qualities.items()},
    )


def scores_of(judged: ScoredRows, questions: Questions) -> Callable[[slice], Floats]:
    """Return what gives the model's scores (B, N) of a block of questions."""
    tower, customers = judged.model.user_tower, judged.data.customers
    return lambda block: tower.forward(customers.inputs(questions.view[block])) @ judged.vectors.T


def _by_depth(questions: Questions, top: Places) -> DepthCurves:
    _, who = np.unique(questions.who, return_inverse=True)
    each = quality_by_depth(top, questions.wanted, catalog=len(questions.rankable))
    recall, ndcg = (
        DepthCurve(values.mean(axis=0).tolist(), (Z95 * values.std(axis=0) / np.sqrt(len(values))).tolist())
        for values in (by_customer(curve, who.reshape(-1)) for curve in each)
    )
    return DepthCurves(recall, ndcg)


def _qualities(judgements: Mapping[str, RankingQuality], rng: np.random.Generator) -> GroupQuality:
    figures = {one: _compared({name: getattr(judgements[of], one) for name, of in _DRAWN}, rng) for one in QUALITIES}
    return GroupQuality(len(judgements["model"].ndcg), **figures)


def _compared(each: dict[str, Floats], rng: np.random.Generator) -> Compared | None:
    model, popularity, random = (mean_interval(each[name], rng) for name, _ in _DRAWN)
    above = mean_interval(each["model"] - each["popularity"], rng)
    if model is None or popularity is None or random is None or above is None:
        return None
    return Compared(model, popularity, random, above)


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
    return WithinCustomer(**found, beside=auc_beside(judged.data, judged.rows, scores, judged.known.trivial))


def auc_beside(data: TrainingSet, rows: Places, scores: Floats, trivial: TrivialRankings) -> Beside | None:
    """Return the AUC within customers of scores (n,) beside trivial ones; None: no customer has both labels."""
    who, accepted = data.who[rows], data.accepted[rows]

    def each(of: npt.NDArray[np.floating]) -> Floats:
        return auc_by_customer(who, of, accepted)

    model = each(scores)
    if not len(model):
        return None
    found = {name: each(of) for name, of in trivial.of_rows(data, rows, lambda of: float(each(of).mean())).items()}
    return beside("AUC within customer", {"model": model, **found})


def by_time(judged: ScoredRows, rng: np.random.Generator) -> tuple[PeriodAuc, ...]:
    """Return the AUC within customers of periods with equally many rows, to show whether it lasts."""
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
    """Return what scores say about the odds; None where either half of the customers has a single kind of label."""
    counts = judged.data.weight[judged.rows].astype(np.float64)
    return calibration(judged.who % 2 == 0, judged.scores(), judged.accepted.astype(np.float64), counts)
