"""Reads good records by the compiled parser alone, whatever is in them; the strict way is for those that are refused.

The parser checks types and bounds (`shapes.py`), and `soundness.py` rules out what types let pass. A reader returns
None for whatever is not proven good; the strict way then reads that and names the fault. What a reader returns equals
what the strict way returns, which a test holds.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from stream_scorer.core.filter_operators import OPERATORS
from stream_scorer.core.messages import (
    LIMIT_DEFAULT,
    RECORD_BYTES_MAX,
    Acceptance,
    CustomerRequest,
    Filter,
    LabelledOffer,
    LabelledRanking,
    Offer,
    RequestedOffer,
)
from stream_scorer.core.wire.shapes import (
    AcceptanceShape,
    AllFeatures,
    FilterShape,
    LabelledOfferShape,
    LabelledRankingShape,
    OfferShape,
    PlainFeatures,
    RequestedOfferShape,
    RequestShape,
    StatingRequestShape,
)
from stream_scorer.core.wire.soundness import UNREADABLE, are_ids, are_names, is_of_one_kind, is_printable, is_sound
from stream_scorer.core.wire.strict_json import BACKSLASH

_parse_request = msgspec.json.Decoder(RequestShape[PlainFeatures]).decode
_parse_any_request = msgspec.json.Decoder(RequestShape[AllFeatures]).decode
_parse_stating_request = msgspec.json.Decoder(StatingRequestShape).decode
_parse_acceptance = msgspec.json.Decoder(AcceptanceShape).decode
_parse_offer = msgspec.json.Decoder(OfferShape[PlainFeatures]).decode
_parse_any_offer = msgspec.json.Decoder(OfferShape[AllFeatures]).decode
_parse_labels = msgspec.json.Decoder(LabelledRankingShape[PlainFeatures]).decode
_parse_any_labels = msgspec.json.Decoder(LabelledRankingShape[AllFeatures]).decode
_new: Any = object.__new__
_OF_AN_OFFER = b'"offer_id"'  # a request without it has no offers that are objects


def read_request(raw: bytes) -> CustomerRequest | None:
    """Read a request, or return None.

    Each microsecond here is one of every request's, so what is cheap for plain requests stands here, not in functions.
    """
    try:
        read: Any = _parse_request(raw)
    except UNREADABLE:
        if (read := _with_stated_offers(raw) or _with_vectors(raw, _parse_any_request)) is None:
            return None
    features, keys = read.features, 4 + len(read.features)
    if (limit := read.limit) is UNSET:
        limit = LIMIT_DEFAULT
    else:
        keys += 1
    if (offers := read.offers) is UNSET:
        offers = ids = None
    else:
        keys, ids = keys + 1, offers
        if offers and type(offers[0]) is not str:
            ids = [offer.offer_id for offer in offers]
            keys += sum(2 + len(offer.features) for offer in offers)
            offers = list(map(_requested_offer_of, offers))
    if (exclude := read.exclude) is UNSET:
        exclude = []
    else:
        keys += 1
    if (filters := read.filters) is UNSET:
        filters = []
    else:
        keys, filters = keys + 1 + 3 * len(filters), _filters_of(filters)
    if not (
        (((colons := raw.count(b":")) == keys and BACKSLASH not in raw) or is_sound(raw, colons, keys, read))
        and (is_printable(raw) or are_ids([read.request_id, read.customer_id, *(ids or ()), *exclude]))
        and are_names(features)
        and filters is not None
        and len(raw) <= RECORD_BYTES_MAX
    ):
        return None
    # Setting the fields one by one saves the call of `__init__`.
    message = _new(_Request)
    message.request_id, message.customer_id = read.request_id, read.customer_id
    message.event_time_ms, message.features = read.event_time_ms, features
    message.offers, message.exclude = offers, exclude
    message.filters, message.limit = filters, limit
    message.__class__ = CustomerRequest
    return message  # type: ignore[no-any-return]


def read_acceptance(raw: bytes) -> Acceptance | None:
    """Read an acceptance, or return None."""
    try:
        read = _parse_acceptance(raw)
    except UNREADABLE:
        return None
    if (request_time_ms := read.request_time_ms) is UNSET:
        request_time_ms, keys = None, 6
    else:
        keys = 7
    ids = (read.acceptance_id, read.request_id, read.customer_id, read.offer_id)
    if not (
        (((colons := raw.count(b":")) == keys and BACKSLASH not in raw) or is_sound(raw, colons, keys, read))
        and (is_printable(raw) or are_ids(ids))
        and len(raw) <= RECORD_BYTES_MAX
    ):
        return None
    message = _Acceptance(*ids, read.accepted, read.event_time_ms, request_time_ms)
    message.__class__ = Acceptance
    return message  # type: ignore[no-any-return]


def read_offer(raw: bytes) -> Offer | None:
    """Read an offer, or return None."""
    try:
        read: Any = _parse_offer(raw)
    except UNREADABLE:
        if (read := _with_vectors(raw, _parse_any_offer)) is None:
            return None
    given = [None if value is UNSET else value for value in (read.valid_from_ms, read.valid_until_ms)]
    unset = (read.active is UNSET) + (read.valid_from_ms is UNSET) + (read.valid_until_ms is UNSET)
    if not (
        is_sound(raw, raw.count(b":"), 5 - unset + len(read.features), read)
        and (is_printable(raw) or are_ids((read.offer_id,)))
        and are_names(read.features)
        and len(raw) <= RECORD_BYTES_MAX
    ):
        return None
    message = _Offer(read.offer_id, read.features, read.active is UNSET or read.active, *given)
    message.__class__ = Offer
    return message  # type: ignore[no-any-return]


def read_labels(raw: bytes) -> LabelledRanking | None:
    """Read a labelled ranking, or return None; it is our own record, and of any size."""
    try:
        read: Any = _parse_labels(raw)
    except UNREADABLE:
        if (read := _with_vectors(raw, _parse_any_labels)) is None:
            return None
    sides = _features_of(read)
    added = sum((one.tower_rank is not UNSET) + (one.reranker_score is not UNSET) for one in read.offers)
    if not (
        is_sound(raw, raw.count(b":"), 8 * len(sides) + sum(map(len, sides)) + added, read)
        and (
            is_printable(raw)
            or are_ids((read.request_id, read.customer_id, read.release_id, *[offer.offer_id for offer in read.offers]))
        )
        and all(map(are_names, sides))
    ):
        return None
    offers = list(map(_labelled_offer_of, read.offers))
    message = _LabelledRanking(
        read.request_id,
        read.revision,
        read.final,
        read.customer_id,
        read.request_time_ms,
        read.release_id,
        read.features,
        offers,
    )
    message.__class__ = LabelledRanking
    return message  # type: ignore[no-any-return]


def _with_vectors(raw: bytes, parse: Callable[[bytes], Any]) -> Any:
    """Return what is read by a shape that allows lists of numbers, or None; then lists must be looked at, too."""
    try:
        read = parse(raw)
    except UNREADABLE:
        return None
    lists = [value for features in _features_of(read) for value in features.values() if type(value) is list]
    return read if all(map(is_of_one_kind, lists)) else None


def _with_stated_offers(raw: bytes) -> StatingRequestShape | None:
    """Return a request whose offers are objects, each of another offer and with good features, or None."""
    if _OF_AN_OFFER not in raw or (read := _with_vectors(raw, _parse_stating_request)) is None:
        return None
    offers: list[RequestedOfferShape] = read.offers
    if len({offer.offer_id for offer in offers}) < len(offers) or not all(are_names(one.features) for one in offers):
        return None
    return read  # type: ignore[no-any-return]


def _features_of(read: Any) -> list[dict[str, Any]]:
    """Return the features of a message, and of its offers if it has any."""
    offers = read.offers if isinstance(read, LabelledRankingShape | StatingRequestShape) else ()
    return [read.features, *[offer.features for offer in offers]]


def _filters_of(shapes: list[FilterShape]) -> list[Filter] | None:
    """Return the filters, or None when one of them has a value that its operator does not take."""
    return list(map(_filter_of, shapes)) if all(map(_is_filter, shapes)) else None


def _is_filter(shape: FilterShape) -> bool:
    value, takes_list = shape.value, OPERATORS[shape.op].takes_list
    return takes_list and is_of_one_kind(value) if isinstance(value, list) else not takes_list


def _filter_of(shape: FilterShape) -> Filter:
    made = _Filter(shape.attribute, shape.op, shape.value)
    made.__class__ = Filter
    return made  # type: ignore[no-any-return]


def _requested_offer_of(shape: RequestedOfferShape) -> RequestedOffer:
    made = _RequestedOffer(shape.offer_id, shape.features)
    made.__class__ = RequestedOffer
    return made  # type: ignore[no-any-return]


def _labelled_offer_of(shape: LabelledOfferShape[Any]) -> LabelledOffer:
    fields = [getattr(shape, name) for name in LabelledOfferShape.__struct_fields__]
    made = _LabelledOffer(*[None if field is UNSET else field for field in fields])
    made.__class__ = LabelledOffer
    return made  # type: ignore[no-any-return]


def _open_twin(message_type: type) -> Any:
    """Return a class with the same slots as a message, whose objects can be made a message by setting their class.

    A frozen class sets its fields slowly, each through `object.__setattr__`, and pydantic would validate them again.
    """
    names = [field.name for field in dataclasses.fields(message_type)]
    return dataclasses.make_dataclass("OpenTwin", names, slots=True)


_Request = _open_twin(CustomerRequest)
_RequestedOffer = _open_twin(RequestedOffer)
_Filter = _open_twin(Filter)
_Acceptance = _open_twin(Acceptance)
_Offer = _open_twin(Offer)
_LabelledRanking = _open_twin(LabelledRanking)
_LabelledOffer = _open_twin(LabelledOffer)
