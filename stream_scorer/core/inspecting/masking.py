"""Hides personal data in what people are shown: ids, features and the values of records, never their form."""

import re
from typing import Any

import msgspec

SHOWN_MAX = 2_000
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
# Fields of the contract that say when and what was asked, and nothing of whom.
_PLAIN = frozenset(
    (
        "accepted",
        "active",
        "attribute",
        "event_time_ms",
        "limit",
        "offer_id",
        "op",
        "request_time_ms",
        "valid_from_ms",
        "valid_until_ms",
    )
)


def masked_id(text: str) -> str:
    """Return the first and the last character of an id, so that two of them can be told apart at a glance."""
    return "••••" if len(text) < 6 else f"{text[0]}••••{text[-1]}"


def masked_value(value: bytes) -> str:
    """Return JSON with its fields, and kinds in place of values; of anything else its form: letters x, digits 9."""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _form(value[:SHOWN_MAX].decode(errors="replace"))
    return msgspec.json.format(msgspec.json.encode(_masked(decoded)), indent=2).decode()[:SHOWN_MAX]


def masked_feature(value: object) -> str:
    """Return what kind of value a feature has."""
    if isinstance(value, str):
        return f"text of {len(value)}"
    if isinstance(value, list):
        return f"list of {len(value)}"
    return {bool: "true or false", type(None): "null"}.get(type(value), "number")


def _form(text: str) -> str:
    return _DIGIT.sub("9", _LETTER.sub("x", text))


def _masked(value: Any, plain: frozenset[str] = _PLAIN) -> Any:
    if isinstance(value, dict):
        return {name: _field(name, each, plain) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, plain) for each in value[:10]]
    return f"({masked_feature(value)})"


def _field(name: str, value: Any, plain: frozenset[str]) -> Any:
    if name in plain and not isinstance(value, dict | list):
        return value
    # a customer's feature may have the name of such a field: a limit is then the customer's
    return _masked(value, frozenset() if name == "features" else plain)
