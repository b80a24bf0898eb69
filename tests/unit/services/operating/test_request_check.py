"""Requests as a ranker would read them."""

import json
from typing import Any

from stream_scorer.core.features.spec import FeatureSpec, Number
from stream_scorer.core.messages import Offer
from stream_scorer.services.operating.request_check import RequestCheck

OFFERS = [Offer(offer_id="a", features={"price": 1.0})]
SPEC = FeatureSpec("customer", (Number("age"),))


def checked(*requests: dict[str, Any]) -> RequestCheck:
    check = RequestCheck(SPEC, OFFERS, {"ann"})
    plain = {"request_id": "r", "customer_id": "ann", "event_time_ms": 1, "features": {"age": 3}}
    check.add([json.dumps({**plain, **request}).encode() for request in requests], range(1, 1 + len(requests)))
    return check


def test_requests_are_counted_with_whom_labels_know() -> None:
    check = checked({}, {"customer_id": "bob"})
    assert check.sentence() == "2 requests of 2 customers, 1 of customers that labels know"
    assert (check.wrong, check.cautions(), check.faults()) == ([], [], [])


def test_dead_letters_are_foretold_with_their_codes() -> None:
    wrong = checked({"limit": 0}, {"features": {"age": "3"}}).wrong
    assert [each.rpartition("(")[2] for each in wrong] == ["number_out_of_range)", "feature_kind)"]
    assert wrong[1].startswith("row 2: ")


def test_unknown_offers_are_cautioned_about_or_faults() -> None:
    some, none = checked({"offers": ["a", "x"]}), checked({"offers": ["x"]})
    assert "1 of 2 offers that requests name are not in the catalog, such as 'x'" in some.cautions()[0]
    assert (len(some.faults()), none.cautions(), len(none.faults())) == (0, [], 1)


def test_requests_may_state_what_filters_compare() -> None:
    stated = [{"offer_id": "a", "features": {"cost": 2}}, {"offer_id": "x", "features": {}}]
    check = checked({"offers": stated, "filters": [{"attribute": "cost", "op": "<", "value": 3}]})
    (caution,) = check.cautions()
    assert "1 of 2 offers that requests name are not in the catalog" in caution


def test_filters_on_unknown_features_are_stated() -> None:
    check = checked({"filters": [{"attribute": "cost", "op": "<", "value": 3}]})
    assert check.cautions() == ["no offer has what filters compare: cost"]
