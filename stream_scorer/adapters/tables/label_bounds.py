"""Checks whole columns of files against the bounds that LabelledExample sets on topics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from stream_scorer.adapters.tables.columns import Coded, Column, Floats, Ints, check_distinct, check_each
from stream_scorer.adapters.tables.kinds import ID, INTEGER, LABEL, NUMBER, TIME_MS, WORD
from stream_scorer.core.messages import ID_CHARS_MAX, LIMIT_MAX, TIME_MS_MAX, Id

_ID = TypeAdapter(Id)
_ABSENT = -(2**63)  # stands for null: no integer of the contract is negative
# by column: its kind, what null becomes, and the least and the greatest value
_INTEGERS = {
    "request_time_ms": (TIME_MS, 0, 0, TIME_MS_MAX),
    "label_time_ms": (TIME_MS, 0, 0, TIME_MS_MAX),
    "rank": (INTEGER, 0, 1, LIMIT_MAX),
    "tower_rank": (INTEGER, 0, 1, LIMIT_MAX),
    "revision": (INTEGER, 1, 1, 2**63 - 1),
}
_SHARES = ("propensity", "keep_prob")


def checked_ids(column: Column, *, required: bool = False) -> Coded:
    """Return the ids.

    Raises UsageError for an id that is empty, too long or not printable, and for null where an id is required.
    """

    def fault(value: str | None) -> str | None:
        if value is None:
            return "must not be null" if required else None
        # whatever passes here is valid; the rest, which is rare, gets the contract's own and slower check
        return None if 0 < len(value) <= ID_CHARS_MAX and value.isprintable() else _id_fault(value)

    coded = column.coded(ID)
    check_distinct(column.place, coded, fault)
    return coded


def _id_fault(value: str) -> str | None:
    try:
        _ID.validate_python(value)
    except ValidationError:
        return f"must be 1 to {ID_CHARS_MAX} printable characters"
    return None


def checked_words(column: Column, words: tuple[str, ...]) -> Coded:
    """Return texts. Raises UsageError for a text that is not among `words`; null passes."""
    coded = column.coded(WORD)
    reason = f"must be {' or '.join(words)}"
    check_distinct(column.place, coded, lambda value: None if value is None or value in words else reason)
    return coded


def checked_labels(column: Column) -> npt.NDArray[np.int8]:
    """Return the labels, 0 or 1. Raises UsageError for any other value, and for null."""
    labels = column.integers(LABEL, _ABSENT)
    check_each(column.place, _shown(labels), (labels == 0) | (labels == 1), "must be 0 or 1")
    return labels.astype(np.int8)


def checked_integers(columns: Mapping[str, Column], name: str, count: int) -> Ints:
    """Return a column of integers, with the column's default for null and where there is no such column.

    Raises UsageError for an integer outside the column's bounds.
    """
    kind, default, low, high = _INTEGERS[name]
    column = columns.get(name)
    if column is None:
        return np.full(count, default, np.int64)
    values = column.integers(kind, _ABSENT)
    absent = values == _ABSENT
    check_each(column.place, values, absent | ((values >= low) & (values <= high)), f"must be {low} to {high}")
    return np.where(absent, default, values)


def checked_numbers(columns: Mapping[str, Column], name: str, count: int) -> Floats:
    """Return a column of numbers, NaN for null and where there is no such column.

    Raises UsageError for an infinite number, and for a probability that is not above 0 and at most 1.
    """
    column = columns.get(name)
    if column is None:
        return np.full(count, np.nan)
    values = column.numbers(NUMBER)
    check_each(column.place, values, ~np.isinf(values), "numbers must be finite")
    if name in _SHARES:
        check_each(
            column.place, values, np.isnan(values) | ((values > 0) & (values <= 1)), "must be above 0, at most 1"
        )
    return values


def _shown(labels: Ints) -> npt.NDArray[Any]:
    """Return the labels with None for null, so that a refusal never shows the number that stands for null."""
    shown = labels.astype(object)
    shown[labels == _ABSENT] = None
    return shown
