"""Messages as a program makes them, checked as the ranker checks what it reads."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from stream_scorer.core.messages import Acceptance, CustomerRequest, Offer
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import BadMessage, UsageError

Given = TypeVar("Given", CustomerRequest, Acceptance, Offer)


def fields_of(given: object) -> dict[str, Any]:
    """Return a message's fields, or those of a mapping that stands for it. Raises UsageError for anything else."""
    if isinstance(given, Mapping):
        return dict(given)
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return dataclasses.asdict(given)
    raise UsageError(f"a message or a mapping of its fields is needed, got {type(given).__name__}")


def as_json(fields: Mapping[str, Any]) -> bytes:
    """Return the fields as the JSON that a topic carries; numpy's scalars and arrays become what they contain.

    Raises UsageError for what JSON cannot say.
    """
    try:
        # Not msgspec, which writes NaN and infinity as null: a value that is wrong would become one that is missing.
        # So written, the reader refuses them.
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"this cannot be written as JSON: {error}") from None
    return text.encode("utf-8", "surrogatepass")


def _plain(value: object) -> object:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__}")


def checked(given: Given | Mapping[str, Any], kind: type[Given]) -> tuple[Given, bytes]:
    """Return a message as the ranker would read it, and its bytes.

    Raises BadMessage with the reason and the code of the dead letter that it would become.
    """
    value = as_json(fields_of(given))
    decoded = decode_all([Record("", 0, 0, None, value, 0)], kind)
    for letter in decoded.dead_letters:
        raise BadMessage(kind.__name__, letter.message, letter.code)
    return decoded.messages[0], value
