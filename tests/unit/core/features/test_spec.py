"""Feature dicts to arrays: kinds, what is missing, what was never seen, and what is of the wrong kind."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.features.slots import hashed_rows
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Inputs, Number, Vector
from stream_scorer.errors import BadModel

SPEC = FeatureSpec(
    "customer",
    (
        Category("customer_id", ("ann", "bob"), buckets=8, from_id=True),
        Category("segment", ("gold", "tin"), buckets=4),
        Category("member", (False, True)),
        Bag("lately", ("a", "b"), buckets=4),
        Number("age", mean=40.0, scale=0.1, indicator=True),
        Number("spend", log=True),
        Vector("taste", (1.0, 2.0), (1.0, 0.5), indicator=True),
    ),
)
FEATURES = {"segment": "tin", "member": True, "lately": ["b", "a"], "age": 50, "spend": 0.0, "taste": [2.0, 4.0]}
ID, SEGMENT, MEMBER, LATELY = range(4)


def slot_rows(inputs: Inputs, row: int, slot: int) -> list[int]:
    """Return rows of one slot, counted from its first."""
    ends = [*inputs.starts.tolist(), len(inputs.rows)]
    at = row * len(SPEC.slots) + slot
    return [one - SPEC.first_rows[slot] for one in inputs.rows[ends[at] : ends[at + 1]].tolist()]


def encode_one(features: dict[str, Any], name: str = "ann") -> Inputs:
    return SPEC.encode([features], [name])


def test_known_values_take_their_vocabulary_rows() -> None:
    inputs = encode_one(FEATURES)
    assert [slot_rows(inputs, 0, slot) for slot in range(4)] == [[1], [2], [2], [2, 1]]


def test_numbers_are_standardised() -> None:
    assert encode_one(FEATURES).numbers.tolist() == [[1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(FEATURES), {"lately": []}])
def test_missing_values_have_a_row_and_indicator(absent: dict[str, Any]) -> None:
    inputs = encode_one(absent)
    assert [slot_rows(inputs, 0, slot) for slot in (SEGMENT, MEMBER, LATELY)] == [[0], [0], [0]]
    assert inputs.numbers.tolist() == [[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]]
    assert inputs.errors == ()


def test_nan_is_missing() -> None:
    assert encode_one({"age": float("nan")}).numbers[0, :2].tolist() == [0.0, 1.0]


def test_unseen_values_share_hashed_rows_only() -> None:
    rows = slot_rows(encode_one({"segment": "platinum"}), 0, SEGMENT)
    assert len(rows) == 2
    assert min(rows) > 2


def test_an_unseen_value_without_buckets_is_missing() -> None:
    spec = FeatureSpec("offer", (Category("colour", ("red",)),))
    assert spec.encode([{"colour": "blue"}], ["o"]).rows.tolist() == [0]


def test_hash_of_unseen_values_never_changes() -> None:
    assert slot_rows(encode_one({}, "zoë"), 0, ID) == [5, 6]


def test_known_and_unseen_bag_elements_weigh_equally() -> None:
    rows = slot_rows(encode_one({"lately": ["a", "new"]}), 0, LATELY)
    assert rows[:2] == [1, 1]
    assert len(rows) == 4


def test_the_id_is_read_beside_the_features() -> None:
    inputs = SPEC.encode([{"customer_id": "bob"}, {}], ["ann", "bob"])
    assert [slot_rows(inputs, row, ID) for row in (0, 1)] == [[1], [2]]


def test_dropped_ids_equal_unseen_ids_at_serving() -> None:
    spec = FeatureSpec("customer", (Category("customer_id", ("ann",), buckets=8, from_id=True),))
    unknowing = FeatureSpec("customer", (Category("customer_id", ("bob",), buckets=8, from_id=True),))
    assert hashed_rows(spec.slots[0], 0)[0].tolist() == unknowing.encode([{}], ["ann"]).rows.tolist()


@pytest.mark.parametrize(
    ("name", "wrong", "code"),
    [
        ("age", "50", "feature_kind"),
        ("age", [1.0], "feature_kind"),
        ("age", float("inf"), "feature_kind"),
        ("age", {"a": 1}, "feature_kind"),
        ("segment", 3.0, "feature_kind"),
        ("segment", True, "feature_kind"),
        ("segment", ["gold"], "feature_kind"),
        ("member", 1, "feature_kind"),
        ("member", "true", "feature_kind"),
        ("lately", "ab", "feature_kind"),
        ("lately", [1.0], "feature_kind"),
        ("lately", ["a", None], "feature_kind"),
        ("lately", [["a"]], "feature_kind"),
        ("taste", [1.0], "feature_vector_length"),
        ("taste", [1.0, 2.0, 3.0], "feature_vector_length"),
        ("taste", [], "feature_vector_length"),
        ("taste", ["1", "2"], "feature_kind"),
        ("taste", [1.0, True], "feature_kind"),
        ("taste", [1.0, float("inf")], "feature_kind"),
        ("taste", 1.0, "feature_kind"),
    ],
)
def test_a_wrong_kind_fails_its_row_alone(name: str, wrong: object, code: str) -> None:
    good = encode_one(FEATURES)
    inputs = SPEC.encode([FEATURES, {**FEATURES, name: wrong}, FEATURES], ["ann"] * 3)
    assert [(error.index, error.code) for error in inputs.errors] == [(1, code)]
    assert repr(wrong) not in inputs.errors[0].message
    assert np.isfinite(inputs.numbers).all()
    assert inputs.numbers[[0, 2]].tolist() == good.numbers.tolist() * 2
    assert [slot_rows(inputs, 2, slot) for slot in range(4)] == [slot_rows(good, 0, slot) for slot in range(4)]


def test_numbers_are_placed_between_their_knots() -> None:
    spec = FeatureSpec("offer", (Number("price", indicator=True, clip=1.0, knots=(0.0, 10.0, 30.0)),))
    inputs = spec.encode([{"price": price} for price in (-999.0, 5.0, 15.0, 1e308, None)], [""] * 5)
    assert inputs.numbers[:, 1:3].tolist() == [[0.0, 0.0], [0.5, 0.0], [1.0, 0.25], [1.0, 1.0], [0.0, 0.0]]
    assert inputs.numbers[:, 3].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_outlying_numbers_are_clipped_to_the_scale() -> None:
    spec = FeatureSpec("offer", (Number("price", scale=1e300, clip=8.0), Number("size", scale=1e300)))
    numbers = spec.encode([{"price": 1e300, "size": -1e300}], ["o"]).numbers[0]
    assert numbers[0] == 8.0
    assert np.isfinite(numbers.astype(np.float32)).all()


values = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=4),
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=4),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
)
customers = st.dictionaries(st.sampled_from(sorted(FEATURES)), values, max_size=6)


@given(st.lists(customers, min_size=1, max_size=6))
def test_encoding_does_not_depend_on_the_batch(batch: list[dict[str, Any]]) -> None:
    together = SPEC.encode(batch, ["ann"] * len(batch))
    for row, features in enumerate(batch):
        alone = encode_one(features)
        assert together.numbers[row].tobytes() == alone.numbers[0].tobytes()
        assert [slot_rows(together, row, slot) for slot in range(4)] == [slot_rows(alone, 0, slot) for slot in range(4)]
        assert [error.message for error in together.errors if error.index == row] == [
            error.message for error in alone.errors
        ]


@given(st.lists(customers, min_size=1, max_size=6))
def test_slots_are_never_empty_nor_nan(batch: list[dict[str, Any]]) -> None:
    inputs = SPEC.encode(batch, ["new"] * len(batch))
    assert (np.diff(inputs.starts, append=len(inputs.rows)) > 0).all()
    assert inputs.rows.min() >= 0
    assert inputs.rows.max() < SPEC.table_rows
    assert np.isfinite(inputs.numbers).all()


def test_an_empty_batch_is_empty_arrays() -> None:
    inputs = SPEC.encode([], [])
    assert (len(inputs.rows), len(inputs.starts), inputs.numbers.shape) == (0, 0, (0, 6))


def test_a_spec_survives_json() -> None:
    assert FeatureSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_specs_of_unknown_shape_are_bad_models() -> None:
    with pytest.raises(BadModel, match="hologram"):
        FeatureSpec.from_json({"side": "offer", "inputs": [{"kind": "hologram", "name": "x"}]})


PRICE = FeatureSpec("offer", (Number("price", reading="text", indicator=True, sentinels=(-1.0,)),))


def test_serving_reads_number_texts_as_training() -> None:
    made = PRICE.encode([{"price": "2.5"}, {"price": 2.5}, {"price": "NA"}, {"price": None}, {"price": "-1"}], [""] * 5)
    assert made.numbers.tolist() == [[2.5, 0.0], [2.5, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    assert made.errors == ()


@pytest.mark.parametrize("value", ["2,5", True, ["2.5"], [2.5]])
def test_values_that_are_no_numbers_are_errors(value: object) -> None:
    made = PRICE.encode([{"price": value}], [""])
    assert made.numbers.tolist() == [[0.0, 1.0]]
    assert "feature 'price' must be a number, or its text" in made.errors[0].message
    assert "2,5" not in made.errors[0].message


def test_dates_are_read_as_days_alone() -> None:
    spec = FeatureSpec("offer", (Number("since", reading="date"),))
    made = spec.encode([{"since": "1970-01-11"}, {"since": 10.0}, {"since": "soon"}], [""] * 3)
    assert made.numbers[:, 0].tolist() == [10.0, 0.0, 0.0]
    assert [error.index for error in made.errors] == [1, 2]


def test_codes_are_whole_numbers_and_nothing_else() -> None:
    spec = FeatureSpec("offer", (Category("genre", ("3", "7"), whole=True),))
    made = spec.encode(
        [{"genre": 7}, {"genre": 3.0}, {"genre": None}, {"genre": float("nan")}, {"genre": "7"}, {"genre": 2.5}],
        [""] * 6,
    )
    assert made.rows.tolist() == [2, 1, 0, 0, 0, 0]
    assert [error.index for error in made.errors] == [4, 5]


def test_ways_of_reading_survive_as_json() -> None:
    spec = FeatureSpec("offer", (*PRICE.inputs, Category("genre", ("3",), whole=True), Number("age")))
    stored = spec.to_json()
    assert FeatureSpec.from_json(stored) == spec
    assert {"reading", "sentinels"}.isdisjoint(stored["inputs"][2])
