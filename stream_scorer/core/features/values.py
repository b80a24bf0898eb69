"""Values of features that do not fit: an error of their row alone, named by the feature and never by the value."""

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
    """Note an error of a row, unless it has one; False, for what does not fit."""
    errors.setdefault(index, RowError(index, code, message))
    return False


def kind_of(value: object) -> str:
    """Name a value's kind as JSON does."""
    if isinstance(value, list | tuple):
        return f"a list of {kind_of(value[0])}s" if value else "an empty list"
    return _NAME_OF.get(type(value), "other")
