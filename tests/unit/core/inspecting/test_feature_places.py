"""Features in encoded arrays: exchanged, grouped and read back as what was stated."""

from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import EncodedSide, side_of
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number, Vector
from stream_scorer.core.inspecting.feature_places import exchanged, grouped, places_of, texts

SPEC = FeatureSpec(
    "customer",
    (
        Category("id", ("c-1",), from_id=True),
        Number("age", mean=30.0, scale=0.1, indicator=True),
        Category("likes", ("sweet", "<b>"), buckets=2),
        Bag("lately", ("a", "b")),
        Vector("shape", (0.0, 0.0), (1.0, 1.0)),
        Number("born", reading="date", log=True),
    ),
)
ROWS: list[dict[str, Any]] = [
    {"age": 20, "likes": "sweet", "lately": ["a", "b", "a"], "shape": [1.0, 2.0], "born": "1970-02-01"},
    {"likes": "sour", "lately": [], "shape": [3.0, 4.0], "born": "1999-12-31"},
    {"age": 40.5, "likes": None, "lately": ["b"], "shape": [5.0, 6.0], "born": "2020-01-01"},
]


def encoded() -> EncodedSide:
    return side_of(SPEC, Views(["c-1", "c-2", "c-3"], ROWS))[0]


def test_texts_state_what_was_encoded() -> None:
    first = texts(encoded(), 0, places_of(SPEC))
    assert first == {
        "age": "20",
        "likes": "sweet",
        "lately": "a, b, a",
        "shape": "a vector of 2 numbers",
        "born": "1970-02-01",
    }


def test_missing_and_unseen_values_are_named() -> None:
    second = texts(encoded(), 1, places_of(SPEC))
    assert (second["age"], second["likes"], second["lately"]) == ("missing", "not known to the model", "missing")
    assert second["born"] == "1999-12-31"
    assert texts(encoded(), 2, places_of(SPEC))["likes"] == "missing"


@pytest.mark.parametrize("name", list(places_of(SPEC)))
def test_exchange_moves_one_feature_only(name: str) -> None:
    side, own, others = encoded(), np.array([0, 1, 2]), np.array([2, 0, 1])
    key = {"the customer's id": "id"}.get(name, name)
    rows = [{**mine, key: ROWS[other].get(key)} for mine, other in zip(ROWS, others, strict=True)]
    ids = ["c-3", "c-1", "c-2"] if key == "id" else ["c-1", "c-2", "c-3"]
    expected, made = SPEC.encode(rows, ids), exchanged(side, own, others, places_of(SPEC)[name])
    assert np.array_equal(made.rows, expected.rows)
    assert np.array_equal(made.starts, expected.starts)
    assert np.allclose(made.numbers, expected.numbers, rtol=1e-6)


def test_categories_are_grouped_by_value() -> None:
    found = grouped(encoded(), np.array([0, 1, 2, 0]), places_of(SPEC)["likes"][0])
    assert found is not None
    assert [found.names[code] for code in found.codes] == ["sweet", "not known to the model", "missing", "sweet"]


def test_numbers_are_grouped_by_quarters() -> None:
    spec = FeatureSpec("customer", (Number("age", mean=30.0, scale=0.1, indicator=True),))
    ages = [{"age": age} for age in range(20, 60)] + [{}]
    side = side_of(spec, Views([str(one) for one in range(41)], ages))[0]
    found = grouped(side, np.arange(41), places_of(spec)["age"][0])
    assert found is not None
    assert found.names == ("below 30", "30 to below 40", "40 to below 50", "50 and more", "missing")
    assert np.bincount(found.codes).tolist() == [10, 10, 10, 10, 1]


def test_few_numbers_make_fewer_groups() -> None:
    spec = FeatureSpec("customer", (Number("age"),))
    side = side_of(spec, Views(["a", "b"], [{"age": 7}, {"age": 7}]))[0]
    found = grouped(side, np.array([0, 1, 1]), places_of(spec)["age"][0])
    assert found is not None
    assert [found.names[code] for code in found.codes] == ["any", "any", "any"]


def test_bags_and_vectors_have_no_groups() -> None:
    places = places_of(SPEC)
    assert [grouped(encoded(), np.array([0]), places[name][0]) for name in ("lately", "shape")] == [None, None]
