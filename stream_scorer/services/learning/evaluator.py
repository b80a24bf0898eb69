"""Measures a model on labelled examples: whole rankings, order within customers, calibration, and what it would have earned."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.evaluation.auc import auc_by_customer, auc_within
from stream_scorer.core.evaluation.calibration import calibration
from stream_scorer.core.evaluation.intervals import Interval, mean_interval
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.evaluation.ranking_quality import Pairs, coverage, quality_by_depth, ranking_quality, top_k
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.services.learning.judging import Floats, Judged, Places, judge
from stream_scorer.services.learning.policy_value import PolicyTable, policy_value

Report = dict[str, Any]

_BLOCK = 512
_STRETCHES = 6
_Z95 = 1.96
_FACTS = (
    "engine",
    "objective",
    "rows",
    "positives",
    "epochs",
    "best_epoch",
    "held_out_auc",
    "popularity_auc",
    "options",
    "earlier_model_id",
)


@dataclass(frozen=True, slots=True)
class OffPolicyOptions:
    """Which policy is estimated, from what effective sample size on, and where weights are cut."""

    policy: ModelPolicy | PolicyTable
    ess_min: float
    weight_max: float


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """`held_out` is the share of the labels, the latest, that is judged when what was seen is not given apart."""

    k: int
    held_out: float
    seed: int
    off_policy: OffPolicyOptions


def evaluate_model(
    model: Model, offers: Sequence[Offer], labels: ExampleSource, seen: ExampleSource | None, options: EvaluateOptions
) -> Report:
    """Return all figures, each beside popularity and a random order, with 95 % intervals over customers."""
    judged = judge(model, offers, labels, seen, held_out=options.held_out)
    rng = np.random.default_rng(options.seed)
    target = options.off_policy
    return {
        "model_id": model.model_id,
        "facts": {name: model.facts[name] for name in _FACTS if name in model.facts},
        "rows": len(judged.rows),
        "accepted": int(judged.accepted.sum()),
        "customers": len(np.unique(judged.who)),
        "catalog_offers": len(offers),
        "refused_rows": judged.data.refused,
        "k": options.k,
        "whole_catalog": whole_catalog(judged, options.k, rng),
        "within_customer": within_customer(judged, rng),
        "by_time": by_time(judged, rng),
        "calibration": _calibration(judged),
        "off_policy": policy_value(judged, target.policy, rng, ess_min=target.ess_min, weight_max=target.weight_max),
    }


def whole_catalog(judged: Judged, k: int, rng: np.random.Generator) -> Report:
    """Rank the whole catalog for each customer with a relevant offer, without what they had accepted before."""
    catalog = len(judged.offers)
    place, who = judged.catalog_place, judged.who.astype(np.int64)
    hit = (judged.accepted == 1) & (place >= 0)
    relevant = Pairs.of(who[hit], place[hit], catalog=catalog).without(judged.seen.accepted, catalog=catalog)
    people, numbered = np.unique(relevant.customer, return_inverse=True)
    if not len(people):
        return {"customers": 0}
    wanted = Pairs(numbered.reshape(-1), relevant.offer)
    tops = {
        "model": _ranked(judged, people, k, None),
        "popularity": _ranked(judged, people, k, judged.seen.popularity),
        "random": _ranked(judged, people, k, rng),
    }
    new_customer, new_offer = ~judged.seen.customers[people], ~judged.seen.offers
    groups = {
        "all": wanted,
        "new_customers": Pairs(
            wanted.customer[new_customer[wanted.customer]], wanted.offer[new_customer[wanted.customer]]
        ),
        "new_offers": wanted.of_offers(new_offer),
    }
    report: Report = {
        "customers": len(people),
        "coverage": {name: coverage(top, catalog=catalog) for name, top in tops.items()},
    }
    for name, pairs in groups.items():
        report[name] = _qualities(tops, pairs, catalog, rng)
    report["by_depth"] = {name: _by_depth(top, wanted, catalog) for name, top in tops.items()}
    return report


def _by_depth(top: Places, relevant: Pairs, catalog: int) -> Report:
    """Return the means over customers for the first 1, 2, … k places, and half their 95 % intervals."""
    report: Report = {}
    for name, values in zip(("recall", "ndcg"), quality_by_depth(top, relevant, catalog=catalog), strict=True):
        half = _Z95 * values.std(axis=0) / np.sqrt(len(values))
        report[name] = {"value": values.mean(axis=0).tolist(), "half_width": half.tolist()}
    return report


def _qualities(tops: dict[str, Places], relevant: Pairs, catalog: int, rng: np.random.Generator) -> Report:
    found = {name: asdict(ranking_quality(top, relevant, catalog=catalog)) for name, top in tops.items()}
    report: Report = {"customers": len(np.unique(relevant.customer))}
    for figure in ("recall", "precision", "ndcg", "average_precision"):
        each = {name: values[figure] for name, values in found.items()}
        report[figure] = {name: _interval(mean_interval(values, rng)) for name, values in each.items()}
        report[figure]["above_popularity"] = _interval(mean_interval(each["model"] - each["popularity"], rng))
    return report


def _ranked(judged: Judged, people: Places, k: int, by: Floats | np.random.Generator | None) -> Places:
    """Rank for some customers, in blocks: by the model (None), by one order for all, or at random."""
    first = np.full(len(judged.data.customer_ids), -1)
    first[judged.who[::-1]] = judged.data.customer[judged.rows[::-1]]  # the earliest judged features of each customer
    taken = judged.seen.accepted
    tops = []
    for start in range(0, len(people), _BLOCK):
        block = people[start : start + _BLOCK]
        if by is None:
            scores = judged.model.user_tower.forward(judged.data.customers.inputs(first[block])) @ judged.vectors.T
        elif isinstance(by, np.random.Generator):
            scores = by.random((len(block), len(judged.offers)))
        else:
            scores = np.tile(by, (len(block), 1))
        low, high = np.searchsorted(taken.customer, block), np.searchsorted(taken.customer, block, side="right")
        for row, (one, other) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
            scores[row, taken.offer[one:other]] = -np.inf
        tops.append(top_k(scores, k))
    return np.concatenate(tops)


def within_customer(judged: Judged, rng: np.random.Generator) -> Report:
    """Return the AUC within customers of the judged rows, and of those with new customers or offers."""
    scores, popularity, place = judged.scores(), judged.popularity, judged.catalog_place
    new_offer = np.where(place >= 0, ~judged.seen.offers[place], True)
    groups = {
        "all": np.ones(len(scores), bool),
        "new_customers": ~judged.seen.customers[judged.who],
        "new_offers": new_offer,
    }
    report: Report = {}
    for name, rows in groups.items():
        who, accepted = judged.who[rows], judged.accepted[rows]
        ours, theirs = auc_by_customer(who, scores[rows], accepted), auc_by_customer(who, popularity[rows], accepted)
        report[name] = {
            "customers": len(ours),
            "model": _interval(mean_interval(ours, rng)),
            "popularity": _interval(mean_interval(theirs, rng)),
            "above_popularity": _interval(mean_interval(ours - theirs, rng)),
            "random": 0.5,
        }
    return report


def by_time(judged: Judged, rng: np.random.Generator) -> list[Report]:
    """Return the AUC within customers of stretches of time with as many rows each: does it last?"""
    scores, popularity, times = judged.scores(), judged.popularity, judged.data.request_time_ms[judged.rows]
    stretches: list[Report] = []
    for part in np.array_split(np.arange(len(scores)), _STRETCHES):  # rows are in order of time
        who, accepted = judged.who[part], judged.accepted[part]
        found = {
            "model": auc_by_customer(who, scores[part], accepted),
            "popularity": auc_by_customer(who, popularity[part], accepted),
        }
        if len(found["model"]):
            when = {"from_ms": int(times[part[0]]), "until_ms": int(times[part[-1]]), "customers": len(found["model"])}
            stretches.append(when | {name: _interval(mean_interval(values, rng)) for name, values in found.items()})
    return stretches


def quality_facts(
    model: Model, offers: Sequence[Offer], labels: ExampleSource, *, held_out: float
) -> dict[str, object]:
    """Return the facts by which the gate compares a model with popularity, measured on labels that it did not learn from."""
    judged = judge(model, offers, labels, None, held_out=held_out)
    found = {"held_out_auc": judged.scores(), "popularity_auc": judged.popularity}
    facts: dict[str, object] = {}
    for name, scores in found.items():
        auc = auc_within(judged.who, scores, judged.accepted)
        facts[name] = {"within_customer": auc.auc, "customers": auc.customers, "standard_error": auc.standard_error}
    return facts


def _calibration(judged: Judged) -> Report | None:
    counts = judged.data.weight[judged.rows].astype(np.float64)
    found = calibration(judged.who % 2 == 0, judged.scores(), judged.accepted.astype(np.float64), counts)
    return None if found is None else asdict(found)


def _interval(found: Interval | None) -> Report | None:
    return None if found is None else asdict(found)
