"""Everything that can be wrong with a customer request, each with the code of its dead letter."""

import json
from typing import Any

from stream_scorer.core.messages import (
    BAG_MAX,
    FEATURE_NAMES_MAX,
    FILTERS_MAX,
    OFFERS_MAX,
    RECORD_BYTES_MAX,
    STATED_OFFERS_MAX,
    VECTOR_MAX,
)

GOOD_REQUEST: dict[str, Any] = {
    "request_id": "r-1",
    "customer_id": "c-1",
    "event_time_ms": 1_700_000_000_000,
    "features": {"age": 33, "segment": "gold", "recent": ["o1", "o2"]},
    "limit": 3,
}
_TEXT = json.dumps(GOOD_REQUEST, separators=(",", ":"))


def _with(**fields: Any) -> bytes:
    return json.dumps({**GOOD_REQUEST, **fields}).encode()


def _without(name: str) -> bytes:
    return json.dumps({field: value for field, value in GOOD_REQUEST.items() if field != name}).encode()


def _age(text: str) -> bytes:
    """Return the good request with this text as its age."""
    return _TEXT.replace('"age":33', f'"age":{text}').encode()


def _stated(**fields: Any) -> dict[str, Any]:
    return {"offer_id": "o-1", "features": {"price": 9.5}, **fields}


def _filter(**fields: Any) -> bytes:
    return _with(filters=[{"attribute": "price", "op": "<", "value": 10, **fields}])


BAD_REQUESTS: dict[str, tuple[str, bytes | None]] = {
    "a tombstone": ("empty_value", None),
    "no bytes": ("empty_value", b""),
    "not json": ("not_json", b"hello"),
    "cut off": ("not_json", _TEXT.encode()[:-1]),
    "text behind": ("not_json", _TEXT.encode() + b"x"),
    "single quotes": ("not_json", b"{'a':1}"),
    "a comma too many": ("not_json", b'{"a":1,}'),
    "a raw control character": ("not_json", _age('"\n"')),
    "a schema registry frame": ("not_json", b"\0\0\0\0\1" + _TEXT.encode()),
    "a leading zero": ("not_json", _age("033")),
    "latin-1": ("not_utf8", _TEXT.replace("gold", "g\u00f6ld").encode("latin-1")),
    "utf-16": ("not_utf8", _TEXT.encode("utf-16")),
    "a surrogate in bytes": ("not_utf8", _age('"?"').replace(b"?", b"\xed\xa0\x80")),
    "a byte order mark": ("byte_order_mark", b"\xef\xbb\xbf" + _TEXT.encode()),
    "a list": ("not_an_object", b"[1]"),
    "a bare number": ("not_an_object", b"1"),
    "null": ("not_an_object", b"null"),
    "a priced offer twice": ("offer_twice", _with(offers=[_stated(), _stated(features={"price": 1})])),
    "an id beside objects": ("wrong_type", _with(offers=[_stated(), "o-2"])),
    "an object beside ids": ("wrong_type", _with(offers=["o-2", _stated()])),
    "a nameless offer": ("missing_field", _with(offers=[{"features": {}}])),
    "an offer without features": ("missing_field", _with(offers=[{"offer_id": "o-1"}])),
    "an offer's features are a list": ("wrong_type", _with(offers=[_stated(features=[1])])),
    "an offer's feature is an object": ("wrong_type", _with(offers=[_stated(features={"price": {}})])),
    "an offer's feature has no name": ("text_too_short", _with(offers=[_stated(features={"": 1})])),
    "an offer's feature is NaN": ("nan_or_infinity", _with(offers=[_stated(features={"price": float("nan")})])),
    "an offer's feature mixes": ("mixed_list", _with(offers=[_stated(features={"bag": [1, "a"]})])),
    "an offer's key twice": (
        "duplicate_key",
        _with(offers=[_stated()]).replace(b'"price": 9.5', b'"price": 9.5, "price": 1'),
    ),
    "too many priced offers": (
        "list_too_long",
        _with(offers=[_stated(offer_id=f"o-{number}") for number in range(STATED_OFFERS_MAX + 1)]),
    ),
    "a key twice": ("duplicate_key", _TEXT.replace('"limit":3', '"limit":3,"limit":4').encode()),
    "a feature twice": ("duplicate_key", _age('1,"age":2')),
    "a key twice, once escaped": ("duplicate_key", _age('1,"\\u0061ge":2')),
    "NaN": ("nan_or_infinity", _age("NaN")),
    "infinity": ("nan_or_infinity", _age("Infinity")),
    "minus infinity": ("nan_or_infinity", _age("-Infinity")),
    "beyond a double": ("number_out_of_range", _age("1e999")),
    "beyond an int64": ("number_out_of_range", _age("9223372036854775808")),
    "below an int64": ("number_out_of_range", _age("-9223372036854775809")),
    "five thousand digits": ("number_out_of_range", _age("1" * 5_000)),
    "NUL": ("nul_in_string", _age('"a\\u0000b"')),
    "NUL in a name": ("nul_in_string", _TEXT.replace('"age"', '"\\u0000"').encode()),
    "a lone high surrogate": ("lone_surrogate", _age('"\\ud800"')),
    "a lone low surrogate": ("lone_surrogate", _age('"\\udc00"')),
    "nine levels": ("too_deep", _with(extra=[[[[[[[[1]]]]]]]])),
    "a hundred thousand levels": ("too_deep", _age("[" * 100_000)),
    "too many bytes": ("record_too_large", _with(extra="x" * RECORD_BYTES_MAX)),
    "a million bytes of good features": ("record_too_large", _with(features={"bag": ["x" * 1_000] * 1_000})),
    "no customer": ("missing_field", _without("customer_id")),
    "no request id": ("missing_field", _without("request_id")),
    "no features": ("missing_field", _without("features")),
    "a null id": ("wrong_type", _with(customer_id=None)),
    "a number for an id": ("wrong_type", _with(customer_id=5)),
    "an empty id": ("text_too_short", _with(customer_id="")),
    "a long id": ("text_too_long", _with(request_id="x" * 257)),
    "a line break in an id": ("not_printable", _with(customer_id="c-1\n")),
    "a line separator in an id": ("not_printable", _with(customer_id="c\u2028")),
    "text for a time": ("wrong_type", _with(event_time_ms="1700000000000")),
    "a fraction for a time": ("wrong_type", _with(event_time_ms=1.5)),
    "a float for a time": ("wrong_type", _with(event_time_ms=1.0)),
    "a time before the epoch": ("number_out_of_range", _with(event_time_ms=-1)),
    "a time in nanoseconds": ("number_out_of_range", _with(event_time_ms=1_700_000_000_000_000_000)),
    "features in a list": ("wrong_type", _with(features=[1])),
    "an object for a feature": ("wrong_type", _with(features={"a": {"b": 1}})),
    "a list in a list": ("wrong_type", _with(features={"a": [[1]]})),
    "a list of bools": ("wrong_type", _with(features={"a": [True]})),
    "a list of texts and numbers": ("mixed_list", _with(features={"a": ["x", 1]})),
    "a list of numbers and bools": ("mixed_list", _with(features={"a": [1, True]})),
    "a list with null": ("mixed_list", _with(features={"a": ["x", None]})),
    "a long text": ("text_too_long", _with(features={"a": "x" * 1_025})),
    "a long text in a bag": ("text_too_long", _with(features={"a": ["x" * 1_025]})),
    "a long bag": ("list_too_long", _with(features={"a": ["x"] * (BAG_MAX + 1)})),
    "a long vector": ("list_too_long", _with(features={"a": [0.5] * (VECTOR_MAX + 1)})),
    "many features": ("too_many_features", _with(features={str(number): 1 for number in range(FEATURE_NAMES_MAX + 1)})),
    "a long name": ("text_too_long", _with(features={"x" * 129: 1})),
    "an empty name": ("text_too_short", _with(features={"": 1})),
    "a bool for a limit": ("wrong_type", _with(limit=True)),
    "a null limit": ("wrong_type", _with(limit=None)),
    "a limit of none": ("number_out_of_range", _with(limit=0)),
    "a limit beyond all": ("number_out_of_range", _with(limit=1_001)),
    "text for offers": ("wrong_type", _with(offers="o1")),
    "a number for an offer": ("wrong_type", _with(offers=["o1", 2])),
    "many offers": ("list_too_long", _with(offers=["o"] * (OFFERS_MAX + 1))),
    "null exclusions": ("wrong_type", _with(exclude=None)),
    "many exclusions": ("list_too_long", _with(exclude=["o"] * (OFFERS_MAX + 1))),
    "many filters": ("list_too_long", _with(filters=[{"attribute": "a", "op": "==", "value": 1}] * (FILTERS_MAX + 1))),
    "text for a filter": ("wrong_type", _with(filters=["price<10"])),
    "an unknown operator": ("unknown_filter_op", _filter(op="=~")),
    "a filter without a value": ("missing_field", _with(filters=[{"attribute": "price", "op": "<"}])),
    "a null in a filter": ("wrong_type", _filter(value=None)),
    "a list for one value": ("filter_value", _filter(value=[1])),
    "one value for a list": ("filter_value", _filter(op="in", value=1)),
    "a mixed list in a filter": ("mixed_list", _filter(op="in", value=[1, "x"])),
}
