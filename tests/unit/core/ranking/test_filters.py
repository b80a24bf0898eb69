import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.messages import Filter
from stream_scorer.core.ranking.filters import column_of, filter_masks, filter_refusal
from stream_scorer.core.releases.catalog import Catalog
from tests.ranking_worlds import catalog_of, offer

OFFERS: dict[str, dict[str, Any]] = {
    "a": {"price": 5.0, "brand": "acme", "new": True, "tags": ["x", "y"], "vector": [1.0]},
    "b": {"price": 10.0, "brand": "bolt", "new": False, "tags": []},
    "c": {"price": -1.0, "brand": "", "tags": ["y"]},
    "d": {},
    "e": {"price": None, "brand": None},
    "f": {"price": "five", "brand": 1.0},
}


def catalog_with(features: dict[str, dict[str, Any]]) -> Catalog:
    return catalog_of(
        np.zeros((len(features), 1)), [offer(offer_id, features=named) for offer_id, named in features.items()]
    )


def matching(catalog: Catalog, *filters: Filter) -> str:
    (mask,) = filter_masks([filters], catalog)
    assert mask is not None
    return "".join(catalog.offer_ids[row] for row in np.flatnonzero(mask))


@pytest.mark.parametrize(
    ("attribute", "op", "value", "expected"),
    [
        ("price", "==", 5.0, "a"),
        ("price", "!=", 5.0, "bc"),
        ("price", "<", 5.0, "c"),
        ("price", "<=", 5.0, "ac"),
        ("price", ">", 5.0, "b"),
        ("price", ">=", 5.0, "ab"),
        ("price", "in", [5.0, 10.0, 77.0], "ab"),
        ("price", "in", [], ""),
        ("price", "==", "five", "f"),
        ("brand", "==", "acme", "a"),
        ("brand", "==", "", "c"),
        ("brand", "!=", "acme", "bc"),
        ("brand", "!=", "unheard of", "abc"),
        ("brand", "<", "b", "ac"),
        ("brand", ">=", "acme", "ab"),
        ("brand", "in", ["acme", "bolt", "unheard of"], "ab"),
        ("new", "==", True, "a"),
        ("new", "!=", True, "b"),
        ("new", "==", False, "b"),
        ("tags", "==", "y", "ac"),
        ("tags", "!=", "x", "bc"),
        ("tags", "in", ["x", "z"], "a"),
        ("nothing", "==", 1.0, ""),
        ("nothing", "!=", 1.0, ""),
    ],
)
def test_a_filter_matches_these_offers(attribute: str, op: Any, value: Any, expected: str) -> None:
    assert matching(catalog_with(OFFERS), Filter(attribute, op, value)) == expected


def test_every_filter_of_an_expression_must_match() -> None:
    assert matching(catalog_with(OFFERS), Filter("price", ">", 0.0), Filter("brand", "!=", "acme")) == "b"


def test_equal_expressions_share_one_mask_and_none_has_none() -> None:
    filters = [Filter("price", ">", 0.0)]
    first, second, third = filter_masks([filters, [], list(filters)], catalog_with(OFFERS))
    assert first is third
    assert second is None


@pytest.mark.parametrize(
    ("attribute", "op", "value", "message"),
    [
        ("new", "==", 1.0, "filters[1]: new == cannot compare bool with number"),
        ("new", "==", "true", "filters[1]: new == cannot compare bool with text"),
        ("vector", "==", 1.0, "filters[1]: vector == cannot compare vector with number"),
        ("tags", "==", 1.0, "filters[1]: tags == cannot compare bag with number"),
        ("tags", "<", "y", "filters[1]: tags < cannot compare bag with text"),
        ("price", "==", True, "filters[1]: price == cannot compare number or text with bool"),
        ("tags", "in", [1.0], "filters[1]: tags in cannot compare bag with number"),
        ("new", "<", True, "filters[1]: new < cannot compare bool with bool"),
        ("nothing", ">", True, "filters[1]: nothing > cannot compare anything with bool"),
    ],
)
def test_a_filter_that_compares_what_cannot_be_compared_is_refused(
    attribute: str, op: Any, value: Any, message: str
) -> None:
    refusal = filter_refusal([Filter("price", "<", 5.0), Filter(attribute, op, value)], catalog_with(OFFERS))
    assert refusal is not None
    assert (refusal.code, refusal.message) == ("filter_kind_mismatch", message)


@pytest.mark.parametrize(
    "condition",
    [Filter("price", "==", "x"), Filter("nothing", "==", "x"), Filter("new", "in", []), Filter("tags", "==", "z")],
)
def test_one_offer_of_the_filters_kind_or_none_with_the_attribute_is_enough_to_compare(condition: Filter) -> None:
    assert filter_refusal([condition], catalog_with(OFFERS)) is None


_values = st.sampled_from([None, 1.0, 2.0, -0.0, 0.0, "", "a", "b", True, False, ["a"], ["a", "b"], [], [1.0]])
_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def matches(found: Any, op: str, value: Any) -> bool:
    """Say the rules one offer at a time."""
    if (
        isinstance(found, list)
        and all(isinstance(each, str) for each in found)
        and isinstance(value, str)
        and op not in _ORDERED
    ):
        return (value in found) == (op == "==")
    if type(found) is not type(value):
        return False
    return bool(_ORDERED.get(op, operator.eq if op == "==" else operator.ne)(found, value))


@given(
    st.lists(_values, min_size=1, max_size=8),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from([1.0, 0.0, "a", "b", True]),
)
def test_any_filter_matches_as_it_does_one_offer_at_a_time(values: list[Any], op: Any, value: Any) -> None:
    if value is True and op in _ORDERED:
        return
    catalog = catalog_with({f"{row}": {"x": found} for row, found in enumerate(values)})
    expected = "".join(str(row) for row, found in enumerate(values) if matches(found, op, value))
    assert matching(catalog, Filter("x", op, value)) == expected


def test_names_that_no_offer_has_leave_nothing_behind() -> None:
    catalog = catalog_with(OFFERS)
    column_of(catalog, "made up")
    kept = len(catalog.derived)
    assert [column_of(catalog, f"made up {number}") for number in range(9)] == [None] * 9
    assert len(catalog.derived) == kept
    assert column_of(catalog, "price") is column_of(catalog, "price")
