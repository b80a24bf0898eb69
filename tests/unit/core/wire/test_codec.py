import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.messages import Acceptance, CustomerRequest, LabelledRanking, Offer, Ranking
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import Decoded, Refusal, decode_all, encode, encode_without_absent, loads_strict
from tests.bad_records import BAD_REQUESTS, GOOD_REQUEST

SECRET = "Ada Lovelace"  # what no dead letter may repeat


def records_of(*values: bytes | None) -> list[Record]:
    return [Record("customer-requests", 3, offset, b"key", value, 17) for offset, value in enumerate(values)]


def decode_one(value: bytes | None) -> Decoded[CustomerRequest]:
    return decode_all(records_of(value), CustomerRequest)


def good(**fields: Any) -> bytes:
    return json.dumps({**GOOD_REQUEST, **fields}).encode()


@pytest.mark.parametrize(("code", "value"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_each_bad_record_has_its_code(code: str, value: bytes | None) -> None:
    decoded = decode_one(value)
    assert [letter.code for letter in decoded.dead_letters] == [code]
    assert decoded.messages == []


def test_bad_records_harm_only_themselves() -> None:
    values = [value for _, bad in BAD_REQUESTS.values() for value in (good(), bad)]
    decoded = decode_all(records_of(*values), CustomerRequest)
    assert [record.offset for record in decoded.records] == list(range(0, len(values), 2))
    assert [letter.record.offset for letter in decoded.dead_letters] == list(range(1, len(values), 2))
    assert len(decoded.messages) == len(BAD_REQUESTS) >= 40


@pytest.mark.parametrize("value", [value for _, value in BAD_REQUESTS.values() if value])
def test_no_reason_repeats_what_the_customer_sent(value: bytes) -> None:
    spoiled = value.replace(b"c-1", SECRET.encode()).replace(b"gold", SECRET.encode())
    for letter in decode_one(spoiled).dead_letters:
        assert "Ada" not in letter.message
        assert len(letter.message) < 400


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"limit": 1_001}, "limit: Input should be less than or equal to 1000"),
        ({"customer_id": "x" * 257}, "customer_id: String should have at most 256 characters"),
        ({"features": {"note": "x" * 1_025}}, "features.note: text must be at most 1024 characters"),
        ({"features": {"bag": [1, "x"]}}, "features.bag: a list must hold texts only or numbers only"),
        ({"offers": ["a", 5]}, "offers[1]: Input should be a valid string"),
        ({"offers": [{"offer_id": "o", "features": {}}, "a"]}, "offers[1]: Input should be an object"),
        ({"offers": [{"offer_id": "o", "features": {"a": {}}}]}, "offers[0].features.a: the value must be a number"),
        (
            {"filters": [{"attribute": "a", "op": "==", "value": None}]},
            "filters[0].value: the value must be a number, text, a bool, or a list",
        ),
        ({"x" * 200: {"a\n": float("nan")}}, "NaN and infinities are not allowed"),
    ],
)
def test_reasons_name_the_field_and_bound(fields: dict[str, Any], message: str) -> None:
    assert decode_one(good(**fields)).dead_letters[0].message.startswith(message)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": "x:y{[", "b": [1, {"c": {"a": 1}}], "c": {}}',
        b'{"a":"\\\\u0000"}',
        b'{"n":9223372036854775807,"m":-9223372036854775808,"f":1e308,"s":"99999999999999999999"}',
        b'{"a":[[[[[[[1]]]]]]]}',
        b' {"a":{"a":{"a":[{"a":{"a":{"a":[]}}}]}}}\n',
    ],
)
def test_harmless_look_alikes_are_read(raw: bytes) -> None:
    assert loads_strict(raw) == json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":[{"a":[{"a":[{"a":[1,{}]}]}]}]}',
        b'{"a":[{"a":[{"a":[{"a":[{"a":1}]}]}]}]}',
        b'{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}',
        b'{"a":{"a":{"a":{"a":[[[[[]]]]]}}}}',
    ],
)
def test_nine_levels_are_too_deep(raw: bytes) -> None:
    parsed = loads_strict(raw)
    assert isinstance(parsed, Refusal)
    assert parsed.code == "too_deep"


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab:{["\\\u00e9', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab:", max_size=2), inner, max_size=3),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(st.dictionaries(st.text("ab:", max_size=3), _json, max_size=4))
def test_objects_read_as_the_standard_library_reads(value: dict[str, Any]) -> None:
    parsed = loads_strict(json.dumps(value).encode())
    assert (parsed.code if isinstance(parsed, Refusal) else parsed) == (value if depth_of(value) <= 8 else "too_deep")


@given(st.dictionaries(st.text("ab:", max_size=3), _json, min_size=1, max_size=4), st.data())
def test_duplicate_keys_are_found_anywhere(value: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    again = data.draw(st.sampled_from(["1", '"a:b"', "{}", '[{"a":1}]']))
    twice = f"{json.dumps(value)[:-1]}, {json.dumps(name)}: {again}}}"
    for raw in (twice, f'{{"features": {twice}}}', f'{{"x": [[{{}}], {{"y": {twice}}}]}}'):
        parsed = loads_strict(raw.encode())
        assert isinstance(parsed, Refusal)
        assert parsed.code in {"duplicate_key", "too_deep"}


@given(st.binary(max_size=40) | st.text('{}[]":,0123456789eE+-.nulltrefasNI\\u', max_size=40).map(str.encode))
def test_no_bytes_at_all_make_decoding_raise(raw: bytes) -> None:
    decoded = decode_one(raw)
    assert len(decoded.messages) + len(decoded.dead_letters) == 1


def test_unknown_fields_are_ignored() -> None:
    decoded = decode_one(good(weather={"rain": [1, "a"]}))
    assert decoded.messages[0].customer_id == "c-1"


def test_feature_integers_are_numbers_bools_stay() -> None:
    features = (
        decode_one(good(features={"n": 1, "b": True, "none": None, "bag": [], "vector": [1, 2.5]})).messages[0].features
    )
    assert list(map(repr, features.values())) == ["1.0", "True", "None", "[]", "[1.0, 2.5]"]


def test_messages_keep_field_order_and_read_back() -> None:
    acceptance = Acceptance("a-1", "r-1", "c-1", "o-1", accepted=True, event_time_ms=5)
    value = encode(acceptance)
    assert value == (
        b'{"acceptance_id":"a-1","request_id":"r-1","customer_id":"c-1","offer_id":"o-1",'
        b'"accepted":true,"event_time_ms":5,"request_time_ms":null}'
    )
    assert decode_all(records_of(value), Acceptance).messages == [acceptance]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back_the_same(number: float) -> None:
    offer = Offer("o-1", {"price": number})
    assert decode_all(records_of(encode(offer)), Offer).messages[0].features == {"price": number}


def test_a_bad_feature_of_labels_is_named() -> None:
    offer = {
        "offer_id": "o",
        "rank": 1,
        "score": 0.5,
        "propensity": 1.0,
        "features": {"a": [True]},
        "accepted": 1,
        "cause": None,
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
    value = msgspec.json.encode({**ranking, "offers": [{**offer, "label_time_ms": None}]})
    letter = decode_all(records_of(value), LabelledRanking).dead_letters[0]
    assert (letter.code, letter.message[:20]) == ("wrong_type", "offers[0].features.a")


def test_our_own_rankings_may_be_larger() -> None:
    ranking = Ranking(
        "r", "c", 1, "x", "nothing_eligible", 0, {}, {str(number): ["x" * 1_000] * 10 for number in range(200)}, []
    )
    value = encode(ranking)
    assert len(value) > 2_000_000
    assert decode_all(records_of(value), Ranking).messages == [ranking]


RANKED_OFFER = {"offer_id": "o", "rank": 1, "score": 0.5, "propensity": 1.0, "features": {"tower_rank": None}}


@pytest.mark.parametrize("added", [{}, {"tower_rank": 2, "reranker_score": -1.5}])
def test_rankings_are_written_without_absent_fields(added: dict[str, Any]) -> None:
    raw = msgspec.json.encode(
        {
            "request_id": "r", "customer_id": "c", "event_time_ms": 1, "release_id": "m", "status": "ranked",
            "eligible_count": 1, "excluded": {}, "features": {"a": None}, "offers": [{**RANKED_OFFER, **added}],
        }
    )  # fmt: skip
    (ranking,) = decode_all(records_of(raw), Ranking).messages
    assert encode_without_absent(ranking) == raw


@pytest.mark.parametrize("bad", [{"tower_rank": 0}, {"tower_rank": 1.0}, {"reranker_score": "x"}])
def test_bad_figures_of_rerankers_are_refused(bad: dict[str, Any]) -> None:
    label = {**RANKED_OFFER, "accepted": None, "cause": None, "label_time_ms": None, **bad}
    labels = {
        "request_id": "r", "revision": 1, "final": False, "customer_id": "c", "request_time_ms": 1,
        "release_id": "m", "features": {}, "offers": [label],
    }  # fmt: skip
    assert decode_all(records_of(msgspec.json.encode(labels)), LabelledRanking).messages == []
