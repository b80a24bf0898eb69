"""Whether an output answers its input: a ranking its request, an outcome its acceptance.

Long lists are compared by their hashes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import xxhash

from stream_scorer.core.messages import CustomerRequest
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all

HASH_BYTES = 8
_encode = msgspec.json.Encoder().encode
_features_of = msgspec.json.Decoder(dict[str, float | str | bool | list[float | str] | None]).decode


class Question(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    """What a request asks for.

    `offers` and `exclude` are hashes of ids side by side, `offers` None: the whole catalog. `states_features`: of some
    of its offers.
    """

    customer_id: str
    time_ms: int
    features: int
    offers: bytes | None
    exclude: bytes
    limit: int
    states_features: bool = False


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """What a ranking gives; `in_order`: its ranks count from 1."""

    customer_id: str
    time_ms: int
    features: int
    offers: tuple[str, ...]
    in_order: bool


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """What an acceptance states beside its key, and its outcome must state too."""

    customer_id: str
    asked_ms: int | None


def question(record: Record) -> Question | None:
    """Return what a request asks for; None for a record that is none."""
    for asked in decode_all([record], CustomerRequest).messages:
        offers = None if asked.offers is None else _hashes(asked.offer_ids)
        given = (asked.customer_id, asked.event_time_ms, _digest(asked.features))
        states = any(one.features for one in asked.stated_offers)
        return Question(*given, offers, _hashes(asked.exclude), asked.limit, states)
    return None


def features_digest(raw: bytes) -> int:
    """Return the digest of features as a ranking carries them, equal to that of the request's; -1 for what are none."""
    try:
        return _digest(_features_of(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return -1


def difference(asked: Question | Claim, given: Reply | Claim) -> str | None:
    """Return in what the output differs from what its input asks for; None: in nothing."""
    if asked.customer_id != given.customer_id:
        return "the customer is another"
    if isinstance(asked, Claim) or isinstance(given, Claim):
        return None if asked == given else "request_time_ms is another"
    return _ranking_difference(asked, given)


def _ranking_difference(asked: Question, given: Reply) -> str | None:
    if asked.time_ms != given.time_ms:
        return f"event_time_ms is {given.time_ms}, the request's is {asked.time_ms}"
    if asked.features != given.features:
        return "the customer's features are others"
    if len(given.offers) > asked.limit:
        return f"{len(given.offers)} offers, the limit is {asked.limit}"
    if not given.in_order or len(set(given.offers)) < len(given.offers):
        return "its ranks do not count from 1, or an offer stands twice"
    if wrong := _not_asked(asked, given.offers):
        return f"offers that were not asked for: {', '.join(wrong[:4])}"
    return None


def _not_asked(asked: Question, offers: Sequence[str]) -> list[str]:
    allowed = None if asked.offers is None else set(_split(asked.offers))
    excluded = set(_split(asked.exclude))
    return [
        offer
        for offer in offers
        if (hashed := _hash(offer)) in excluded or (allowed is not None and hashed not in allowed)
    ]


def _digest(features: dict[str, Any]) -> int:
    return xxhash.xxh3_64_intdigest(_encode(features)) >> 1


def _hash(offer_id: str) -> bytes:
    return xxhash.xxh3_64_digest(offer_id.encode())


def _hashes(offer_ids: Iterable[str]) -> bytes:
    return b"".join(map(_hash, offer_ids))


def _split(hashes: bytes) -> Iterable[bytes]:
    return (hashes[place : place + HASH_BYTES] for place in range(0, len(hashes), HASH_BYTES))
