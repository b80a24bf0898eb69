from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stream_scorer.core.messages import Acceptance, CustomerRequest, Filter, LabelledRanking, Offer

REQUEST: dict[str, Any] = {"request_id": "r", "customer_id": "c", "event_time_ms": 1, "features": {}}
_validate = TypeAdapter(CustomerRequest).validate_python


def test_optional_fields_have_their_defaults() -> None:
    request = _validate(REQUEST)
    assert (request.offers, request.exclude, request.filters, request.limit) == (None, [], [], 10)


def test_an_offer_is_active_by_default() -> None:
    offer = TypeAdapter(Offer).validate_python({"offer_id": "o", "features": {}})
    assert (offer.active, offer.valid_from_ms, offer.valid_until_ms) == (True, None, None)


@pytest.mark.parametrize("value", [1.5, 3, "text", True, None, [], ["a", "b"], [1, 2.5]])
def test_every_kind_of_feature_is_taken(value: object) -> None:
    assert _validate({**REQUEST, "features": {"x": value}}).features["x"] == value


@pytest.mark.parametrize("identity", ["a", "x" * 256, "ünïcödé", "a b", "日本", "0", "null", '"quoted"', "🙂"])
def test_any_printable_text_is_an_id(identity: str) -> None:
    assert _validate({**REQUEST, "customer_id": identity}).customer_id == identity


@pytest.mark.parametrize(
    "identity", ["", "x" * 257, "a\n", "\t", "a\x00", "a\u2028b", "\u200b", "\u200d", "\ufffe", 5, True, None]
)
def test_an_id_is_short_printable_text(identity: object) -> None:
    with pytest.raises(ValidationError):
        _validate({**REQUEST, "customer_id": identity})


@pytest.mark.parametrize("time_ms", [-1, 253_402_300_800_000, 1.0, True, "1"])
def test_a_time_is_a_bounded_integer(time_ms: object) -> None:
    with pytest.raises(ValidationError):
        _validate({**REQUEST, "event_time_ms": time_ms})


@pytest.mark.parametrize(
    ("op", "value"), [("==", [1.0]), ("<", ["a"]), ("in", 1.0), ("in", "a"), ("=", 1.0), ("in", [True]), ("==", None)]
)
def test_an_operator_takes_what_it_can_compare(op: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        Filter("price", op, value)


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        _validate(REQUEST).limit = 3  # type: ignore[misc]


def test_a_label_may_be_unknown() -> None:
    offer = {
        "offer_id": "o",
        "rank": 1,
        "score": 0.1,
        "propensity": 1.0,
        "features": {},
        "cause": None,
        "label_time_ms": None,
    }
    ranking = {
        "request_id": "r",
        "revision": 1,
        "final": False,
        "customer_id": "c",
        "request_time_ms": 1,
        "release_id": "x",
        "features": {},
    }
    offers = [{**offer, "accepted": accepted} for accepted in (0, 1, None)]
    labelled = TypeAdapter(LabelledRanking).validate_python({**ranking, "offers": offers})
    assert [one.accepted for one in labelled.offers] == [0, 1, None]
    with pytest.raises(ValidationError):
        TypeAdapter(LabelledRanking).validate_python({**ranking, "offers": [{**offer, "accepted": 2}]})


@pytest.mark.parametrize("accepted", [1, 0, "true", None])
def test_accepted_is_a_bool(accepted: object) -> None:
    acceptance = {"acceptance_id": "a", "request_id": "r", "customer_id": "c", "offer_id": "o", "event_time_ms": 1}
    with pytest.raises(ValidationError):
        TypeAdapter(Acceptance).validate_python({**acceptance, "accepted": accepted})


@pytest.mark.parametrize("identity", ["\u0915\u094d\u200d\u0937", "\u0645\u06cc\u200c\u062e", "\u200da"])
def test_ids_may_hold_zero_width_joiners(identity: str) -> None:
    assert TypeAdapter(Offer).validate_python({"offer_id": identity, "features": {}}).offer_id == identity
