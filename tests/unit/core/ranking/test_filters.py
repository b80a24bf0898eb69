from typing import Any

import pytest

from stream_scorer.core.messages import Filter
from stream_scorer.core.ranking.filters import column_of, filter_masks, filter_refusal
from tests.ranking_worlds import UNEVEN_OFFERS, catalog_with, matching


def test_all_filters_must_match() -> None:
    assert matching(catalog_with(UNEVEN_OFFERS), Filter("price", ">", 0.0), Filter("brand", "!=", "acme")) == "b"


def test_equal_filters_share_a_mask() -> None:
    filters = [Filter("price", ">", 0.0)]
    first, second, third = filter_masks([filters, [], list(filters)], catalog_with(UNEVEN_OFFERS))
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
def test_incomparable_kinds_are_refused(attribute: str, op: Any, value: Any, message: str) -> None:
    refusal = filter_refusal([Filter("price", "<", 5.0), Filter(attribute, op, value)], catalog_with(UNEVEN_OFFERS))
    assert refusal is not None
    assert (refusal.code, refusal.message) == ("filter_kind_mismatch", message)


@pytest.mark.parametrize(
    "condition",
    [Filter("price", "==", "x"), Filter("nothing", "==", "x"), Filter("new", "in", []), Filter("tags", "==", "z")],
)
def test_one_comparable_offer_is_enough(condition: Filter) -> None:
    assert filter_refusal([condition], catalog_with(UNEVEN_OFFERS)) is None


def test_unknown_attributes_take_no_memory() -> None:
    catalog = catalog_with(UNEVEN_OFFERS)
    column_of(catalog, "made up")
    kept = len(catalog.derived)
    assert [column_of(catalog, f"made up {number}") for number in range(9)] == [None] * 9
    assert len(catalog.derived) == kept
    assert column_of(catalog, "price") is column_of(catalog, "price")
