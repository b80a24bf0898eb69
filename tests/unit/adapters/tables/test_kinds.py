"""The table of types, value by value."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from stream_scorer.adapters.tables.kinds import (
    ANY,
    FEATURE,
    FEATURES,
    FLAG,
    ID,
    IDS,
    INTEGER,
    JSON,
    LABEL,
    NUMBER,
    TIME_MS,
    VECTOR,
    WORD,
    Kind,
    Misfit,
)

NAN, INF = float("nan"), float("inf")
NAMED = UUID("0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("kind", "value", "converted"),
    [
        (ID, "a", "a"),
        (ID, 5, "5"),
        (ID, 2**63, str(2**63)),
        (ID, 2.0, "2"),
        (ID, NAN, None),
        (ID, Decimal("7.00"), "7"),
        (ID, NAMED, str(NAMED)),
        (IDS, ["a", 5], ["a", "5"]),
        (IDS, '["a"]', ["a"]),
        (INTEGER, 3.0, 3),
        (INTEGER, NAN, None),
        (INTEGER, Decimal(3), 3),
        (TIME_MS, 1.7e12, 1_700_000_000_000),
        (LABEL, True, 1),
        (LABEL, 0.0, 0),
        (FLAG, 1, True),
        (FLAG, Decimal(0), False),
        (NUMBER, Decimal("1.5"), 1.5),
        (NUMBER, NAN, None),
        (FEATURE, NAN, None),
        (FEATURE, NAMED, str(NAMED)),
        (FEATURE, ["a"], ["a"]),
        (FEATURE, [1, Decimal("2.5")], [1, 2.5]),
        (FEATURES, '{"x": [1, 2]}', {"x": [1, 2]}),
        (FEATURES, {"x": NAN}, {"x": None}),
        (VECTOR, "[1, 2.5]", [1, 2.5]),
        (VECTOR, [Decimal(1)], [1.0]),
        (JSON, '[{"op": "in"}]', [{"op": "in"}]),
        (ANY, {"x": [None]}, {"x": [None]}),
    ],
)
def test_values_become_what_columns_are_for(kind: Kind, value: Any, converted: Any) -> None:
    assert repr(kind.convert(value)) == repr(converted)


@pytest.mark.parametrize(
    "kind", [ID, IDS, INTEGER, TIME_MS, LABEL, FLAG, NUMBER, FEATURE, FEATURES, VECTOR, JSON, WORD, ANY]
)
def test_null_is_null_in_every_kind(kind: Kind) -> None:
    assert kind.convert(None) is None


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (ID, 2.5, "must be a whole number"),
        (ID, 2.0**60, "not exact"),
        (ID, True, "must be an id: text, or a whole number, not bool"),
        (ID, b"a", "cast them to text"),
        (IDS, ["a", None], "must not hold nulls"),
        (IDS, "a,b", "must be a JSON"),
        (INTEGER, "3", "must be a whole number, not text"),
        (INTEGER, 2**63, "within"),
        (INTEGER, True, "not bool"),
        (TIME_MS, "2026-01-01", "must be a time"),
        (LABEL, 0.9, "must be 0 or 1"),
        (LABEL, "1", "not text"),
        (FLAG, 2, "must be true or false"),
        (NUMBER, INF, "must be finite"),
        (NUMBER, Decimal("1e400"), "must be finite"),
        (FEATURE, "a\0b", "NUL"),
        (FEATURE, [1, "a"], "texts only or numbers only"),
        (FEATURE, [1, NAN], "must not hold nulls"),
        (FEATURE, {"x": 1}, "a column of its own"),
        (FEATURES, {"x": {"y": 1}}, "x: must be"),
        (FEATURES, '{"x": 1, "x": 2}', "given twice"),
        (FEATURES, '{"x": ', "must be a JSON object: the value is not JSON"),
        (FEATURES, "[1]", "must be a JSON object"),
        (VECTOR, ["a"], "must be a number"),
        (VECTOR, '[1], "x": 2', "must be a JSON list"),
    ],
)
def test_a_value_without_a_meaning_is_refused(kind: Kind, value: Any, reason: str) -> None:
    with pytest.raises(Misfit, match=reason):
        kind.convert(value)
