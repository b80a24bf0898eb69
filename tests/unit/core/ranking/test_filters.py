from typing import Any

import numpy as np
import pytest

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


def test_all_filters_must_match() -> None:
    assert matching(catalog_with(OFFERS), Filter("price", ">", 0.0), Filter("brand", "!=", "acme")) == "b"


def test_equal_filters_share_a_mask() -> None:
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
def test_incomparable_kinds_are_refused(attribute: str, op: Any, value: Any, message: str) -> None:
    refusal = filter_refusal([Filter("price", "<", 5.0), Filter(attribute, op, value)], catalog_with(OFFERS))
    assert refusal is not None
    assert (refusal.code, refusal.message) == ("filter_kind_mismatch", message)


@pytest.mark.parametrize(
    "condition",
    [Filter("price", "==", "x"), Filter("nothing", "==", "x"), Filter("new", "in", []), Filter("tags", "==", "z")],
)
def test_one_comparable_offer_is_enough(condition: Filter) -> None:
    assert filter_refusal([condition], catalog_with(OFFERS)) is None


def test_unknown_attributes_take_no_memory() -> None:
    catalog = catalog_with(OFFERS)
    column_of(catalog, "made up")
    kept = len(catalog.derived)
    assert [column_of(catalog, f"made up {number}") for number in range(9)] == [None] * 9
    assert len(catalog.derived) == kept
    assert column_of(catalog, "price") is column_of(catalog, "price")
