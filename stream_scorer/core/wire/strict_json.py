"""JSON without its traps: what RFC 8259 leaves open and what spoils data silently is refused, each by a code.

The parser itself refuses NaN, infinities, 1e999, lone surrogates, bad UTF-8, byte order marks and trailing text. It
lets a key twice in one object, NUL, integers beyond int64 and deep nesting pass. Those are ruled out by counting bytes
where that proves it, which costs next to nothing, and by a slow exact look where it does not.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from stream_scorer.core.messages import FEATURE_NAME_CHARS_MAX, NESTING_MAX, RECORD_BYTES_MAX

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ZERO_FOR_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_NINETEEN_DIGITS = b"0" * 19  # shorter integers fit an int64
_ESCAPED_NUL = b"\\u0000"
BACKSLASH = ord("\\")  # looked for as a number, which is seven times as fast as as bytes

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value is refused; `message` names places and bounds, never the data."""

    code: str
    message: str


def loads_strict(raw: bytes | None, *, bytes_max: int = RECORD_BYTES_MAX) -> dict[str, Any] | Refusal:
    """Parse a JSON object, or return why it is refused; never raises."""
    if not raw:
        return Refusal("empty_value", "the record has no value")
    if len(raw) > bytes_max:
        return Refusal("record_too_large", f"the value must be at most {bytes_max} bytes, got {len(raw)}")
    try:
        parsed = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _parse_refusal(raw, error)
    if type(parsed) is not dict:
        return Refusal("not_an_object", f"the value must be an object, got {_kind(parsed)}")
    if _is_plain(raw, parsed):
        return parsed
    return _fault(parsed, ()) or _duplicate_key(raw) or parsed


def path_text(path: Path) -> str:
    """Write a path as a.b[0].c; names that could hold more than a name are left out."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_safe_name(part)}"
    return text.removeprefix(".")


def _safe_name(name: str) -> str:
    return name if name.isprintable() and 0 < len(name) <= FEATURE_NAME_CHARS_MAX else "?"


def _is_plain(raw: bytes, parsed: dict[str, Any]) -> bool:
    """Prove from counts that no guard can fail; False when they leave it open.

    There is a colon per key in the text. If there are as many colons as distinct keys were parsed, no key came twice;
    if there are as many brackets as containers were found near the top, nothing is nested deeper.
    """
    keys, objects, arrays = _shape(parsed, NESTING_MAX)
    return (
        raw.count(b":") == keys
        and raw.count(b"{") == objects
        and raw.count(b"[") == arrays
        and not may_hold_nul(raw)
        and _NINETEEN_DIGITS not in raw.translate(_ZERO_FOR_DIGITS)
    )


def may_hold_nul(raw: bytes) -> bool:
    """Return whether there is an escaped NUL, or what looks like it."""
    return BACKSLASH in raw and _ESCAPED_NUL in raw


def _shape(parsed: dict[str, Any], depth_max: int) -> tuple[int, int, int]:
    """Count keys, objects and arrays, looking into arrays only where their first element is an object."""
    keys, objects, arrays = len(parsed), 1, 0
    for value in parsed.values():
        kind = type(value)
        if kind is list:
            arrays += 1
            inner = value if value and type(value[0]) is dict else ()
        elif kind is dict:
            inner = (value,)
        else:
            continue
        for element in inner:
            if type(element) is not dict or depth_max <= 3:  # an array in it would lie two deeper
                continue
            more = _shape(element, depth_max - 2)
            keys, objects, arrays = keys + more[0], objects + more[1], arrays + more[2]
    return keys, objects, arrays


def _fault(value: object, path: Path) -> Refusal | None:
    """Return the refusal of the first value that is too deep or too large or has a NUL in it."""
    if isinstance(value, str):
        return Refusal("nul_in_string", f"{path_text(path)}: NUL is not allowed in text") if "\0" in value else None
    if isinstance(value, int):
        fits = INT64_MIN <= value <= INT64_MAX
        return (
            None
            if fits
            else Refusal(
                "number_out_of_range", f"{path_text(path)}: integers must be within {INT64_MIN} and {INT64_MAX}"
            )
        )
    if not isinstance(value, dict | list):
        return None
    if len(path) >= NESTING_MAX:
        return Refusal("too_deep", f"objects and lists must be nested at most {NESTING_MAX} deep")
    if isinstance(value, dict):
        faults = (_fault(name, path) or _fault(inner, (*path, name)) for name, inner in value.items())
    else:
        faults = (_fault(inner, (*path, place)) for place, inner in enumerate(value))
    return next(filter(None, faults), None)


class _Trap(Exception):
    """Carries a refusal out of the parser's hooks."""


def _duplicate_key(raw: bytes) -> Refusal | None:
    try:
        json.loads(raw, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    except _Trap as fault:
        return Refusal("duplicate_key", f"the key {fault.args[0]} is given twice in one object")
    return None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _Trap(_safe_name(counts.most_common(1)[0][0]))
    return unique


def _parse_refusal(raw: bytes, error: Exception) -> Refusal:
    """Return which trap it was; the parser's own message may quote the data, and is not passed on."""
    if raw.startswith(_BYTE_ORDER_MARK):
        return Refusal("byte_order_mark", "the value must not begin with a byte order mark")
    try:
        text = raw.decode()
    except UnicodeDecodeError as fault:
        return Refusal("not_utf8", f"the value is not UTF-8 at byte {fault.start}")
    if isinstance(error, RecursionError):
        return Refusal("too_deep", f"objects and lists must be nested at most {NESTING_MAX} deep")
    if isinstance(error, msgspec.ValidationError):
        return Refusal("number_out_of_range", "numbers must be within the range of a double")
    return _grammar_refusal(text)


def _grammar_refusal(text: str) -> Refusal:
    """Distinguish NaN and lone surrogates, which the standard library accepts, from text that is no JSON at all."""
    try:
        parsed = json.loads(text, parse_constant=_constant, parse_int=str, parse_float=str)
        json.dumps(parsed, ensure_ascii=False).encode()
    except _Trap:
        return Refusal("nan_or_infinity", "NaN and infinities are not allowed")
    except UnicodeEncodeError:
        return Refusal("lone_surrogate", "lone surrogates are not allowed in text")
    except json.JSONDecodeError as fault:
        return Refusal("not_json", f"the value is not JSON at character {fault.pos}")
    except RecursionError:
        return Refusal("too_deep", f"objects and lists must be nested at most {NESTING_MAX} deep")
    return Refusal("not_json", "the value is not JSON")


def _constant(name: str) -> NoReturn:
    raise _Trap(name)


def _kind(value: object) -> str:
    names = {bool: "a bool", int: "a number", float: "a number", str: "text", list: "a list", type(None): "null"}
    return names[type(value)]
