"""Records to messages and dead letters, and messages to bytes. No record makes anything here raise."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from stream_scorer.core.messages import (
    BAG_MAX,
    RECORD_BYTES_MAX,
    STRING_CHARS_MAX,
    VECTOR_MAX,
    Acceptance,
    CustomerRequest,
    LabelledExample,
    LabelledRanking,
    Offer,
    RankedOffer,
    Ranking,
)
from stream_scorer.core.records import DeadLetter, FormedRecord, Record
from stream_scorer.core.wire.fast_decoding import read_acceptance, read_labels, read_offer, read_request
from stream_scorer.core.wire.strict_json import Path, Refusal, loads_strict, path_text

__all__ = ["Decoded", "Refusal", "decode_all", "encode", "encode_without_absent", "loads_strict", "refusal_of"]

Message = TypeVar("Message")

_WRITTEN_BY_USERS = {CustomerRequest, Acceptance, Offer}  # our own records were bounded when they were written
_READ_PLAIN: dict[Any, Callable[[bytes], Any]] = {
    CustomerRequest: read_request,
    Acceptance: read_acceptance,
    Offer: read_offer,
    LabelledRanking: read_labels,
}
_FEATURES = ("features", "customer_features", "offer_features")
_CODES = {
    "missing": "missing_field",
    "string_too_long": "text_too_long",
    "string_too_short": "text_too_short",
    "string_pattern_mismatch": "not_printable",
    "greater_than_equal": "number_out_of_range",
    "less_than_equal": "number_out_of_range",
    "greater_than": "number_out_of_range",
    "literal_error": "unknown_value",
    "filter_value": "filter_value",
    "offer_twice": "offer_twice",
}
_WORDS = {
    "string_pattern_mismatch": "text must be printable, without control characters or line breaks",
    "dataclass_type": "Input should be an object",
}

encode = msgspec.json.Encoder().encode
"""Write a message as canonical bytes: fields in their stated order, no spaces, floats that read back the same."""


MAY_BE_ABSENT = ("tower_rank", "reranker_score")


def _writable(kind: Any, **nested: Any) -> Any:
    """Return a struct with a message's fields, which leaves out those that may be absent where they are None."""
    names = [each.name for each in fields(kind)]
    always = [(name, nested.get(name, Any)) for name in names if name not in MAY_BE_ABSENT]
    added = [(name, Any, None) for name in names if name in MAY_BE_ABSENT]
    return msgspec.defstruct(f"Writable{kind.__name__}", [*always, *added], omit_defaults=True)


_WRITABLE = {
    Ranking: _writable(Ranking, offers=list[_writable(RankedOffer)]),  # type: ignore[misc]
    LabelledExample: _writable(LabelledExample),
}


def encode_without_absent(message: Ranking | LabelledExample) -> bytes:
    """Write a message as `encode` does, without what only releases with a re-ranker state where it is not there."""
    return encode(msgspec.convert(message, _WRITABLE[type(message)], from_attributes=True))


@dataclass(frozen=True, slots=True)
class Decoded(Generic[Message]):
    """`messages[i]` was read from `records[i]`; what could not be read is in `dead_letters`, in order."""

    messages: list[Message]
    records: list[Record]
    dead_letters: list[DeadLetter]


def decode_all(records: Sequence[Record], message_type: type[Message]) -> Decoded[Message]:
    """Read every record on its own, so that a bad one harms only itself; what users write is bounded in size."""
    kind: Any = message_type
    read_plain = _READ_PLAIN.get(kind, _cannot)
    decoded: Decoded[Message] = Decoded([], [], [])
    for record in records:
        message = read_plain(record.value or b"")
        if message is None:
            message = _refusal_of_form(record) or _read_strictly(record.value, kind)
            if isinstance(message, Refusal):
                decoded.dead_letters.append(DeadLetter(record, message.code, message.message))
                continue
        decoded.messages.append(message)
        decoded.records.append(record)
    return decoded


def _cannot(_raw: bytes) -> None:
    """Return None, which leaves the record to the strict way."""


def _refusal_of_form(record: Record) -> Refusal | None:
    return Refusal(record.code, record.reason) if isinstance(record, FormedRecord) and record.code else None


def _read_strictly(raw: bytes | None, message_type: Any) -> Any:
    """Return the message, or the refusal that names what is wrong with it."""
    parsed = loads_strict(raw, bytes_max=RECORD_BYTES_MAX if message_type in _WRITTEN_BY_USERS else sys.maxsize)
    if isinstance(parsed, Refusal):
        return parsed
    try:
        return _adapter(message_type).validator.validate_python(parsed)
    except ValidationError as error:
        return refusal_of(error, parsed)


@cache
def _adapter(message_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(message_type)


def refusal_of(error: ValidationError, parsed: dict[str, Any]) -> Refusal:
    """Name the first fault: its code, the field's path and the bound; never the data."""
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = _field_path(details["loc"])
    if details["loc"][-1] != "[key]" and len(path) > 1 and path[-2] in _FEATURES:
        return _value_refusal(path, _at(path, parsed), numbers_max=VECTOR_MAX)
    if path[-1] == "value" and details["type"] != "missing":
        return _value_refusal(path, _at(path, parsed), numbers_max=BAG_MAX)
    return Refusal(_code(details, path), f"{path_text(path)}: {_words(details)}")


def _field_path(location: Path) -> Path:
    """Cut off the union branches that were tried, and say nothing of how a request's offers were read."""
    if location[0] == "offers" and location[1:] and isinstance(location[1], str):
        location = (location[0], *location[2:])
    for place, part in enumerate(location):
        if part in _FEATURES:
            return location[: place + 2]
        if part == "value":
            return location[: place + 1]
    return location


def _at(path: Path, parsed: Any) -> object:
    for part in path:
        parsed = parsed[part]
    return parsed


def _code(details: ErrorDetails, path: Path) -> str:
    if details["type"] == "too_long":
        return "too_many_features" if path[-1] in _FEATURES else "list_too_long"
    if details["type"] == "literal_error" and path[-1] == "op":
        return "unknown_filter_op"
    return _CODES.get(details["type"], "wrong_type")


def _words(details: ErrorDetails) -> str:
    return _WORDS.get(details["type"], details["msg"])


def _value_refusal(path: Path, value: object, *, numbers_max: int) -> Refusal:
    """Return why the value of a feature or a filter is of none of the kinds that it may be."""
    place = path_text(path)
    kinds = {_kind(element) for element in value} if isinstance(value, list) else set()
    if len(kinds) > 1:
        return Refusal("mixed_list", f"{place}: a list must hold texts only or numbers only")
    if isinstance(value, list) and len(value) > (BAG_MAX if kinds == {"text"} else numbers_max):
        return Refusal("list_too_long", f"{place}: a list must have at most {BAG_MAX} texts or {numbers_max} numbers")
    if isinstance(value, str) or kinds == {"text"}:
        return Refusal("text_too_long", f"{place}: text must be at most {STRING_CHARS_MAX} characters")
    return Refusal("wrong_type", f"{place}: the value must be a number, text, a bool, or a list of texts or of numbers")


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else "other"
