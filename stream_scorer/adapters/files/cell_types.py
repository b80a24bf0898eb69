"""Types for the cells of a CSV file, which has none: a column is what all its filled cells are.

Tried in this order: whole numbers, numbers, bools, JSON lists and objects; else text. Columns that end in `_id` are text, and so
is a number with leading zeros or beyond the digits that a double keeps.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,14})")
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?")
_BOOLS = {"true": True, "false": False}


def _is_integer(cell: str) -> bool:
    return _INTEGER.fullmatch(cell) is not None


def _is_number(cell: str) -> bool:
    if _NUMBER.fullmatch(cell) is None:
        return False
    with suppress(ValueError):
        return math.isfinite(float(cell))
    return False


def _is_bool(cell: str) -> bool:
    return cell.lower() in _BOOLS


def _is_json(cell: str) -> bool:
    if cell[0] not in "[{":
        return False
    with suppress(msgspec.DecodeError):
        msgspec.json.decode(cell)
        return True
    return False


class _Kind(NamedTuple):
    fits: Callable[[str], bool]
    parse: Callable[[str], Any]


_INTEGERS, _NUMBERS = _Kind(_is_integer, int), _Kind(_is_number, float)
_TEXT = _Kind(lambda cell: True, str)
_KINDS = (
    _INTEGERS,
    _NUMBERS,
    _Kind(_is_bool, lambda cell: _BOOLS[cell.lower()]),
    _Kind(_is_json, msgspec.json.decode),
    _TEXT,
)


class ColumnTypes:
    """The types of the columns of some rows."""

    def __init__(self, rows: Iterable[tuple[int, Mapping[str, str]]]) -> None:
        """Look at every cell."""
        self._kinds: dict[str, _Kind] = {}
        for _, row in rows:
            for name, cell in row.items():
                if cell:
                    self._look(name, cell)

    def _look(self, name: str, cell: str) -> None:
        kind = self._kinds.get(name)
        if kind is None:
            self._kinds[name] = _TEXT if name.endswith("_id") else next(kind for kind in _KINDS if kind.fits(cell))
        elif not kind.fits(cell):
            self._kinds[name] = _NUMBERS if kind is _INTEGERS and _NUMBERS.fits(cell) else _TEXT

    def typed(self, row: Mapping[str, str]) -> dict[str, Any]:
        """Return the cells of one row as what they are; an empty one is None."""
        return {name: self._kinds[name].parse(cell) if cell else None for name, cell in row.items()}
