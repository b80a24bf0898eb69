"""Slices of what is judged: counts that add up, and a figure for each value of a feature."""

from dataclasses import replace

import numpy as np

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.figures import Slices
from stream_scorer.core.evaluation.judging import ScoredRows
from stream_scorer.core.evaluation.model_quality import rank_catalog
from stream_scorer.core.features.slots import Category
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.inspecting.slices import slices
from stream_scorer.core.towers.tower import Tower
from tests.example_samples import Chunks, tastes_meet
from tests.judged_samples import judged_tastes, taste_model


def found_of(judged: ScoredRows, *features: str) -> Slices:
    found = slices(judged, rank_catalog(judged, 4), 4, features)
    assert found is not None
    return found


def test_slices_of_a_feature_add_up() -> None:
    judged = judged_tastes()
    found = found_of(judged, "likes", "age").slices
    by_feature = {name: [one for one in found if one.feature == name] for name in ("likes", "age")}
    assert [one.value for one in by_feature["likes"]] == ["sweet", "salty", "sour"]
    assert all(sum(one.rows for one in of) == len(judged.rows) for of in by_feature.values())
    assert len(by_feature["age"]) == 4


def test_rare_values_share_a_slice() -> None:
    part, made = tastes_meet(3_000, seed=5).parts[0], taste_model()
    spec = FeatureSpec("customer", (Category("town", tuple(f"t{row}" for row in range(40))),))
    made = replace(made, user_tower=Tower(spec, np.ones((41, 4), np.float32), "concat", ()))
    towns = [{"town": f"t{row % 40}"} for row in range(len(part.customers.ids))]
    labels = Chunks((replace(part, customers=Views(part.customers.ids, towns)),))
    judged = judged_tastes(made, labels)
    by_town = [one for one in found_of(judged, "town").slices if one.feature == "town"]
    assert len(by_town) == 9
    assert by_town[-1].value == "32 other values"
    assert sum(one.rows for one in by_town) == len(judged.rows)


def test_slices_compare_with_popularity() -> None:
    for one in found_of(judged_tastes(), "likes").slices:
        assert one.above_popularity is not None
        assert one.above_popularity.low > 0


def test_failures_of_one_value_show() -> None:
    part = tastes_meet(3_000, seed=5).parts[0]
    turned = np.where(part.customer % 3 == 1, 1 - part.accepted, part.accepted)  # those who like salty, turned round
    labels = Chunks((replace(part, accepted=turned.astype(np.int8)),))
    figures = {one.value: one.model for one in found_of(judged_tastes(labels=labels), "likes").slices}
    low, high = figures["salty"], figures["sweet"]
    assert low is not None
    assert high is not None
    assert low.high + 0.2 < high.low


def test_few_customers_get_no_interval() -> None:
    part = tastes_meet(2_000, seed=5).parts[0]
    likes = [{"likes": "sour" if row == 2 else "sweet"} for row in range(60)]
    labels = Chunks((replace(part, customers=Views(part.customers.ids, likes)),))
    sour = next(one for one in found_of(judged_tastes(labels=labels), "likes").slices if one.value == "sour")
    assert (sour.customers, sour.model, sour.above_popularity) == (1, None, None)


def test_new_customers_are_a_slice() -> None:
    part = tastes_meet(2_000, seed=5).parts[0]
    ids = [f"new-{row}" if row < 30 else one for row, one in enumerate(part.customers.ids)]
    labels = Chunks((replace(part, customers=Views(ids, part.customers.features)),))
    found = {(one.feature, one.value): one.customers for one in found_of(judged_tastes(labels=labels)).slices}
    assert found == {
        ("customers", "known from before"): 30,
        ("customers", "new"): 30,
        ("offers", "known from before"): 60,
    }


def test_accepted_only_logs_are_sliced_by_rankings() -> None:
    found = found_of(judged_tastes(labels=tastes_meet(2_000, seed=5, only_accepted=True)), "likes")
    assert found.figure == "nDCG@4"
    assert all(one.above_popularity is not None and one.above_popularity.low > 0 for one in found.slices)
