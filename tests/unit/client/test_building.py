"""Requests and acceptances come out as the ranker reads them, or not at all."""

from typing import Any

import pytest

from stream_scorer.client import Filter, RankedOffer, Ranking, RequestedOffer, new_acceptance, new_request
from stream_scorer.errors import UsageError

SHOWN = RankedOffer("tea", 1, 0.5, 1.0, {})
RANKING = Ranking("q", "ada", 7, "r-1", "ranked", 1, {}, {}, [SHOWN])


def test_ids_and_times_are_made() -> None:
    first, second = new_request("ada", {}), new_request("ada", {})
    assert first.request_id != second.request_id
    assert first.event_time_ms > 1_700_000_000_000


def test_filters_may_be_mappings_or_messages() -> None:
    filters: list[Any] = [{"attribute": "price", "op": "<", "value": 3.0}, Filter("kind", "in", ["drink"])]
    assert [each.op for each in new_request("ada", {}, filters=filters).filters] == ["<", "in"]


def test_offers_may_be_ids_mappings_or_messages() -> None:
    priced = RequestedOffer("tea", {"price": 2.5})
    mapped: list[Any] = [{"offer_id": "tea", "features": {"price": 2.5}}]
    assert new_request("ada", {}, offers=mapped).offers == new_request("ada", {}, offers=[priced]).offers == [priced]
    assert new_request("ada", {}, offers=["tea"]).offers == ["tea"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"customer_id": ""}, r"CustomerRequest: customer_id: .*\(text_too_short\)"),
        ({"limit": 0}, r"limit: .*greater than or equal to 1 \(number_out_of_range\)"),
        ({"features": {"age": float("inf")}}, "nan_or_infinity"),
        ({"features": {"age": {"years": 3}}}, "wrong_type"),
        ({"filters": [{"attribute": "price", "op": "~", "value": 1.0}]}, "unknown_filter_op"),
        ({"offers": ["tea", RequestedOffer("milk", {})]}, r"offers\[1\]: .*valid string \(wrong_type\)"),
        ({"offers": [RequestedOffer("tea", {})] * 2}, "offer_twice"),
        ({"filters": [3]}, "a message or a mapping of its fields is needed, got int"),
    ],
)
def test_a_bad_request_is_a_sentence(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        new_request(**{"customer_id": "ada", "features": {}, **changes})


def test_an_acceptance_names_its_request() -> None:
    made = new_acceptance(RANKING, "tea", accepted=False)
    assert (made.request_id, made.customer_id, made.offer_id, made.accepted) == ("q", "ada", "tea", False)
    assert made.request_time_ms == 7


def test_an_offer_not_shown_is_refused() -> None:
    with pytest.raises(UsageError, match="offer 'soup' is not among the 1 of request 'q'"):
        new_acceptance(RANKING, "soup")
