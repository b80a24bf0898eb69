"""The operators of filters: name, kinds of attribute and comparison, all in one table.

A new operator is a name in `FilterOp` and a line in `OPERATORS`; the schemas, the refusals and the masks follow.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MISSING, NUMBER, TEXT, BOOL, BAG, VECTOR = range(6)
KIND_NAMES = ("missing", "number", "text", "bool", "bag", "vector")
_KINDS_OF = {float: (NUMBER,), str: (TEXT, BAG), bool: (BOOL,)}  # which attributes a filter's value is comparable with

FilterOp = Literal["==", "!=", "<", "<=", ">", ">=", "in"]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AttributeColumn:
    """One attribute of all offers; texts are codes into `vocabulary`, bags a row and a code per element."""

    kinds: NDArray[np.int8]  # (N,)
    numbers: NDArray[np.float64]  # (N,), bools as 0 and 1
    codes: NDArray[np.int64]  # (N,), -1 where there is no text
    bag_rows: NDArray[np.int64]
    bag_codes: NDArray[np.int64]
    vocabulary: dict[str, int]
    kinds_present: frozenset[int]  # without MISSING


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator compares an attribute (N offers) with the filter's value.

    `compare` need not look at kinds: only rows whose kind the operator and the value both allow can match.
    """

    compare: Callable[[AttributeColumn, Any], Flags]
    kinds: frozenset[int]
    takes_list: bool = False


def matches(column: AttributeColumn, op: FilterOp, value: Any) -> Flags:
    """Mark the rows (N,) that match; a row without the attribute, or with another kind of it, never does."""
    comparable: Flags = np.isin(column.kinds, kinds_needed(op, value) or ())
    return comparable & OPERATORS[op].compare(column, value)


def kinds_needed(op: FilterOp, value: Any) -> tuple[int, ...] | None:
    """Return the kinds of attribute that the operator can compare with the value; None for an empty list: any kind."""
    if value == []:
        return None
    return tuple(kind for kind in kinds_of(value) if kind in OPERATORS[op].kinds)


def kinds_of(value: Any) -> tuple[int, ...]:
    """Return the kinds of attribute that a value, or a list of such values, is comparable with; its own comes first."""
    return _KINDS_OF[type(value[0] if isinstance(value, list) else value)]


def _any_of(column: AttributeColumn, values: Sequence[Any]) -> Flags:
    """Mark the rows whose value is one of these, or whose bag has one; the values are of one kind."""
    if not values or not isinstance(values[0], str):
        return np.isin(column.numbers, values)
    codes = [column.vocabulary[value] for value in values if value in column.vocabulary]
    equal: Flags = np.isin(column.codes, codes)
    equal[column.bag_rows[np.isin(column.bag_codes, codes)]] = True
    return equal


def _ordered(compare: Callable[[Any, Any], Any]) -> Operator:
    def by_value(column: AttributeColumn, value: Any) -> Flags:
        if not isinstance(value, str):
            result: Flags = compare(column.numbers, value)
            return result
        # each text of the catalog is compared once; code -1, no text, takes the False at the end
        by_code = np.array([*(compare(text, value) for text in column.vocabulary), False], bool)
        return by_code[column.codes]

    return Operator(by_value, frozenset({NUMBER, TEXT}))


_ANY_KIND = frozenset({NUMBER, TEXT, BOOL, BAG})

OPERATORS: dict[FilterOp, Operator] = {
    "==": Operator(lambda column, value: _any_of(column, [value]), _ANY_KIND),
    "!=": Operator(lambda column, value: ~_any_of(column, [value]), _ANY_KIND),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": Operator(_any_of, _ANY_KIND, takes_list=True),
}
