"""What each operator matches: known answers first, then any values against plain Python."""

import operator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.filter_operators import OPERATORS, FilterOp
from stream_scorer.core.messages import Filter
from tests.ranking_worlds import UNEVEN_OFFERS, catalog_with, matching


@pytest.mark.parametrize(
    ("attribute", "op", "value", "expected"),
    [
        ("price", "==", 5.0, "a"),
        ("price", "!=", 5.0, "bc"),
        ("price", "<", 5.0, "c"),
        ("price", "<=", 5.0, "ac"),
        ("price", ">", 5.0, "b"),
        ("price", ">=", 5.0, "ab"),
        ("price", "in", [5.0, 10.0, 77.0], "ab"),
        ("price", "in", [], ""),
        ("price", "==", "five", "f"),
        ("brand", "==", "acme", "a"),
        ("brand", "==", "", "c"),
        ("brand", "!=", "acme", "bc"),
        ("brand", "!=", "unheard of", "abc"),
        ("brand", "<", "b", "ac"),
        ("brand", ">=", "acme", "ab"),
        ("brand", "in", ["acme", "bolt", "unheard of"], "ab"),
        ("new", "==", True, "a"),
        ("new", "!=", True, "b"),
        ("new", "==", False, "b"),
        ("tags", "==", "y", "ac"),
        ("tags", "!=", "x", "bc"),
        ("tags", "in", ["x", "z"], "a"),
        ("nothing", "==", 1.0, ""),
        ("nothing", "!=", 1.0, ""),
    ],
)
def test_an_operator_matches_these_offers(attribute: str, op: Any, value: Any, expected: str) -> None:
    assert matching(catalog_with(UNEVEN_OFFERS), Filter(attribute, op, value)) == expected


def test_every_operator_has_its_line() -> None:
    assert set(OPERATORS) == set(get_args(FilterOp))


_values = st.sampled_from([None, 1.0, 2.0, -0.0, 0.0, "", "a", "b", True, False, ["a"], ["a", "b"], [], [1.0]])
_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def expected_of(found: Any, op: str, value: Any) -> bool:
    """Return whether one value matches, by plain Python."""
    if (
        isinstance(found, list)
        and all(isinstance(each, str) for each in found)
        and isinstance(value, str)
        and op not in _ORDERED
    ):
        return (value in found) == (op == "==")
    if type(found) is not type(value):
        return False
    return bool(_ORDERED.get(op, operator.eq if op == "==" else operator.ne)(found, value))


@given(
    st.lists(_values, min_size=1, max_size=8),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from([1.0, 0.0, "a", "b", True]),
)
def test_any_operator_agrees_with_plain_python(values: list[Any], op: Any, value: Any) -> None:
    if value is True and op in _ORDERED:
        return
    catalog = catalog_with({f"{row}": {"x": found} for row, found in enumerate(values)})
    expected = "".join(str(row) for row, found in enumerate(values) if expected_of(found, op, value))
    assert matching(catalog, Filter("x", op, value)) == expected
