"""Records of every kind that users send: the plain request, the same with more in it, and acceptances."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from stream_scorer.bench import job

PLAIN, ACCEPTANCES = "plain", "acceptances"
_SHARE_OF_ACCEPTANCES = 5  # every fifth record of the mix

Fields = dict[str, Any]


def _with_features(of_number: Callable[[int], Fields]) -> Callable[[Fields], Fields]:
    def grown(fields: Fields) -> Fields:
        return {**fields, "features": {**fields["features"], **of_number(_number(fields))}}

    return grown


def _with_fields(of_number: Callable[[int], Fields]) -> Callable[[Fields], Fields]:
    def grown(fields: Fields) -> Fields:
        return {**fields, **of_number(_number(fields))}

    return grown


def _number(fields: Fields) -> int:
    return int(fields["customer_id"])


def _ids(number: int, count: int) -> list[str]:
    return [f"offer-{(number * 31 + place * 7) % 1_000}" for place in range(count)]


def _priced(number: int, count: int) -> list[Fields]:
    return [{"offer_id": each, "features": {"price": number % 90 + 0.5}} for each in dict.fromkeys(_ids(number, count))]


def _times(number: int) -> Fields:
    return {"last_visit": f"2026-11-{number % 27 + 1:02}T14:05:00+01:00", "member_since": "2019-03-01T00:00:00Z"}


def _links(number: int) -> Fields:
    return {"referrer": f"https://shop.example/c/{number}?utm_source=mail", "landing": "https://shop.example:8443/"}


def _filters(number: int) -> Fields:
    brands = [f"value {(number + place) % job.VALUES}" for place in range(20)]
    return {
        "filters": [
            {"attribute": "price", "op": "<", "value": 2.5},
            {"attribute": "category", "op": "!=", "value": f"value {number % job.VALUES}"},
            {"attribute": "brand", "op": "in", "value": brands},
        ]
    }


def _vector(number: int) -> Fields:
    return {"embedding": np.random.default_rng(number).normal(size=128).round(6).tolist()}


_GROWN: Mapping[str, Callable[[Fields], Fields]] = {
    PLAIN: lambda fields: fields,
    "URLs": _with_features(_links),
    "ISO times": _with_features(_times),
    "text with colons": _with_features(lambda number: {"query": f"size: {number % 50}, colour: red"}),
    "non-ASCII text": _with_features(lambda number: {"town": "Zürich", "query": f"кроссовки № {number}, 日本"}),
    "bag of 30": _with_features(lambda number: {"viewed": _ids(number, 30)}),
    "vector of 128": _with_features(_vector),
    "filters": _with_fields(_filters),
    "matrix of 20": _with_fields(lambda number: {"offers": _ids(number, 20)}),
    "matrix of 100": _with_fields(lambda number: {"offers": _ids(number, 100)}),
    "matrix of 500": _with_fields(lambda number: {"offers": _ids(number, 500)}),
    "20 priced offers": _with_fields(lambda number: {"offers": _priced(number, 20)}),
    "exclusions": _with_fields(lambda number: {"exclude": _ids(number, 20)}),
    "unknown fields": _with_fields(lambda number: {"app": "5.1", "trace": {"id": f"{number:032x}", "sampled": True}}),
}
_SPACED = {"spaced, escaped": "non-ASCII text"}  # as the standard library's writer leaves them
KINDS = (*_GROWN, *_SPACED, ACCEPTANCES)


def records_of(kind: str, count: int) -> list[bytes]:
    """Return good records of one of `KINDS`."""
    return [_record(kind, fields) for fields in job.request_fields(count)]


def _record(kind: str, fields: Fields) -> bytes:
    if kind == ACCEPTANCES:
        return msgspec.json.encode(_acceptance(fields))
    if kind in _SPACED:
        return json.dumps(_GROWN[_SPACED[kind]](fields)).encode()
    return msgspec.json.encode(_GROWN[kind](fields))


def _acceptance(fields: Fields) -> Fields:
    return {
        "acceptance_id": f"answer-to-{fields['request_id']}",
        "request_id": fields["request_id"],
        "customer_id": fields["customer_id"],
        "offer_id": f"offer-{_number(fields) % 1_000}",
        "accepted": True,
        "event_time_ms": fields["event_time_ms"] + 1,
        "request_time_ms": fields["event_time_ms"],
    }


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker is measured on: plain requests alone, or the mix of all kinds with a fifth of acceptances."""

    is_mixed: bool = False

    def requests(self, count: int) -> list[bytes]:
        """Return requests; the n-th is of customer n."""
        kinds = [kind for kind in KINDS if kind != ACCEPTANCES] if self.is_mixed else [PLAIN]
        return [_record(kinds[number % len(kinds)], fields) for number, fields in enumerate(job.request_fields(count))]

    def records(self, count: int) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Return requests and acceptances, `count` in all; each acceptance is of one of the requests."""
        accepted = count // _SHARE_OF_ACCEPTANCES if self.is_mixed else 0
        return self.requests(count - accepted), records_of(ACCEPTANCES, accepted)
