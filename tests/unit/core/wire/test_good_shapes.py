"""No good record is left to the strict way, whatever is in it, and no trap is overlooked for that."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import Acceptance, CustomerRequest, LabelledRanking, Offer
from stream_scorer.core.wire import soundness
from stream_scorer.core.wire.codec import Refusal, _read_strictly
from stream_scorer.core.wire.fast_decoding import read_acceptance, read_labels, read_offer, read_request

_texts = st.text('ab:/{}[],"\u00e9\u200c\u65e5 \\', max_size=12) | st.sampled_from(
    ["https://shop.example/a?b=c:d", "2026-11-27T14:00:00+01:00", "urn:customer:7", "Zürich", '{"a":1}']
)
_ids = st.text("ab:-\u00e9\u00a0\u65e5", min_size=1, max_size=8) | st.just("\u0645\u06cc\u200c\u062e\u0648")
_names = st.text("ab:\u00e9", min_size=1, max_size=4) | st.just("x" * 128)
_numbers = st.integers(-(10**18), 10**18) | st.floats(-1e18, 1e18)
_lists = st.lists(_texts, max_size=4) | st.lists(_numbers, max_size=4)
_features = st.dictionaries(_names, _texts | _numbers | st.booleans() | st.none() | _lists, max_size=5)
_times = st.integers(0, 2**40)
_unknown = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_filters = st.fixed_dictionaries(
    {"attribute": _names, "op": st.sampled_from(["==", "<"]), "value": _texts | _numbers | st.booleans()},
    optional={"unknown": _unknown},
) | st.fixed_dictionaries({"attribute": _names, "op": st.just("in"), "value": _lists})
_stated_offers = st.lists(
    st.fixed_dictionaries({"offer_id": _ids, "features": _features}, optional={"unknown": _unknown}),
    max_size=3,
    unique_by=lambda offer: str(offer["offer_id"]),
)
_requests = st.fixed_dictionaries(
    {"request_id": _ids, "customer_id": _ids, "event_time_ms": _times, "features": _features},
    optional={
        "offers": st.none() | st.lists(_ids, max_size=4) | _stated_offers,
        "exclude": st.lists(_ids, max_size=4),
        "filters": st.lists(_filters, max_size=3),
        "limit": st.integers(1, 1_000),
        "unknown": _unknown,
    },
)
_offers = st.fixed_dictionaries(
    {"offer_id": _ids, "features": _features},
    optional={
        "active": st.booleans(),
        "valid_from_ms": st.none() | _times,
        "valid_until_ms": st.none() | _times,
        "unknown": _unknown,
    },
)
_acceptances = st.fixed_dictionaries(
    {
        **dict.fromkeys(("acceptance_id", "request_id", "customer_id", "offer_id"), _ids),
        "accepted": st.booleans(),
        "event_time_ms": _times,
    },
    optional={"request_time_ms": st.none() | _times, "unknown": _unknown},
)
_labelled_offers = st.fixed_dictionaries(
    {
        "offer_id": _ids,
        "rank": st.integers(1, 1_000),
        "score": st.floats(-1, 1),
        "propensity": st.floats(0.1, 1),
        "features": _features,
        "accepted": st.sampled_from([0, 1, None]),
        "cause": st.sampled_from(["accepted", "late_acceptance", None]),
        "label_time_ms": st.none() | _times,
    },
    optional={"tower_rank": st.none() | st.integers(1, 1_000), "reranker_score": st.none() | st.floats(-9, 9)},
)
_labels = st.fixed_dictionaries(
    {
        **dict.fromkeys(("request_id", "customer_id", "release_id"), _ids),
        "revision": st.integers(1, 9),
        "final": st.booleans(),
        "request_time_ms": _times,
        "features": _features,
        "offers": st.lists(_labelled_offers, max_size=3),
    },
    optional={"unknown": _unknown},
)
_KINDS: list[tuple[Any, Any, Any]] = [
    (_requests, read_request, CustomerRequest),
    (_offers, read_offer, Offer),
    (_acceptances, read_acceptance, Acceptance),
    (_labels, read_labels, LabelledRanking),
]
each_kind = pytest.mark.parametrize(
    ("good", "read", "message_type"), _KINDS, ids=lambda part: getattr(part, "__name__", None)
)


def text_of(value: Any, twice: Any, colon: str) -> str:
    """Write JSON, in which the object `twice` has its first key a second time."""
    if isinstance(value, list):
        return f"[{','.join(text_of(element, twice, colon) for element in value)}]"
    if not isinstance(value, dict):
        return json.dumps(value)
    pairs = [f"{json.dumps(name)}{colon}{text_of(inner, twice, colon)}" for name, inner in value.items()]
    return f"{{{','.join([*pairs, *pairs[:1]] if value is twice else pairs)}}}"


def objects_in(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    here = [value] if isinstance(value, dict) and value else []
    return [*here, *(found for element in inner for found in objects_in(element))]


@each_kind
@given(st.data())
@settings(max_examples=50)
def test_good_records_are_read_at_once(good: Any, read: Any, message_type: Any, data: st.DataObject) -> None:
    message = data.draw(good)
    raw = json.dumps(message, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1])))
    read_at_once = read(raw.encode())
    assert type(read_at_once) is message_type
    assert repr(read_at_once) == repr(_read_strictly(raw.encode(), message_type))


@each_kind
@given(st.data())
@settings(max_examples=50)
def test_keys_given_twice_are_never_overlooked(good: Any, read: Any, message_type: Any, data: st.DataObject) -> None:
    message = data.draw(good)
    twice, colon = data.draw(st.sampled_from(objects_in(message))), data.draw(st.sampled_from([":", " : "]))
    raw = text_of(message, twice, colon).encode()
    assert read(raw) is None
    refusal = _read_strictly(raw, message_type)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "duplicate_key"


@pytest.mark.parametrize(
    "unknown",
    [
        "99999999999999999999999",
        "-9223372036854775809",
        '"a\\u0000"',
        "[[[[[[[[1]]]]]]]]",
        '{"a":1,"a":2}',
        '"\\ud800"',
    ],
)
def test_unknown_fields_hide_no_trap(unknown: str) -> None:
    raw = f'{{"request_id":"r","customer_id":"c","event_time_ms":1,"features":{{}},"unknown":{unknown}}}'.encode()
    assert read_request(raw) is None
    assert isinstance(_read_strictly(raw, CustomerRequest), Refusal)


def test_names_of_features_are_remembered_within_bounds() -> None:
    for number in range(20):
        many = {f"{number}-{name}": 1 for name in range(256)}
        assert read_offer(json.dumps({"offer_id": "o", "features": many}).encode()) is not None
    assert len(soundness._good_names) <= soundness._NAMES_KEPT_MAX + 256
    assert read_offer(json.dumps({"offer_id": "o", "features": {"x" * 129: 1}}).encode()) is None


@pytest.mark.parametrize("colon", ["\\u003a", "\\u003A"])
def test_an_escaped_colon_hides_no_key(colon: str) -> None:
    features = f'{{"a":1,"a":2,"text":"{colon}"}}'
    raw = f'{{"request_id":"r","customer_id":"c","event_time_ms":1,"features":{features}}}'.encode()
    assert read_request(raw) is None


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\u2028"])
def test_an_unescaped_control_character_spoils_an_id(character: str) -> None:
    raw = f'{{"request_id":"r{character}","customer_id":"c","event_time_ms":1,"features":{{}}}}'
    assert read_request(raw.encode()) is None
    assert read_request(raw.replace(character, "").encode()) is not None
