"""Evaluates a model or a table of probabilities on labelled examples, and warns of figures that mislead."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from stream_scorer.core.datasets.catalog_fill import FilledExamples
from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.evaluation.auc import auc_beside_popularity
from stream_scorer.core.evaluation.figures import Evaluation, JudgedSpan, ModelFigures, PolicyValue, Verdict
from stream_scorer.core.evaluation.judging import SELF_SELECTED_MAX, JudgedRows, ScoredRows, judge, judge_all
from stream_scorer.core.evaluation.model_quality import (
    by_time,
    calibration_of,
    rank_catalog,
    whole_catalog,
    within_customer,
)
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.core.evaluation.policy_value import PolicyTable, SecondStage, policy_value
from stream_scorer.core.features.coverage import cautions_of, coverage_of
from stream_scorer.core.inspecting.against import against
from stream_scorer.core.inspecting.example_rankings import example_rankings
from stream_scorer.core.inspecting.importance import importances
from stream_scorer.core.inspecting.slices import slices
from stream_scorer.core.inspecting.verdict import verdict_of
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.reranker import SHORTLIST_DEFAULT
from stream_scorer.core.two_stages.judged import plain_rows, second_stage_of, within_requests
from stream_scorer.services.learning.publisher import draft_release

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
_TOWERS_ALONE = (
    "a re-ranker is judged by the figures of two stages and by off-policy estimates of the model: all other figures are"
    " of what its towers rank by themselves"
)


@dataclass(frozen=True, slots=True)
class OffPolicyOptions:
    """The policy to estimate, the least effective sample size for it, and the bound at which weights are cut."""

    policy: ModelPolicy | PolicyTable
    ess_min: float
    weight_max: float


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """How to evaluate: rankings are judged by their first `k` offers, and random draws follow from `seed`.

    A re-ranker orders the towers' first `shortlist` offers, as `rank.shortlist` does where the model serves.
    `held_out` is the latest share of the labels; it alone is judged where the labels seen before are not given apart.
    `span` says where the labels come from, for the report.
    """

    k: int
    held_out: float
    seed: int
    off_policy: OffPolicyOptions
    span: JudgedSpan = field(default_factory=lambda: JudgedSpan(None, None, None))
    shortlist: int = SHORTLIST_DEFAULT


def evaluate_model(
    model: Model,
    offers: Sequence[Offer],
    labels: ExampleSource,
    seen: ExampleSource | None,
    options: EvaluateOptions,
    *,
    other: Model | None = None,
) -> Evaluation:
    """Return all figures, each beside those of popularity and of a random order, with 95 % intervals over customers.

    `seen` are the labels from before, where they are given apart. A table of probabilities has learned from no label,
    so all labels judge it. An `other` model is compared with it on the same rows.
    """
    filled = FilledExamples(labels, offers)
    judged = judge(model, offers, filled, seen, held_out=options.held_out)
    rng = np.random.default_rng(options.seed)
    plain = plain_rows(judged, filled, seen)
    stages, chosen = within_requests(judged, plain, options.shortlist)
    figures = replace(_figures(judged, options.k, rng), two_stages=stages, choices=chosen)
    if other is not None:
        beside = judge(other, offers, filled, seen, held_out=options.held_out)
        figures = replace(figures, against=against(judged, beside, options.k, rng))
    by_model = isinstance(options.off_policy.policy, ModelPolicy)
    logged = judged if by_model else JudgedRows(judged.data, judged.closed, offers, judged.check)
    second = second_stage_of(model, plain, _policy_shortlist(options)) if by_model else None
    value = _value(logged, options.off_policy, rng, second)
    cautions = [sentence for coverage in figures.features for sentence in cautions_of(coverage)]
    if any(each is not None and each.reranker is not None for each in (model, other)):
        cautions.append(_TOWERS_ALONE)
    found = _evaluation(judged, options, figures, value, [*_below(figures), *cautions])
    return replace(found, verdict=_verdict(judged, found.incomparable))


def _policy_shortlist(options: EvaluateOptions) -> int:
    """Return how many offers are re-ranked where the policy ranks: all that it draws from, as in serving."""
    policy = options.off_policy.policy
    draws = isinstance(policy, ModelPolicy) and (policy.temperature > 0 or policy.floor > 0)
    return max(options.shortlist, policy.pool) if draws else options.shortlist  # type: ignore[union-attr]


def _verdict(judged: ScoredRows, incomparable: str | None) -> Verdict:
    """Ask the gate that publish asks, by the figures of these labels where they can be compared, else by training's."""
    facts = judged.model.facts if incomparable else {**judged.model.facts, **_gate_facts(judged)}
    draft = draft_release(replace(judged.model, facts=facts), judged.offers, created_ms=0, embedded=lambda _: None)
    return verdict_of(draft.faults, facts, incomparable)


def _below(figures: ModelFigures) -> Iterator[str]:
    """Yield a sentence for each trivial ranking that the model does not surely beat, where they can be compared."""
    if _doubt_of(figures) is not None:
        return
    for group, found in figures.whole_catalog.beside.items():
        yield from found.sentences("" if group == "all" else f"{group.replace('_', ' ')}: ")
    if figures.within_customer.beside is not None:
        yield from figures.within_customer.beside.sentences()


def evaluate_table(offers: Sequence[Offer], labels: ExampleSource, options: EvaluateOptions) -> Evaluation:
    """Estimate what a table of probabilities would have earned; this needs no model."""
    judged = judge_all(offers, labels)
    value = _value(judged, options.off_policy, np.random.default_rng(options.seed))
    return _evaluation(judged, options, None, value, [])


def _figures(judged: ScoredRows, k: int, rng: np.random.Generator) -> ModelFigures:
    model = judged.model
    catalog = coverage_of(model.item_tower.spec, [offer.features for offer in judged.offers])
    ranked = rank_catalog(judged, k)
    matter = importances(judged, ranked.questions, k, rng)
    by_importance = [] if matter is None else [one.feature for one in matter.features if one.side == "customer"]
    return ModelFigures(
        model_id=model.model_id,
        facts={name: model.facts[name] for name in _FACTS if name in model.facts},
        whole_catalog=whole_catalog(ranked, k, rng),
        within_customer=within_customer(judged, rng),
        by_time=by_time(judged, rng),
        calibration=calibration_of(judged),
        features=(*judged.data.coverages, catalog),
        self_selected=judged.self_selected(),
        popularity_known=judged.popularity_known,
        slices=slices(judged, ranked, k, by_importance),
        importances=matter,
        examples=example_rankings(judged, ranked, rng),
    )


def _value(
    judged: JudgedRows, target: OffPolicyOptions, rng: np.random.Generator, second: SecondStage | None = None
) -> PolicyValue | None:
    return policy_value(judged, target.policy, rng, ess_min=target.ess_min, weight_max=target.weight_max, second=second)


def _evaluation(
    judged: JudgedRows,
    options: EvaluateOptions,
    figures: ModelFigures | None,
    value: PolicyValue | None,
    cautions: Sequence[str],
) -> Evaluation:
    incomparable = None if figures is None else _doubt_of(figures)
    cautions = [*judged.check.cautions(), *cautions]
    times = judged.data.request_time_ms[judged.rows]
    from_ms, until_ms = (int(times.min()), int(times.max())) if len(times) else (None, None)
    return Evaluation(
        rows=len(judged.rows),
        accepted=int(judged.accepted.sum()),
        customers=len(np.unique(judged.who)),
        catalog_offers=len(judged.offers),
        refused_rows=judged.data.refused,
        k=options.k,
        model=figures,
        off_policy=value,
        # The reason comes first: readers must see it before any figure that it puts in doubt.
        cautions=tuple(cautions) if incomparable is None else (incomparable, *cautions),
        incomparable=incomparable,
        span=replace(options.span, from_ms=from_ms, until_ms=until_ms),
    )


def _doubt_of(figures: ModelFigures) -> str | None:
    return _reason_incomparable(figures.self_selected, popularity_known=figures.popularity_known)


def _reason_incomparable(self_selected: float, *, popularity_known: bool) -> str | None:
    """Return why a comparison with popularity would be meaningless here, None where it is meaningful."""
    if self_selected > SELF_SELECTED_MAX:
        return (
            f"{self_selected:.0%} of the judged rows were ranked by this very model: customers could accept only what"
            " it showed them, which makes it look better than it is; the off-policy estimates correct for that, where"
            " the log has propensities (rank.exploration)"
        )
    if not popularity_known:
        return (
            "no acceptance is earlier than the judged labels, so that nothing is known of popularity or of what"
            " customers had accepted before: give earlier labels, or --seen"
        )
    return None


def quality_facts(
    model: Model, offers: Sequence[Offer], labels: ExampleSource, *, held_out: float
) -> tuple[dict[str, object], list[str]]:
    """Return the facts by which the gate compares a model with popularity, and what puts them in doubt.

    The `labels` must be ones that the model has not learned from; their latest `held_out` share judges it.
    """
    judged = judge(model, offers, FilledExamples(labels, offers), None, held_out=held_out, keep_earlier=True)
    doubt = _reason_incomparable(judged.self_selected(), popularity_known=judged.popularity_known)
    facts = {**_gate_facts(judged), **_facts_of_stages(judged, FilledExamples(labels, offers))}
    return facts, [*judged.check.cautions(), *([] if doubt is None else [doubt])]


def _facts_of_stages(judged: ScoredRows, labels: ExampleSource) -> dict[str, object]:
    stages, _ = within_requests(judged, plain_rows(judged, labels))
    stated: Any = judged.model.facts.get("reranker") or {}
    return {} if stages is None else {"reranker": {**stated, "judged": asdict(stages)}}


def _gate_facts(judged: ScoredRows) -> dict[str, object]:
    """Return the facts by which the gate compares a model with popularity."""
    return {**auc_beside_popularity(judged.who, judged.scores(), judged.popularity, judged.accepted)}
