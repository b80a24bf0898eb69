"""Feature values that do not fit: each is an error of its row alone, whose message never states the value."""

from collections.abc import Sequence
from dataclasses import dataclass

Values = Sequence[object]

_NAME_OF = {str: "string", bool: "bool", int: "number", float: "number", type(None): "null", dict: "object"}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why one row cannot be embedded; `message` names the feature, never its value."""

    index: int
    code: str
    message: str


Errors = dict[int, RowError]  # the first error of a row counts


def refuse(errors: Errors, index: int, code: str, message: str) -> bool:
    """Note an error of a row that has none yet; return False, so that a check can refuse in its return."""
    errors.setdefault(index, RowError(index, code, message))
    return False


def kind_of(value: object) -> str:
    """Name a value's kind as JSON does."""
    if isinstance(value, list | tuple):
        return f"a list of {kind_of(value[0])}s" if value else "an empty list"
    return _NAME_OF.get(type(value), "other")
