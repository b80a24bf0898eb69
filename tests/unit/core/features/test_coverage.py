"""Which features of a model a batch states."""

from typing import Any

import pytest

from stream_scorer.core.features.coverage import (
    UNKNOWN_NAMES_MAX,
    FeatureCoverage,
    cautions_of,
    coverage_of,
    reason_blind,
)
from stream_scorer.core.features.spec import Bag, Category, FeatureSpec, Number, Vector

SPEC = FeatureSpec(
    "customer",
    (
        Category("customer_id", ("c1",), from_id=True),
        Number("age"),
        Category("city", ("Bern", "Rome")),
        Bag("taken", ("a", "b")),
        Vector("taste", (0.0, 0.0), (1.0, 1.0)),
    ),
)
WHOLE: dict[str, Any] = {"age": 30, "city": "Bern", "taken": ["a"], "taste": [0.5, 1.0]}


def covered(*rows: dict[str, Any]) -> FeatureCoverage:
    errors = SPEC.encode(rows, [f"c{number}" for number in range(len(rows))]).errors
    return coverage_of(SPEC, rows, errors)


def test_a_batch_that_states_everything_lacks_nothing() -> None:
    found = covered(WHOLE, WHOLE)
    assert (found.read, found.rows) == (("age", "city", "taken", "taste"), 2)
    assert (found.missing, found.other_kind, found.unknown, cautions_of(found)) == ({}, {}, {}, [])


def test_absent_and_null_values_are_missing() -> None:
    found = covered(WHOLE, {**WHOLE, "age": None}, {"age": 1, "city": "Rome", "taken": [], "taste": None})
    assert found.missing == {"age": 1, "taste": 1}
    assert found.present("age") == 2


def test_names_of_other_case_are_unknown() -> None:
    found = covered({"Age": 30, "city": "Bern", "taken": [], "taste": [0, 0]})
    assert (found.missing, found.unknown, found.unknown_values) == ({"age": 1}, {"Age": 1}, 1)


def test_every_wrong_kind_of_a_row_counts() -> None:
    found = covered({**WHOLE, "age": "30", "city": 5, "taken": "a", "taste": [1.0]}, WHOLE)
    assert found.other_kind == {"age": 1, "city": 1, "taken": 1, "taste": 1}
    assert (found.missing, found.present("age")) == ({}, 1)


def test_coverages_add_up() -> None:
    one, other = covered(WHOLE, {"Age": 1}), covered({**WHOLE, "age": "x"}, {})
    assert one.plus(other) == covered(WHOLE, {"Age": 1}, {**WHOLE, "age": "x"}, {})


def test_unknown_names_are_bounded_but_all_count() -> None:
    found = covered({**WHOLE, **{f"x{number}": 1 for number in range(100)}})
    assert (len(found.unknown), found.unknown_values) == (UNKNOWN_NAMES_MAX, 100)


def test_half_missing_is_not_mostly_missing() -> None:
    lacking = {name: value for name, value in WHOLE.items() if name != "age"}
    assert covered(WHOLE, lacking).mostly_missing() == []
    assert covered(WHOLE, lacking, lacking).mostly_missing() == ["age"]


@pytest.mark.parametrize("row", [{"features": "{}"}, {"features.age": 3}, {"Age": 1}, {"age": "old"}, {}])
def test_rows_without_any_feature_are_read_blindly(row: dict[str, Any]) -> None:
    reason = reason_blind(covered(row, row))
    assert reason is not None
    assert reason.startswith("0 of 4 features that the model reads are in the file (age, city, taken, taste)")


def test_few_readable_rows_do_not_excuse_others() -> None:
    assert reason_blind(covered(WHOLE, *[{} for _ in range(1_000)])) is not None
    assert reason_blind(covered(WHOLE, *[{} for _ in range(99)])) is None


def test_models_of_ids_alone_are_never_blind() -> None:
    ids = FeatureSpec("offer", (Category("offer_id", ("a",), from_id=True),))
    assert reason_blind(coverage_of(ids, [{"price": 1}])) is None


def test_cautions_name_each_fault_with_its_share() -> None:
    rows = [{"Age": 1, "city": 7}, *[{**WHOLE, "city": "Rome"}] * 3]
    assert cautions_of(covered(*rows)) == [
        (
            "3 of 4 customer features that the model reads are missing, of 4 rows: 'age' (25%), 'taken' (25%), "
            "'taste' (25%)"
        ),
        "customer features of another kind than the model reads: 'city' (1)",
        "customer features that the model does not read: 'Age'",
    ]
