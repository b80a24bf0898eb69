"""The table of types: which values a column of each kind takes, and what they become. docs/tables.md shows it to users.

A value's category is the same whichever file it comes from: a decimal is a decimal in Arrow, and 5 is an integer in
JSON, in CSV and in an int8. Every pair of kind and category either has a conversion here or is refused. Null stays null
in every kind.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from stream_scorer.core.wire.strict_json import INT64_MAX, INT64_MIN, Refusal, loads_strict

TIME = "time"  # Arrow's timestamps and dates; as they arrive as milliseconds, only the column's type shows it

# looked up by exact type, since isinstance takes a bool for an integer
_CATEGORIES: dict[type, str] = {
    bool: "bool",
    int: "integer",
    float: "number",
    Decimal: "decimal",
    str: "text",
    UUID: "uuid",
    bytes: "bytes",
    list: "list",
    dict: "object",
}


_Conversion = Callable[[Any], Any]


class Misfit(ValueError):
    """The reason why a value has no conversion; the caller, who knows where the value is, adds the place."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column is for.

    `takes` maps each category of values that fits to its conversion; values of the types in `plain` need none.
    """

    name: str
    takes: Mapping[str, _Conversion]
    plain: frozenset[Any] = frozenset()

    def check(self, category: str) -> None:
        """Raise Misfit for a category that this kind does not take."""
        if category not in self.takes and category != "null":
            raise Misfit(f"must be {self.name}, not {_ADVICE.get(category, category)}")

    def convert(self, value: object) -> Any:
        """Return what a value becomes. Raises Misfit for a value that does not fit."""
        if value is None:
            return None
        category = _CATEGORIES.get(type(value), "other")
        self.check(category)
        return self.takes[category](value)

    def are_plain(self, values: Sequence[object]) -> bool:
        """Return whether all values need no conversion. Only their types are compared, without a loop in Python."""
        return set(map(type, values)) <= self.plain


_ADVICE = {
    "bytes": "bytes: cast them to text",
    "time": "a time: cast it to the type that is meant",
    "object": "an object or a map: give each of its values a column of its own",
    "other": "a type that has no meaning here (a duration, a time of day, …): cast it",
}


def _same(value: Any) -> Any:
    return value


def _text(value: str) -> str:
    if "\0" in value:
        raise Misfit("NUL is not allowed in text")
    return value


def _int64(value: int) -> int:
    if not INT64_MIN <= value <= INT64_MAX:
        raise Misfit(f"integers must be within {INT64_MIN} and {INT64_MAX}")
    return value


def _whole(value: float | Decimal) -> int | None:
    """Return a number without a fraction as an integer, and None for NaN, by which tables mark a missing number."""
    if math.isnan(value):
        return None
    if not math.isfinite(value) or value != int(value):
        raise Misfit("must be a whole number")
    if isinstance(value, float) and abs(value) > 2**53:
        raise Misfit("a double this large is not exact: cast the column to an integer or to text")
    return _int64(int(value))


def _whole_text(value: float | Decimal) -> str | None:
    whole = _whole(value)
    return None if whole is None else str(whole)


def _number(value: float | Decimal) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise Misfit("numbers must be finite")
    return None if math.isnan(number) else number


def _flag(value: float | Decimal) -> bool | None:
    if value in (0, 1):
        return bool(value)
    if math.isnan(value):
        return None
    raise Misfit("must be true or false, or 0 or 1")


def _label(value: float | Decimal) -> int | None:
    if value in (0, 1):
        return int(value)
    if math.isnan(value):
        return None
    raise Misfit("must be 0 or 1, or true or false: decide from which rating on an offer counts as accepted")


def _elements(kind: Kind, values: list[object]) -> list[Any]:
    converted = values if kind.are_plain(values) else [kind.convert(value) for value in values]
    if None in converted:
        raise Misfit("a list must not hold nulls")
    return converted


def _vector(values: list[object]) -> list[Any]:
    # any numbers pass: only the code that uses a vector knows what its numbers must be together
    return values if set(map(type, values)) <= {float, int} else _elements(NUMBER, values)


def _feature_list(values: list[object]) -> list[Any]:
    converted = _elements(_ELEMENT, values)
    if len({isinstance(value, str) for value in converted}) > 1:
        raise Misfit("a list must hold texts only or numbers only")
    return converted


def _features(values: Mapping[Any, object]) -> dict[str, object]:
    converted = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise Misfit("names of features must be text")
        try:
            converted[name] = FEATURE.convert(value)
        except Misfit as misfit:
            raise Misfit(f"{name}: {misfit}") from None
    return converted


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object as strictly as a record. Raises Misfit for text that is refused."""
    try:
        parsed = loads_strict(text.encode())
    except UnicodeEncodeError:
        raise Misfit("lone surrogates are not allowed in text") from None
    if isinstance(parsed, Refusal):
        raise Misfit(f"must be a JSON object: {parsed.message}")
    return parsed


def _json_list(text: str) -> list[object]:
    # wrapped in an object, so that the strict parser of records reads lists, too
    parsed = json_object(f'{{"list":{text}}}')
    found = parsed.get("list")
    if len(parsed) > 1 or not isinstance(found, list):  # '[1],"x":2' would be an object of two keys
        raise Misfit("must be a JSON list")
    return found


_WHOLE_ID: Mapping[str, _Conversion] = {"integer": str, "number": _whole_text, "decimal": _whole_text}
_WHOLE: Mapping[str, _Conversion] = {"integer": _int64, "number": _whole, "decimal": _whole}
_NUMBERS: Mapping[str, _Conversion] = {"integer": _number, "number": _number, "decimal": _number}
_SCALARS: Mapping[str, _Conversion] = {
    "bool": _same,
    "integer": _int64,
    "number": _number,
    "decimal": _number,
    "text": _text,
    "uuid": str,
    TIME: _int64,
}
_TEXT: frozenset[Any] = frozenset({str, type(None)})

ID = Kind("an id: text, or a whole number", {"text": _text, "uuid": str, **_WHOLE_ID}, _TEXT)
WORD = Kind("text", {"text": _text}, _TEXT)
INTEGER = Kind("a whole number", _WHOLE)
TIME_MS = Kind("a time: a timestamp, a date, or whole milliseconds since 1970", {TIME: _int64, **_WHOLE})
NUMBER = Kind("a number", _NUMBERS)
FLAG = Kind(
    "true or false", {"bool": _same, "integer": _flag, "number": _flag, "decimal": _flag}, frozenset({bool, type(None)})
)
LABEL = Kind("0 or 1, or true or false", {"bool": int, "integer": _label, "number": _label, "decimal": _label})
_ELEMENT = Kind("text or a number, as all in its list", {name: _SCALARS[name] for name in _SCALARS if name != "bool"})
FEATURE = Kind(
    "a number, text, a bool, or a list of texts or of numbers",
    {**_SCALARS, "list": _feature_list},
)
FEATURES = Kind(
    "a JSON object, a struct or a map", {"object": _features, "text": lambda text: _features(json_object(text))}
)
IDS = Kind("a list of ids", {"list": partial(_elements, ID), "text": lambda text: _elements(ID, _json_list(text))})
VECTOR = Kind("a list of numbers", {"list": _vector, "text": lambda text: _vector(_json_list(text))})
JSON = Kind("a list of objects", {"list": _same, "text": _json_list})
ANY = Kind("a JSON value", {**_SCALARS, "list": _same, "object": _same})
