import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_scorer.core.messages import Acceptance, CustomerRequest, LabelledRanking
from stream_scorer.core.wire.codec import Refusal, _read_strictly, encode
from stream_scorer.core.wire.fast_decoding import read_acceptance, read_labels, read_request
from tests.bad_records import BAD_REQUESTS, GOOD_REQUEST

ANSWER: dict[str, Any] = {
    "acceptance_id": "a-1",
    "request_id": "r-1",
    "customer_id": "c-1",
    "offer_id": "o-1",
    "accepted": True,
    "event_time_ms": 1_700_000_000_000,
}
STATED: dict[str, Any] = {"offer_id": "o-1", "features": {"price": 9.5, "tags": ["new"], "place": [1, 2.5]}}
LABEL: dict[str, Any] = {
    "offer_id": "o-1",
    "rank": 1,
    "score": 0.5,
    "propensity": 1.0,
    "features": {"price": 9.5},
    "accepted": 1,
    "cause": "accepted",
    "label_time_ms": 1_700_000_000_500,
}
LABELS: dict[str, Any] = {
    "request_id": "r-1",
    "revision": 1,
    "final": False,
    "customer_id": "c-1",
    "request_time_ms": 1_700_000_000_000,
    "release_id": "rel-1",
    "features": {"age": 30.0},
    "offers": [LABEL, {**LABEL, "accepted": None, "cause": None, "label_time_ms": None}],
}
_odd = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.0,
        1.5,
        2**53,
        2**63 - 1,
        2**63,
        1e308,
        "",
        "a",
        "a:b",
        "\u00e9",
        "\n",
        "\u2028",
        "\u00a0",
        "\0",
        "x" * 257,
        "9" * 19,
        [],
        [1],
        ["a"],
        ["a", 1],
        [True],
        [[1]],
        {},
        {"a": 1},
        {"a": ["x"]},
    ]
)


def spoiled(data: st.DataObject, good: dict[str, Any], names: list[str]) -> bytes:
    """Write a good message with up to three fields put in, replaced or left out, and perhaps one of them twice."""
    fields = dict(good)
    for name in data.draw(st.lists(st.sampled_from(names), max_size=3)):
        if data.draw(st.booleans()):
            fields[name] = data.draw(
                _odd
                | st.dictionaries(st.sampled_from(["a", "b", "", "x" * 129]), _odd, max_size=3)
                | st.lists(_odd, max_size=3)
            )
        else:
            fields.pop(name, None)
    text = json.dumps(fields, ensure_ascii=data.draw(st.booleans()))
    return (text if data.draw(st.booleans()) else f'{text[:-1]}, "{data.draw(st.sampled_from(names))}": 1}}').encode(
        "utf-8", "surrogatepass"
    )


def assert_short_way_agrees(raw: bytes, read: Any, message_type: type) -> None:
    short, strict = read(raw), _read_strictly(raw, message_type)
    assert short is None or (not isinstance(strict, Refusal) and encode(short) == encode(strict))


@given(st.data())
@settings(max_examples=250)
def test_both_ways_read_the_same_requests(data: st.DataObject) -> None:
    raw = spoiled(data, GOOD_REQUEST, [*GOOD_REQUEST, "offers", "exclude", "filters", "unknown"])
    assert_short_way_agrees(raw, read_request, CustomerRequest)


@given(st.data())
@settings(max_examples=250)
def test_both_ways_read_the_same_offers(data: st.DataObject) -> None:
    offers = [spoiled(data, STATED, [*STATED, "unknown"]) for _ in range(data.draw(st.integers(1, 2)))]
    offers += data.draw(st.sampled_from([[], [b'{"offer_id":"o-2","features":{}}'], [b'"o-3"']]))
    raw = json.dumps({**GOOD_REQUEST, "offers": None}).encode().replace(b"null", b"[%b]" % b",".join(offers))
    assert_short_way_agrees(raw, read_request, CustomerRequest)


@given(st.data())
@settings(max_examples=100)
def test_both_ways_read_the_same_acceptances(data: st.DataObject) -> None:
    assert_short_way_agrees(spoiled(data, ANSWER, [*ANSWER, "request_time_ms", "unknown"]), read_acceptance, Acceptance)


@given(st.data())
@settings(max_examples=150)
def test_both_ways_read_the_same_labels(data: st.DataObject) -> None:
    offer = (
        json.loads(spoiled(data, LABEL, [*LABEL, "tower_rank", "reranker_score", "unknown"]))
        if data.draw(st.booleans())
        else LABEL
    )
    assert_short_way_agrees(
        spoiled(data, {**LABELS, "offers": [LABEL, offer]}, [*LABELS, "unknown"]), read_labels, LabelledRanking
    )


def test_usual_labels_take_the_short_way() -> None:
    raw = json.dumps(LABELS).encode()
    assert read_labels(raw) == _read_strictly(raw, LabelledRanking)


def test_both_ways_refuse_revisions_beyond_bounds() -> None:
    raw = json.dumps({**LABELS, "revision": 2**31}).encode()
    assert read_labels(raw) is None
    assert isinstance(refusal := _read_strictly(raw, LabelledRanking), Refusal)
    assert refusal.code == "number_out_of_range"


@given(st.characters() | st.text(min_size=1, max_size=3))
@example("\u00ad")
def test_printable_means_the_same_both_ways(text: str) -> None:
    assert_short_way_agrees(json.dumps({**GOOD_REQUEST, "customer_id": text}).encode(), read_request, CustomerRequest)
    assert_short_way_agrees(json.dumps({**GOOD_REQUEST, "offers": [text]}).encode(), read_request, CustomerRequest)
    assert_short_way_agrees(json.dumps({**ANSWER, "offer_id": text}).encode(), read_acceptance, Acceptance)


@pytest.mark.parametrize("raw", [raw for _, raw in BAD_REQUESTS.values() if raw])
def test_no_bad_request_takes_the_short_way(raw: bytes) -> None:
    assert read_request(raw) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"offers": ["a"], "exclude": ["b"], "limit": 1},
        {"offers": None},
        {"offers": [STATED, {"offer_id": "o-2", "features": {}}]},
        {"offers": [STATED], "features": {"offer_id": "o-1"}, "filters": [], "limit": 3},
        {
            "features": {
                "text": "Z\u00fcrich",
                "n": 1,
                "f": 1.5,
                "b": True,
                "none": None,
                "bag": ["x"],
                "vector": [1, 2.5],
            }
        },
    ],
)
def test_usual_requests_take_the_short_way(fields: dict[str, Any]) -> None:
    raw = json.dumps({**GOOD_REQUEST, **fields}).encode()
    read = read_request(raw)
    assert type(read) is CustomerRequest
    assert read == _read_strictly(raw, CustomerRequest)


def test_an_acceptance_takes_the_short_way() -> None:
    assert read_acceptance(json.dumps({**ANSWER, "request_time_ms": None}).encode()) == Acceptance(**ANSWER)


def test_quickly_read_messages_are_frozen_too() -> None:
    read = read_request(json.dumps(GOOD_REQUEST).encode())
    with pytest.raises(AttributeError):
        read.limit = 3  # type: ignore[misc, union-attr]
