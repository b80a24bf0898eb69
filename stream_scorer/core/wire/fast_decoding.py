"""The short way to read a request, an acceptance or labels of the usual shape: by the compiled parser alone.

It returns None for anything that it cannot prove to be good; the strict way then reads that and names the fault.
Whatever it returns equals what the strict way returns, which a test holds.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from stream_scorer.core import messages as contract
from stream_scorer.core.messages import Acceptance, CustomerRequest, LabelledOffer, LabelledRanking
from stream_scorer.core.wire.strict_json import may_hold_nul

Message = TypeVar("Message")

_BEYOND = 2.0**63  # integers are read as floats here: one beyond an int64 is at least this large

_Id = Annotated[str, Meta(min_length=1, max_length=contract.ID_CHARS_MAX)]
_TimeMs = Annotated[int, Meta(ge=0, le=contract.TIME_MS_MAX)]
_Text = Annotated[str, Meta(max_length=contract.STRING_CHARS_MAX)]
_Name = Annotated[str, Meta(min_length=1, max_length=contract.FEATURE_NAME_CHARS_MAX)]
_List = Annotated[list[float | _Text], Meta(max_length=contract.BAG_MAX)]
_Features = Annotated[dict[_Name, float | _Text | bool | _List | None], Meta(max_length=contract.FEATURE_NAMES_MAX)]
_Ids = Annotated[list[_Id], Meta(max_length=contract.OFFERS_MAX)]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    request_id: _Id
    customer_id: _Id
    event_time_ms: _TimeMs
    features: _Features
    offers: _Ids | UnsetType | None = UNSET
    exclude: _Ids | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=contract.LIMIT_MAX)] | UnsetType = UNSET


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    acceptance_id: _Id
    request_id: _Id
    customer_id: _Id
    offer_id: _Id
    accepted: bool
    event_time_ms: _TimeMs
    request_time_ms: _TimeMs | UnsetType | None = UNSET


class _LabelledFields(msgspec.Struct, forbid_unknown_fields=True):
    offer_id: _Id
    rank: Annotated[int, Meta(ge=1, le=contract.LIMIT_MAX)]
    score: float
    propensity: Annotated[float, Meta(gt=0, le=1)]
    features: _Features
    accepted: Literal[0, 1] | None
    cause: Literal["accepted", "declined", "window_closed", "late_acceptance"] | None
    label_time_ms: _TimeMs | None


class _Labels(msgspec.Struct, forbid_unknown_fields=True):
    request_id: _Id
    revision: Annotated[int, Meta(ge=1, le=contract.REVISION_MAX)]
    final: bool
    customer_id: _Id
    request_time_ms: _TimeMs
    release_id: _Id
    features: _Features
    offers: Annotated[list[_LabelledFields], Meta(max_length=contract.LIMIT_MAX)]


_parse_request = msgspec.json.Decoder(_Request).decode
_parse_answer = msgspec.json.Decoder(_Answer).decode
_parse_labels = msgspec.json.Decoder(_Labels).decode


def read_request(raw: bytes) -> CustomerRequest | None:
    """Read a request without filters, or return None.

    Unknown fields are refused here, so the number of keys is known. If the text has just as many colons, then no key
    came twice, and no string has a colon in it, which could hide a key that did.
    """
    try:
        read = _parse_request(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    offers = None if read.offers is UNSET else read.offers
    exclude = [] if read.exclude is UNSET else read.exclude
    keys = 4 + len(read.features) + (read.offers is not UNSET) + (read.exclude is not UNSET) + (read.limit is not UNSET)
    if raw.count(b":") != keys or may_hold_nul(raw) or len(raw) > contract.RECORD_BYTES_MAX:
        return None
    if not (read.request_id.isprintable() and read.customer_id.isprintable()):
        return None
    if not (_are_plain(read.features) and _are_printable(offers or ()) and _are_printable(exclude)):
        return None
    limit = contract.LIMIT_DEFAULT if read.limit is UNSET else read.limit
    return _make_request(
        read.request_id, read.customer_id, read.event_time_ms, read.features, offers, exclude, [], limit
    )


def read_acceptance(raw: bytes) -> Acceptance | None:
    """Read an acceptance, or return None; see `read_request`."""
    try:
        read = _parse_answer(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    ids = (read.acceptance_id, read.request_id, read.customer_id, read.offer_id)
    if (
        raw.count(b":") != 6 + (read.request_time_ms is not UNSET)
        or not _are_printable(ids)
        or len(raw) > contract.RECORD_BYTES_MAX
    ):
        return None
    request_time_ms = None if read.request_time_ms is UNSET else read.request_time_ms
    return _make_acceptance(*ids, read.accepted, read.event_time_ms, request_time_ms)


def read_labels(raw: bytes) -> LabelledRanking | None:
    """Read a labelled ranking, or return None; see `read_request`."""
    try:
        read = _parse_labels(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    keys = 8 + len(read.features) + sum(8 + len(offer.features) for offer in read.offers)
    if raw.count(b":") != keys or may_hold_nul(raw):
        return None
    if not _are_printable(
        (read.request_id, read.customer_id, read.release_id, *(offer.offer_id for offer in read.offers))
    ):
        return None
    if not (
        _are_plain(read.features)
        and all(_are_plain(offer.features) and abs(offer.score) < _BEYOND for offer in read.offers)
    ):
        return None
    offers = [
        _make_labelled(*(getattr(offer, name) for name in _LabelledFields.__struct_fields__)) for offer in read.offers
    ]
    return _make_labels(
        read.request_id,
        read.revision,
        read.final,
        read.customer_id,
        read.request_time_ms,
        read.release_id,
        read.features,
        offers,
    )


def _are_printable(texts: Iterable[str]) -> bool:
    """Return whether all are printable to Python; then they match the contract's pattern as well."""
    return all(map(str.isprintable, texts))


def _are_plain(features: dict[str, Any]) -> bool:
    """Return whether no list mixes texts and numbers, and no number could have been an integer beyond an int64."""
    for value in features.values():
        kind = type(value)
        if kind is float:
            if not -_BEYOND < value < _BEYOND:
                return False
        elif kind is list and value:
            kinds = set(map(type, value))
            if len(kinds) > 1 or (kinds == {float} and not (min(value) > -_BEYOND and max(value) < _BEYOND)):
                return False
    return True


def _maker(message_type: type[Message]) -> Callable[..., Message]:
    """Return what makes a message of values that are known to be good, in the order of its fields.

    A frozen class sets its fields slowly, each through `object.__setattr__`. So an open twin with the same slots is
    filled, and is then given the message's class.
    """
    names = [field.name for field in dataclasses.fields(message_type)]  # type: ignore[arg-type]
    open_twin: Any = dataclasses.make_dataclass("OpenTwin", names, slots=True)

    def make(*values: object) -> Message:
        message: Message = open_twin(*values)
        message.__class__ = message_type
        return message

    return make


_make_request = _maker(CustomerRequest)
_make_acceptance = _maker(Acceptance)
_make_labelled = _maker(LabelledOffer)
_make_labels = _maker(LabelledRanking)
