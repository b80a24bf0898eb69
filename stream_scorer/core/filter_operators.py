"""The operators of filters in a table: the name of each, the kinds of attribute it applies to, and its comparison.

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
    """An attribute's values for all N offers.

    A text is its code in `vocabulary`. A bag is a row and a code for each of its elements, E in all.
    """

    kinds: NDArray[np.int8]  # (N,)
    numbers: NDArray[np.float64]  # (N,), bools as 0 and 1
    codes: NDArray[np.int64]  # (N,), -1 where there is no text
    bag_rows: NDArray[np.int64]  # (E,)
    bag_codes: NDArray[np.int64]  # (E,)
    vocabulary: dict[str, int]
    kinds_present: frozenset[int]  # without MISSING


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator compares an attribute (N offers) with the filter's value.

    `compare` need not look at kinds: `matches` drops the rows whose kind the operator or the value does not allow.
    """

    compare: Callable[[AttributeColumn, Any], Flags]
    kinds: frozenset[int]
    takes_list: bool = False


def matches(column: AttributeColumn, op: FilterOp, value: Any) -> Flags:
    """Mark the rows (N,) that match; a row that lacks the attribute, or has it in another kind, never does."""
    return _among(column.kinds, kinds_needed(op, value) or (), len(KIND_NAMES)) & OPERATORS[op].compare(column, value)


def kinds_needed(op: FilterOp, value: Any) -> tuple[int, ...] | None:
    """Return the kinds of attribute that the operator can compare with the value.

    None for an empty list, which has no kind of its own and so is comparable with any.
    """
    if value == []:
        return None
    return tuple(kind for kind in kinds_of(value) if kind in OPERATORS[op].kinds)


def kinds_of(value: Any) -> tuple[int, ...]:
    """Return the kinds of attribute that a value, or a list of such values, is comparable with; its own comes first."""
    return _KINDS_OF[type(value[0] if isinstance(value, list) else value)]


def _any_of(column: AttributeColumn, values: Sequence[Any]) -> Flags:
    """Mark the rows whose value is among `values`, or whose bag has any of them; all values are of the same kind."""
    # Bools stand in `numbers` as 0 and 1, so numbers and bools take the same path.
    if not values or not isinstance(values[0], str):
        return column.numbers == values[0] if len(values) == 1 else np.isin(column.numbers, values)
    # A text outside the vocabulary is no offer's, so it can match nothing.
    codes = [column.vocabulary[value] for value in values if value in column.vocabulary]
    equal = _among(column.codes, codes, len(column.vocabulary))
    equal[column.bag_rows[_among(column.bag_codes, codes, len(column.vocabulary))]] = True
    return equal


def _among(numbers: NDArray[Any], chosen: Sequence[int], count: int) -> Flags:
    """Mark which of these numbers, each -1 or below `count`, are among the chosen.

    A look into a table: `np.isin` sorts or offsets first, which takes five times as long for a thousand offers.
    """
    table = np.zeros(count + 1, bool)  # -1 takes the last place, which is nobody's
    table[list(chosen)] = True
    flags: Flags = table[numbers]
    return flags


def _ordered(compare: Callable[[Any, Any], Any]) -> Operator:
    def by_value(column: AttributeColumn, value: Any) -> Flags:
        if not isinstance(value, str):
            result: Flags = compare(column.numbers, value)
            return result
        # Each text of the catalog is compared once, not once per offer. Code -1, no text, takes the last False.
        by_code = np.array([*(compare(text, value) for text in column.vocabulary), False], bool)
        return by_code[column.codes]

    return Operator(by_value, frozenset({NUMBER, TEXT}))


# A filter's value is never a vector, so no operator compares vectors.
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
