"""Filters on offers' attributes: which rows of a catalog they match, and which filters make no sense there.

An offer without the attribute never matches, whatever the operator. On a bag `==` means contains, `!=` contains not,
`in` has one of. An offer whose value is of another kind than the filter's never matches either; when no offer of the
catalog has the filter's kind while some have another, the filter is refused.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_scorer.core.messages import Filter
from stream_scorer.core.releases.catalog import Catalog, Flags
from stream_scorer.core.wire.strict_json import Refusal, path_text

MISSING, NUMBER, TEXT, BOOL, BAG, VECTOR = range(6)
_WORDS = ("missing", "number", "text", "bool", "bag", "vector")
_ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NEEDS = {float: (NUMBER,), str: (TEXT, BAG), bool: (BOOL,)}
_PARSED_AT_ONCE = 10_000

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """One attribute of all offers; texts are codes into `vocabulary`, bags a row and a code per element."""

    kinds: NDArray[np.int8]  # (N,)
    numbers: NDArray[np.float64]  # (N,), bools as 0 and 1
    codes: NDArray[np.int64]  # (N,), -1 where there is no text
    bag_rows: NDArray[np.int64]
    bag_codes: NDArray[np.int64]
    vocabulary: dict[str, int]
    kinds_found: frozenset[int]  # without MISSING


def filter_masks(expressions: Sequence[Sequence[Filter]], catalog: Catalog) -> list[Flags | None]:
    """Return for each list of filters the rows (N,) that match all of them; None without filters.

    Equal lists share their mask.
    """
    masks: dict[bytes, Flags] = {}
    found: list[Flags | None] = [None] * len(expressions)
    for place, filters in enumerate(expressions):
        if filters:
            key = _encode(filters)
            if key not in masks:
                masks[key] = np.logical_and.reduce([_matches(catalog, condition) for condition in filters])
            found[place] = masks[key]
    return found


def filter_refusal(filters: Sequence[Filter], catalog: Catalog) -> Refusal | None:
    """Return why the first filter that makes no sense on this catalog is refused."""
    for place, condition in enumerate(filters):
        column = column_of(catalog, condition.attribute)
        needed = _kinds_needed(condition)
        kinds_found = column.kinds_found if column else frozenset()
        if needed == () or (needed and kinds_found and kinds_found.isdisjoint(needed)):
            where = f"{path_text(('filters', place))}: {path_text((condition.attribute,))} {condition.op}"
            found = [_WORDS[kind] for kind in sorted(kinds_found)]
            return Refusal(
                "filter_kind_mismatch",
                f"{where} cannot compare {' or '.join(found) or 'anything'} with {_value_word(condition)}",
            )
    return None


def _kinds_needed(condition: Filter) -> tuple[int, ...] | None:
    """Return the kinds of attribute that the filter can compare; None: any."""
    if isinstance(condition.value, list):
        return _NEEDS[type(condition.value[0])] if condition.value else None
    needed = _NEEDS[type(condition.value)]
    return tuple(kind for kind in needed if kind in (NUMBER, TEXT)) if condition.op in _ORDERED else needed


def _value_word(condition: Filter) -> str:
    value = condition.value[0] if isinstance(condition.value, list) else condition.value
    return _WORDS[_NEEDS[type(value)][0]]


def _matches(catalog: Catalog, condition: Filter) -> Flags:
    column = column_of(catalog, condition.attribute)
    if column is None:
        return np.zeros(len(catalog), bool)
    if condition.op in _ORDERED:
        return _compared(column, _ORDERED[condition.op], condition.value)
    values = condition.value if isinstance(condition.value, list) else [condition.value]
    equal = _equal(column, values)
    if condition.op != "!=":
        return equal
    comparable: Flags = np.isin(column.kinds, _kinds_needed(condition) or ())
    return comparable & ~equal


def _equal(column: AttributeColumn, values: Sequence[Any]) -> Flags:
    """Mark the rows whose value is, or whose bag has, one of the values; these are of one kind."""
    if not values:
        return np.zeros(len(column.kinds), bool)
    if isinstance(values[0], str):
        codes = [column.vocabulary[value] for value in values if value in column.vocabulary]
        equal = np.isin(column.codes, codes)
        equal[column.bag_rows[np.isin(column.bag_codes, codes)]] = True
        return equal
    same: Flags = (column.kinds == _NEEDS[type(values[0])][0]) & np.isin(column.numbers, values)
    return same


def _compared(column: AttributeColumn, compare: Callable[[Any, Any], Any], value: Any) -> Flags:
    if isinstance(value, str):
        by_code = np.array([*(compare(text, value) for text in column.vocabulary), False], bool)
        return by_code[column.codes]  # code -1 takes the False at the end
    result: Flags = (column.kinds == NUMBER) & compare(column.numbers, value)
    return result


def column_of(catalog: Catalog, attribute: str) -> AttributeColumn | None:
    """Return an attribute's column; None where no offer has it, so that unknown names cost no memory."""
    return catalog.once(_ColumnOf(attribute)) if attribute in catalog.once(_attributes) else None


def _attributes(catalog: Catalog) -> set[str]:
    return set().union(*_features(catalog))


@dataclass(frozen=True, slots=True)
class _ColumnOf:
    attribute: str

    def __call__(self, catalog: Catalog) -> AttributeColumn:
        return _column([features.get(self.attribute) for features in _features(catalog)])


def _features(catalog: Catalog) -> Iterator[dict[str, Any]]:
    for start in range(0, len(catalog), _PARSED_AT_ONCE):
        yield from msgspec.json.decode(b"[" + b",".join(catalog.fragments[start : start + _PARSED_AT_ONCE]) + b"]")


def _column(values: Sequence[Any]) -> AttributeColumn:
    kinds = np.fromiter(map(_kind, values), np.int8, len(values))
    numbers = np.fromiter((value if isinstance(value, int | float) else 0 for value in values), np.float64, len(values))
    vocabulary: dict[str, int] = {}
    bags = [(row, text) for row in np.flatnonzero(kinds == BAG).tolist() for text in values[row]]

    def code(text: str) -> int:
        return vocabulary.setdefault(text, len(vocabulary))

    codes = np.fromiter((code(value) if isinstance(value, str) else -1 for value in values), np.int64, len(values))
    bag_codes = np.fromiter((code(text) for _, text in bags), np.int64, len(bags))
    bag_rows = np.fromiter((row for row, _ in bags), np.int64, len(bags))
    return AttributeColumn(
        kinds, numbers, codes, bag_rows, bag_codes, vocabulary, frozenset(kinds.tolist()) - {MISSING}
    )


def _kind(value: object) -> int:
    if isinstance(value, list):
        return VECTOR if value and not isinstance(value[0], str) else BAG
    return {float: NUMBER, int: NUMBER, str: TEXT, bool: BOOL, type(None): MISSING}[type(value)]
