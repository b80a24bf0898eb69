"""Measures trained towers on the held-out rows of their training, beside trivial rankings such as popularity."""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from stream_scorer.core.datasets.training_set import Places, TrainingSet
from stream_scorer.core.evaluation.auc import auc_beside_popularity
from stream_scorer.core.evaluation.judging import row_scores
from stream_scorer.core.evaluation.model_quality import auc_beside
from stream_scorer.core.held_out.beside import Beside
from stream_scorer.core.held_out.judgement import judge_rankings
from stream_scorer.core.held_out.questions import Floats, Questions, accepted_pairs, ask
from stream_scorer.core.held_out.trivial import Contexts, KnownAcceptances, TrivialRankings
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower
from stream_scorer.training.held_out import K
from stream_scorer.training.lesson import Fitted, Lesson

Towers = tuple[Tower, Tower]


def held_out_facts(model: Model, lesson: Lesson, fitted: Fitted) -> dict[str, object]:
    """Measure the towers on the held-out rows.

    Towers that were refitted have learned from these rows; the towers from before the refit are measured in their
    place.
    """
    data, rows = lesson.data, fitted.held_out
    towers: Towers = fitted.measured or (model.user_tower, model.item_tower)
    scores, before = row_scores(data, rows, *towers), np.ones(len(data), bool)
    before[rows] = False
    known = np.flatnonzero(before)
    # Offers outside the catalog have no place in it. They are counted, too, each under a number past the catalog's end.
    which = np.where(data.catalog_of >= 0, data.catalog_of, len(data.catalog) + np.arange(len(data.offers)))[data.offer]
    accepted = np.bincount(which[before & (data.accepted == 1)], minlength=int(which.max()) + 1).astype(np.float64)
    who, labels = data.who[rows], data.accepted[rows]
    return {
        **auc_beside_popularity(who, scores, accepted[which[rows]], labels),
        "judged": _judged(lesson, fitted, towers, known, scores) if len(rows) else None,
    }


def _judged(lesson: Lesson, fitted: Fitted, towers: Towers, known: Places, scores: Floats) -> dict[str, object]:
    """Judge rankings of the whole catalog for the objective `catalog`, else of each customer's own candidates.

    A log of acceptances alone does not say what else a request could have chosen.
    """
    data = lesson.data
    contexts = Contexts.of(data.customers, lesson.user_spec)
    trivial = TrivialRankings(len(data.catalog), contexts, KnownAcceptances.of(data, known, contexts))
    if fitted.recipe.objective == "catalog":
        return _among_catalog(data, ask(data, accepted_pairs(data, known), fitted.held_out), known, trivial, towers)
    found = auc_beside(data, fitted.held_out, scores, trivial)
    beside = {} if found is None else {"all": found}
    return {"among": "own candidates", **_said(beside)}


def _among_catalog(
    data: TrainingSet, questions: Questions, known: Places, trivial: TrivialRankings, towers: Towers
) -> dict[str, object]:
    user_tower, item_tower = towers
    items = item_tower.forward(data.catalog.inputs(np.arange(len(data.catalog)))).astype(np.float32).T
    customers, offers = np.zeros(len(data.customer_ids), bool), np.zeros(len(data.catalog), bool)
    place = data.catalog_of[data.offer[known]]
    customers[data.who[known]], offers[place[place >= 0]] = True, True

    def scores_of(block: slice) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
        users = user_tower.forward(data.customers.inputs(questions.view[block])).astype(np.float32)
        return np.asarray(users @ items)

    found = judge_rankings(questions, scores_of, trivial, known_customers=customers, known_offers=offers, k=K)
    return {
        "among": "catalog",
        "questions": len(questions),
        "drawn_from": questions.drawn_from,
        "acceptances": questions.acceptances,
        "repeats": questions.repeats,
        "known_ranked": questions.repeating,
        **_said(found.beside(K) if len(questions) else {}),
    }


def _said(beside: dict[str, Beside]) -> dict[str, object]:
    better = [one.name for one in beside["all"].better] if "all" in beside else []
    return {
        "beside": {group: asdict(each) for group, each in beside.items()},
        "better": better,
        "cautions": list(_cautions(beside)),
    }


def _cautions(beside: dict[str, Beside]) -> Iterator[str]:
    for group, each in beside.items():
        yield from each.sentences("" if group == "all" else f"{group.replace('_', ' ')}: ")
