from dataclasses import replace
from typing import Any

import pytest

from stream_scorer.core.messages import CustomerRequest, RankedOffer, Ranking, RequestedOffer
from stream_scorer.core.verifying.stated_features import statement_faults
from tests.ranking_worlds import TIME_MS, request

ASKED = request(1, offers=[RequestedOffer("a", {"price": 1.0, "new": True}), RequestedOffer("b", {})])


def answer(*offers: tuple[str, dict[str, Any]], customer_id: str = "c1") -> Ranking:
    placed = [RankedOffer(one, place, 0.5, 1.0, features) for place, (one, features) in enumerate(offers, 1)]
    return Ranking("r1", customer_id, TIME_MS, "m", "ranked", 2, {}, {}, placed)


def kinds_of(ranking: Ranking, *requests: CustomerRequest, carried: tuple[str, ...] | None = None) -> list[str]:
    checked, faults = statement_faults([ranking], requests or [ASKED], carried)
    assert checked == 1
    return [fault.kind for fault in faults]


@pytest.mark.parametrize(
    "features", [{"price": 2.0, "new": True}, {"new": True}, {"price": 1.0, "new": 1.0}, {}], ids=str
)
def test_ignored_statements_are_faults(features: dict[str, Any]) -> None:
    assert kinds_of(answer(("a", features))) == ["offer_features_ignored"]


def test_carried_statements_are_right() -> None:
    assert kinds_of(answer(("b", {"price": 7.0}), ("a", {"colour": "red", "price": 1.0, "new": True}))) == []


def test_features_left_out_are_not_missed() -> None:
    assert kinds_of(answer(("a", {"price": 1.0})), carried=("price",)) == []
    assert kinds_of(answer(("a", {"price": 3.0})), carried=("price",)) == ["offer_features_ignored"]


def test_a_request_sent_twice_allows_either() -> None:
    again = request(1, offers=[RequestedOffer("a", {"price": 5.0})])
    assert kinds_of(answer(("a", {"price": 5.0})), ASKED, again) == []
    assert kinds_of(answer(("a", {"price": 6.0})), ASKED, again) == ["offer_features_ignored"]


@pytest.mark.parametrize("fields", [{"offers": ["a"]}, {"offers": [RequestedOffer("a", {})]}, {}], ids=str)
def test_a_request_sent_again_may_state_nothing(fields: dict[str, Any]) -> None:
    assert kinds_of(answer(("a", {"price": 7.0})), ASKED, request(1, **fields)) == []


def test_a_request_of_another_time_is_another() -> None:
    assert statement_faults([answer(("a", {}))], [replace(ASKED, event_time_ms=TIME_MS + 1)], None) == (0, [])


def test_what_states_nothing_is_not_checked() -> None:
    assert statement_faults([answer(("b", {}))], [request(1, offers=[RequestedOffer("b", {})])], None) == (0, [])


def test_other_customers_of_a_mailing_are_apart() -> None:
    assert statement_faults([answer(("a", {}), customer_id="c2")], [ASKED], None) == (0, [])
