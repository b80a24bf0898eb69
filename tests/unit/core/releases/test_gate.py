"""What the gate says against a release, and the check of what was written."""

from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.core.features.spec import RowError
from stream_scorer.core.releases.gate import cautions_of_facts, check_model, faults_of, verify
from stream_scorer.core.releases.release import Release
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Layer, Tower
from stream_scorer.errors import BadModel, ReleaseError
from tests.release_samples import DIM, model, offer, release, reranked_model
from tests.reranking_samples import network


@pytest.fixture
def made() -> Model:
    return model(1)


@pytest.fixture
def good(made: Model) -> Release:
    return release(
        made, [offer(number, features={"price": float(number - 5), "colour": "red"}) for number in range(10)]
    )


def with_last_layer(tower: Tower, weight: np.ndarray, bias: np.ndarray) -> Tower:
    return replace(tower, layers=(Layer(weight, bias),))


def test_nothing_speaks_against_a_good_release(made: Model, good: Release) -> None:
    check_model(made)
    assert faults_of(made, good.catalog, []) == []


def test_towers_of_different_dimensions_are_refused(made: Model) -> None:
    narrow = with_last_layer(made.item_tower, np.ones((DIM - 1, 4)), np.ones(DIM - 1))
    with pytest.raises(BadModel, match="the user tower gives 4 numbers, the item tower 3"):
        check_model(replace(made, item_tower=narrow))


def test_no_offers_are_a_fault(made: Model) -> None:
    assert faults_of(made, release(made, []).catalog, []) == ["there are no offers"]


def test_unreadable_offers_are_counted_and_named(made: Model, good: Release) -> None:
    errors = [
        RowError(3, "feature_kind", "feature 'price' must be a number, got string"),
        RowError(4, "feature_kind", "…"),
    ]
    (fault,) = faults_of(made, good.catalog, errors)
    assert fault.startswith("2 of 10 offers have features that the item tower cannot read")
    assert "offer-3: feature 'price' must be a number" in fault


def test_zero_vectors_are_counted_and_named(made: Model, good: Release) -> None:
    vectors = good.catalog.vectors.copy()
    vectors[[2, 7]] = 0
    assert faults_of(made, replace(good.catalog, vectors=vectors), []) == [
        "2 of 10 offer vectors are zero: offer-2, offer-7"
    ]


def test_collapsed_vectors_are_a_fault(made: Model) -> None:
    dead = replace(made, item_tower=with_last_layer(made.item_tower, np.zeros((DIM, 4)), np.ones(DIM)))
    collapsed = release(dead, [offer(number) for number in range(10)])
    (fault,) = faults_of(dead, collapsed.catalog, [])
    assert fault.startswith("the offer vectors have collapsed")


def test_offers_alike_may_share_a_vector(made: Model) -> None:
    alike = release(made, [offer(number, features={"price": 1.0}) for number in range(10)])
    assert faults_of(made, alike.catalog, []) == []


def test_what_the_item_tower_made_is_verified(made: Model, good: Release) -> None:
    verify(good.catalog, made.item_tower)


def test_a_vector_that_differs_is_named(made: Model, good: Release) -> None:
    vectors = good.catalog.vectors.copy()
    vectors[4] = np.roll(vectors[4], 1)
    with pytest.raises(
        ReleaseError, match=r"1 of 10 stored vectors are not what the item tower makes, by up to .*: offer-4"
    ):
        verify(replace(good.catalog, vectors=vectors), made.item_tower)


def test_vectors_that_are_too_short_are_found(made: Model, good: Release) -> None:
    with pytest.raises(
        ReleaseError, match=r"10 of 10 stored vectors are not of length 1: offer-0, offer-1, offer-2, …"
    ):
        verify(replace(good.catalog, vectors=good.catalog.vectors / np.float32(2)), made.item_tower)


def test_vectors_of_another_dimension_are_found(made: Model, good: Release) -> None:
    narrow = with_last_layer(made.item_tower, np.ones((DIM - 1, 4)), np.ones(DIM - 1))
    with pytest.raises(ReleaseError, match="10 of 10 stored vectors are not what the item tower makes"):
        verify(good.catalog, narrow)


def judged(
    made: Model, mine: float | None, its: float | None, customers: int = 500, error: float | None = None
) -> Model:
    ours = {"within_customer": mine, "customers": customers, "standard_error": error}
    aucs = {"held_out_auc": ours, "popularity_auc": {"within_customer": its, "standard_error": error}}
    return replace(made, facts={**made.facts, **aucs})


@pytest.mark.parametrize(("mine", "its"), [(0.6, 0.6), (0.6, 0.7)])
def test_a_model_below_popularity_is_refused(made: Model, good: Release, mine: float, its: float) -> None:
    (fault,) = faults_of(judged(made, mine, its), good.catalog, [])
    assert fault == f"held-out AUC within customer is {mine:.4f}, not above popularity's {its:.4f} (500 customers)"


@pytest.mark.parametrize(
    ("mine", "its", "customers"), [(0.61, 0.6, 500), (None, 0.6, 500), (0.5, None, 500), (0.5, 0.6, 199)]
)
def test_better_or_unjudged_models_pass(
    made: Model, good: Release, mine: float | None, its: float | None, customers: int
) -> None:
    assert faults_of(judged(made, mine, its, customers), good.catalog, []) == []


def test_too_few_judges_are_a_caution(made: Model) -> None:
    assert cautions_of_facts(judged(made, 0.7, 0.6, 200).facts) == []
    assert "hardly compared with popularity: 199 customers" in cautions_of_facts(judged(made, 0.7, 0.6, 199).facts)[0]
    assert "0 customers" in cautions_of_facts(made.facts)[0]


def test_more_acceptances_are_not_asked_for(made: Model) -> None:
    judged_by = {"within_customer": None, "customers": 0, "standard_error": None, "not_accepted": 0}
    (caution,) = cautions_of_facts({**made.facts, "held_out_auc": judged_by})
    assert caution.startswith("not compared with popularity: the held-out labels are acceptances alone")
    (shown,) = cautions_of_facts({**made.facts, "held_out_auc": {**judged_by, "not_accepted": 5}})
    assert shown.startswith("hardly compared with popularity: 0 customers")


@pytest.mark.parametrize(("customers", "mine", "doubts"), [(50, 0.65, 0), (49, 0.65, 1), (50, 0.648, 1)])
def test_a_sure_winner_needs_fewer_judges(made: Model, customers: int, mine: float, doubts: int) -> None:
    facts = judged(made, mine, 0.6, customers).facts
    paired = {**facts, "popularity_auc": {"within_customer": 0.6, "difference_error": 0.0245}}
    assert len(cautions_of_facts(paired)) == doubts


def test_one_order_for_all_is_a_caution(made: Model) -> None:
    facts = judged(made, 0.7, 0.6).facts
    (caution,) = cautions_of_facts({**facts, "order_agreement": 0.9999})
    assert caution.startswith("the model ranks alike for all customers")
    assert cautions_of_facts({**facts, "order_agreement": 0.9998}) == []
    assert cautions_of_facts({**facts, "order_agreement": "much"}) == []


@pytest.mark.parametrize(("mine", "faults"), [(0.46, 0), (0.45, 1)])
def test_few_customers_judge_what_is_surely_worse(made: Model, good: Release, mine: float, faults: int) -> None:
    # 2 * sqrt(2) * 0.0525 = 0.1485
    assert len(faults_of(judged(made, mine, 0.6, 199, error=0.0525), good.catalog, [])) == faults


@pytest.mark.parametrize(("mine", "faults"), [(0.56, 0), (0.55, 1)])
def test_few_customers_judge_pair_by_pair(made: Model, good: Release, mine: float, faults: int) -> None:
    facts = judged(made, mine, 0.6, 199, error=0.0525).facts
    paired = {**facts, "popularity_auc": {**facts["popularity_auc"], "difference_error": 0.024}}  # type: ignore[dict-item]
    assert len(faults_of(replace(made, facts=paired), good.catalog, [])) == faults


def test_towers_unlike_the_trained_are_refused(made: Model, good: Release) -> None:
    (fault,) = faults_of(replace(made, facts={"parity_max_difference": 0.003}), good.catalog, [])
    assert fault == "the towers differ by up to 0.003 from those that were trained, at most 1e-05"


@pytest.mark.parametrize(
    "facts",
    [
        {"parity_max_difference": "much"},
        {"golden": 5},
        {"golden": {"user_tower": {"features": [{}]}}},
        {"held_out_auc": 0.7},
        {"held_out_auc": {"within_customer": "0.7"}, "popularity_auc": {"within_customer": 0.6}},
    ],
)
def test_facts_of_another_form_are_refused(made: Model, good: Release, facts: dict[str, object]) -> None:
    with pytest.raises(BadModel, match="facts cannot be read"):
        faults_of(replace(made, facts=facts), good.catalog, [])
    assert cautions_of_facts(facts)


@pytest.mark.parametrize(("high", "faults"), [(-0.01, 1), (0.01, 0)])
def test_a_surely_worse_reranker_is_a_fault(good: Release, high: float, faults: int) -> None:
    figure = {"towers": {"value": 0.8}, "both": {"value": 0.7}, "above": {"high": high}}
    better = {"towers": {"value": 0.8}, "both": {"value": 0.9}, "above": {"high": 0.2}}
    judged: dict[str, object] = {"reranker": {"judged": {"requests": 1_200, "ndcg": figure, "auc": better}}}
    made = replace(reranked_model(1, network()), facts=judged)
    assert (
        faults_of(made, good.catalog, [])
        == ["the re-ranker ranks worse than the towers alone: nDCG@10 0.7000 against 0.8000 on 1,200 requests"][:faults]
    )
