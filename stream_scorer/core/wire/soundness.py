"""Checks good records for what types (`shapes.py`) let pass.

That is a key twice, NUL, ids that are not printable, long names and lists of mixed kinds. A check may refuse what is
good, but never passes what is not.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from stream_scorer.core.messages import BAG_MAX, FEATURE_NAME_CHARS_MAX, Id
from stream_scorer.core.wire.shapes import any_object
from stream_scorer.core.wire.strict_json import BACKSLASH, may_hold_nul

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NAMES_KEPT_MAX = 4_096
_DELETE = 0x7F
_ESCAPED_COLON = b"\\u003"  # and a few other characters; the strict way reads those

_parse_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_write = msgspec.json.Encoder().encode
_good_names: set[str] = set()


def is_sound(raw: bytes, colons: int, keys: int, read: Any) -> bool:
    """Return whether the text has no key twice, no NUL, and nothing in unknown fields that is refused.

    `keys` is the number of keys that were read. If the text has just as many colons, then no key came twice, no string
    has a colon in it, which could hide a key that did, and there is no unknown field.

    Otherwise what was read is written again. That has a colon for each key that was read, and those of the strings that
    were read; so any key or string that was dropped is a colon less. Only an escaped colon would upset the count.
    """
    if BACKSLASH in raw and (may_hold_nul(raw) or (colons != keys and _ESCAPED_COLON in raw)):
        return False
    # Without unknown fields there are hardly more colons behind quotes than keys, whatever the strings have in them.
    if colons == keys or (raw.count(b'":') <= keys and _write(read).count(b":") == colons):
        return True
    try:
        unknown = _parse_fields(raw)
        for name in read.__struct_fields__:
            unknown.pop(name, None)
        more = _write(any_object().decode(_write(unknown))).count(b":")
        return (
            keys + more == colons
            or _write(read).count(b":") + more == colons
            or _write(any_object().decode(raw)).count(b":") == colons
        )
    except UNREADABLE:
        return False


def is_printable(raw: bytes) -> bool:
    """Return whether every text in this JSON is surely printable, without a look at its characters one by one.

    In JSON, control characters must be escaped; the only other ASCII character that is not printable is DEL.
    """
    return raw.isascii() and BACKSLASH not in raw and _DELETE not in raw


def are_ids(texts: Sequence[str]) -> bool:
    """Return whether all are printable: surely if they are to Python, and else if the contract's pattern allows them.

    Python refuses a few that the pattern allows, such as the joiners that Persian needs, or a no-break space.
    """
    return "".join(texts).isprintable() or _match_pattern(texts)


def _match_pattern(texts: Sequence[str]) -> bool:
    try:
        _ids().validate_python(list(texts))
    except ValidationError:
        return False
    return True


@cache
def _ids() -> TypeAdapter[list[str]]:
    return TypeAdapter(list[Id])


def are_names(features: dict[str, Any]) -> bool:
    """Return whether the names of features are of allowed lengths."""
    return _good_names.issuperset(features) or _are_new_names(features)


def _are_new_names(features: dict[str, Any]) -> bool:
    """Look at each name, and remember them: names are few, and come again and again."""
    if not all(0 < len(name) <= FEATURE_NAME_CHARS_MAX for name in features):
        return False
    if len(_good_names) > _NAMES_KEPT_MAX:
        _good_names.clear()
    _good_names.update(features)
    return True


def is_of_one_kind(values: list[Any]) -> bool:
    """Return whether a list has numbers only, or texts only and not too many; `sum` and `join` fail on any other."""
    try:
        if values and type(values[0]) is str:
            "".join(values)
            return len(values) <= BAG_MAX
        sum(values)
    except TypeError:
        return False
    return True
