"""Specs derived from data."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number, Vector
from stream_scorer.core.features.stats import FeatureStats, SpecOptions
from stream_scorer.errors import UsageError

FEATURES_ONLY = SpecOptions(id_feature=False, count_min=1)


def spec_of(rows: list[dict[str, Any]], options: SpecOptions = FEATURES_ONLY) -> FeatureSpec:
    stats = FeatureStats("customer")
    stats.add(rows, [f"c{number % 3}" for number in range(len(rows))])
    return stats.spec(options)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5], Number),
        (["a", "b"], Category),
        ([True, False], Category),
        ([["a"], ["b"]], Bag),
        ([[1.0, 2.0], [3, 4]], Vector),
    ],
)
def test_kinds_follow_from_values(values: list[Any], kind: type) -> None:
    assert [type(one) for one in spec_of([{"x": value} for value in values]).inputs] == [kind]


@pytest.mark.parametrize(
    "values",
    [
        [1.0, "1"],
        [True, 1.0],
        ["a", ["a"]],
        [["a"], [1.0]],
        [["a", 1.0]],
        [[1.0], 1.0],
        [[], "a"],
        [{"a": 1}],
        [[True]],
    ],
)
def test_mixed_kinds_are_refused_with_their_counts(values: list[Any]) -> None:
    with pytest.raises(UsageError, match=r"feature 'x' of customers must be of one kind .*\(1\)"):
        spec_of([{"x": value} for value in values])


def test_vectors_of_several_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match=r"one length, got \[1, 2\]"):
        spec_of([{"x": [1.0]}, {"x": [1.0, 2.0]}])


def test_numbers_are_scaled_by_their_quartiles() -> None:
    numbers = (
        spec_of([{"x": value} for value in (10.0, 20.0, 30.0)]).encode([{"x": 20.0}, {"x": 30.0}], ["", ""]).numbers
    )
    assert np.allclose(numbers[:, 0], [0.0, 1.349])


def test_sentinels_squeeze_no_other_numbers() -> None:
    values = [float(value) for value in range(100)] + [-999.0] * 10
    numbers = spec_of([{"x": value} for value in values]).encode([{"x": 0.0}, {"x": 99.0}], ["", ""]).numbers
    assert numbers[1, 0] - numbers[0, 0] > 2.0


def test_half_of_equal_values_scales_by_deviation() -> None:
    values = [0.0] * 60 + [1.0, 2.0, 3.0, 4.0]
    one = spec_of([{"x": value} for value in values]).inputs[0]
    assert isinstance(one, Number)
    assert 0.0 < one.scale < np.inf


def test_knots_are_quantiles_of_the_numbers() -> None:
    one = spec_of([{"x": float(value)} for value in range(801)]).inputs[0]
    assert isinstance(one, Number)
    assert one.knots == tuple(float(knot) for knot in range(0, 801, 100))


def test_few_numbers_are_knots_themselves() -> None:
    one, two = spec_of([{"x": float(row % 3), "y": float(row % 2)} for row in range(12)]).inputs
    assert (one.knots, two.knots) == ((0.0, 1.0, 2.0), ())  # type: ignore[union-attr]


def test_far_off_numbers_keep_their_spread() -> None:
    times = [1.7e12 + step for step in range(10)]
    numbers = (
        spec_of([{"x": value} for value in times]).encode([{"x": value} for value in times], [""] * 10).numbers[:, 0]
    )
    assert np.isclose(numbers.max() - numbers.min(), 2 * 1.349)


def test_skewed_numbers_are_taken_by_their_logarithm() -> None:
    prices = np.exp(np.random.default_rng(0).normal(3, 1.5, 500))
    one, sentinels = spec_of(
        [{"x": float(price), "y": float(price)} for price in prices] + [{"x": 9.0, "y": -1.0}] * 20
    ).inputs
    assert isinstance(one, Number)
    assert one.log
    assert sentinels.log  # type: ignore[union-attr]


def test_statistics_do_not_depend_on_batching() -> None:
    rows = [{"x": float(value), "c": str(value % 4), "b": [str(value % 3)]} for value in range(40)]
    parts = FeatureStats("customer")
    for start in range(0, 40, 7):
        parts.add(rows[start : start + 7], [str(number) for number in range(start, min(40, start + 7))])
    whole = FeatureStats("customer")
    whole.add(rows, [str(number) for number in range(40)])
    assert repr(parts.spec(SpecOptions())) == repr(whole.spec(SpecOptions()))


def test_indicators_exist_where_values_were_missing() -> None:
    one, other = spec_of([{"x": 1.0, "y": 1.0}, {"x": None, "y": 2.0}, {"x": 2.0, "y": 0.0}]).inputs
    assert (one.indicator, other.indicator) == (True, False)  # type: ignore[union-attr]


def test_features_that_never_vary_are_left_out() -> None:
    assert [
        one.name for one in spec_of([{"x": 1.0, "y": 1.0, "z": None, "c": "a"}, {"x": 2.0, "y": 1.0, "c": "a"}]).inputs
    ] == ["x"]


def test_nothing_that_varies_is_refused() -> None:
    with pytest.raises(UsageError, match="no feature that varies"):
        spec_of([{"x": 1.0}, {"x": 1.0}])


def test_rare_values_stay_out_of_the_vocabulary() -> None:
    one = spec_of([{"c": value} for value in "aaabbc"], SpecOptions(id_feature=False, count_min=2)).inputs[0]
    assert isinstance(one, Category)
    assert one.vocabulary == ("a", "b")
    assert one.buckets >= 4


def test_row_weights_count_towards_their_values() -> None:
    stats = FeatureStats("offer")
    stats.add([{"c": "a"}, {"c": "b"}], ["o1", "o2"], [5, 1])
    one = stats.spec(SpecOptions(id_feature=False, count_min=2)).inputs[0]
    assert isinstance(one, Category)
    assert one.vocabulary == ("a",)


def test_ids_are_inputs_when_asked_for() -> None:
    one = spec_of([{} for _ in range(9)], SpecOptions(id_feature=True, id_count_min=2)).inputs[0]
    assert isinstance(one, Category)
    assert (one.name, one.from_id, one.vocabulary) == ("customer_id", True, ("c0", "c1", "c2"))


def test_rare_ids_stay_without_other_features() -> None:
    stats = FeatureStats("customer")
    stats.add([{}, {}, {}], ["a", "b", "a"], [5, 1, 1])
    assert [one.vocabulary for one in stats.spec(SpecOptions()).inputs if isinstance(one, Category)] == [("a", "b")]


def test_numbers_in_text_scale_like_numbers() -> None:
    prices = [round(1.5 + 0.25 * step, 2) for step in range(40)]
    of_text = spec_of([{"x": str(price)} for price in prices]).inputs[0]
    of_numbers = spec_of([{"x": price} for price in prices]).inputs[0]
    assert isinstance(of_text, Number)
    assert replace(of_text, reading="plain") == of_numbers


def test_a_sentinel_leaves_the_scale_alone() -> None:
    prices = np.exp(np.random.default_rng(0).normal(3, 1.5, 500)).tolist()
    clean, spoiled = (spec_of([{"x": price} for price in each]).inputs[0] for each in (prices, [*prices, -999.0]))
    assert isinstance(clean, Number)
    assert spoiled == replace(clean, sentinels=(-999.0,), indicator=True)


def test_codes_are_categories_of_whole_numbers() -> None:
    one = spec_of([{"genre_code": number % 5} for number in range(50)]).inputs[0]
    assert isinstance(one, Category)
    assert (one.whole, sorted(map(str, one.vocabulary))) == (True, ["0", "1", "2", "3", "4"])


def test_mixed_features_are_described_alike() -> None:
    stats = FeatureStats("offer")
    stats.add([{"x": "a"}, {"x": 1.0}, {"x": True}, {"x": ["a"]}], ["1", "2", "3", "4"])
    assert stats.column_lines() == ["offer.x: bool, 2 distinct"]


def test_numbers_in_text_weigh_by_their_rows() -> None:
    prices = ["1.5"] * 60 + ["2.5"] * 20 + ["4.5"] * 20
    of_text, of_numbers = (spec_of([{"x": kind(price)} for price in prices]).inputs[0] for kind in (str, float))
    assert isinstance(of_text, Number)
    assert replace(of_text, reading="plain") == of_numbers


def test_sentinels_count_as_missing_where_stated() -> None:
    stats = FeatureStats("offer")
    stats.add([{"x": float(number)} for number in range(15)] + [{"x": -999.0}] * 5, [str(row) for row in range(20)])
    (stated,) = stats.stated(stats.spec(FEATURES_ONLY))
    assert (stated.name, stated.missing, stated.distinct) == ("offer.x", 0.25, 16)
