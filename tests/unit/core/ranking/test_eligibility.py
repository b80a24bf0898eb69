from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import CustomerRequest, Filter, Offer
from stream_scorer.core.ranking.eligibility import RULES, EligibleOffers, choose
from stream_scorer.core.releases.catalog import Catalog
from tests.ranking_worlds import TIME_MS, catalog_of, offer, request

CHEAP = Filter("price", "<", 5.0)


def small_catalog() -> Catalog:
    return made_of(
        offer("cheap", features={"price": 1.0}),
        offer("dear", features={"price": 9.0}),
        offer("off", active=False, features={"price": 1.0}, valid_until_ms=0),
        offer("soon", valid_from_ms=TIME_MS + 1, features={"price": 1.0}),
        offer("now", valid_from_ms=TIME_MS, valid_until_ms=TIME_MS + 1, features={"price": 9.0}),
        offer("over", valid_until_ms=TIME_MS, features={"price": 1.0}),
    )


def made_of(*offers: Offer) -> Catalog:
    return catalog_of(np.zeros((len(offers), 1)), offers)


def eligible(choices: EligibleOffers, catalog: Catalog, number: int) -> list[str]:
    """Return the offers that a request may choose from, wherever the choices keep them."""
    rows = choices.listed.where(choices.listed.requests == number).rows.tolist()
    for group in choices.groups:
        if number in group.requests:
            everything = np.ones(len(catalog), bool) if group.mask is None else group.mask.copy()
            everything[choices.excluded.of([number]).rows] = False
            rows += np.flatnonzero(everything).tolist()
    return [catalog.offer_ids[row] for row in sorted(rows)]


def taken(choices: EligibleOffers, number: int) -> dict[str, int]:
    return {rule: count for rule, count in zip(RULES, choices.taken_counts[number].tolist(), strict=True) if count}


def judge(one: CustomerRequest, catalog: Catalog) -> tuple[list[str], dict[str, int], int]:
    choices = choose([one], catalog)
    return eligible(choices, catalog, 0), taken(choices, 0), int(choices.eligible_counts[0])


def test_each_rule_narrows_the_whole_catalog() -> None:
    asked = request(exclude=["dear", "unheard of"], filters=[CHEAP])
    assert judge(asked, small_catalog()) == (
        ["cheap"],
        {"inactive": 1, "not_yet_valid": 1, "expired": 1, "excluded": 1, "filtered": 1},
        1,
    )


def test_each_rule_narrows_a_list() -> None:
    asked = request(
        offers=["dear", "cheap", "cheap", "off", "soon", "over", "now", "x", "x"], exclude=["dear"], filters=[CHEAP]
    )
    expected = {"unknown_offer": 1, "inactive": 1, "not_yet_valid": 1, "expired": 1, "excluded": 1, "filtered": 1}
    assert judge(asked, small_catalog()) == (["cheap"], expected, 1)


def test_the_first_rule_counts_an_offer() -> None:
    catalog = made_of(offer("a", active=False, valid_from_ms=TIME_MS + 1), offer("b", features={"price": 9.0}))
    for offers in (None, ["a", "b"]):
        assert judge(request(offers=offers, exclude=["a", "b"], filters=[CHEAP]), catalog) == (
            [],
            {"inactive": 1, "excluded": 1},
            0,
        )


def test_validity_is_judged_by_request_time() -> None:
    catalog = small_catalog()
    choices = choose([request(event_time_ms=TIME_MS + shift) for shift in (-1, 0, 1)], catalog)
    assert [eligible(choices, catalog, number) for number in range(3)] == [
        ["cheap", "dear", "over"],
        ["cheap", "dear", "now"],
        ["cheap", "dear", "soon"],
    ]


def test_an_empty_list_is_nothing_eligible() -> None:
    catalog = made_of(offer("a"))
    assert judge(request(offers=[]), catalog) == ([], {}, 0)
    assert judge(request(offers=None), catalog) == (["a"], {}, 1)


def test_a_catalog_without_bounds_needs_no_mask() -> None:
    assert choose([request()], made_of(offer("a"), offer("b"))).groups[0].mask is None


def test_requests_alike_share_a_group() -> None:
    catalog = made_of(*(offer(f"{row:03d}", features={"price": float(row)}) for row in range(200)))
    wide, narrow = [Filter("price", "<", 100.0)], [Filter("price", "<", 4.0)]
    choices = choose(
        [
            request(0),
            request(1, filters=wide),
            request(2, filters=narrow, exclude=["001"]),
            request(3, filters=wide),
            request(4),
        ],
        catalog,
    )
    assert [group.requests.tolist() for group in choices.groups] == [[0, 4], [1, 3]]
    assert eligible(choices, catalog, 2) == ["000", "002", "003"]


_times = st.none() | st.integers(0, 4)
_offers = st.lists(
    st.fixed_dictionaries(
        {
            "active": st.booleans(),
            "valid_from_ms": _times,
            "valid_until_ms": _times,
            "features": st.sampled_from([{}, {"price": 1.0}, {"price": 9.0}]),
        }
    ),
    min_size=1,
    max_size=40,
)
_ids = st.lists(st.integers(0, 42).map(str), max_size=12)
_requests = st.lists(
    st.fixed_dictionaries(
        {
            "event_time_ms": st.integers(0, 4),
            "offers": st.none() | _ids,
            "exclude": _ids,
            "filters": st.sampled_from([[], [CHEAP]]),
        }
    ),
    min_size=1,
    max_size=6,
)


def first_rule(asked: CustomerRequest, stated: Offer | None) -> str | None:
    """Say the rules one offer at a time."""
    if stated is None:
        return "unknown_offer"
    rules = {
        "inactive": not stated.active,
        "not_yet_valid": stated.valid_from_ms is not None and asked.event_time_ms < stated.valid_from_ms,
        "expired": stated.valid_until_ms is not None and asked.event_time_ms >= stated.valid_until_ms,
        "excluded": stated.offer_id in asked.exclude,
        "filtered": bool(asked.filters) and stated.features != {"price": 1.0},
    }
    return next((rule for rule, takes in rules.items() if takes), None)


@given(_offers, _requests)
@settings(max_examples=80)
def test_any_batch_agrees_with_single_offers(drawn: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    stated = {str(row): offer(str(row), **fields) for row, fields in enumerate(drawn)}
    catalog, requests = made_of(*stated.values()), [request(number, **fields) for number, fields in enumerate(asked)]
    choices = choose(requests, catalog)
    for number, one in enumerate(requests):
        candidates = sorted(stated if one.offers is None else set(one.offer_ids))
        rules = {each: first_rule(one, stated.get(each)) for each in candidates}
        assert eligible(choices, catalog, number) == [each for each, rule in rules.items() if rule is None]
        assert choices.eligible_counts[number] + choices.taken_counts[number].sum() == len(candidates)
        assert taken(choices, number) == {
            rule: list(rules.values()).count(rule) for rule in RULES if rule in rules.values()
        }
