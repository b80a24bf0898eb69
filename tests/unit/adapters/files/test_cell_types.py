"""What a CSV column is, by all its cells."""

from typing import Any

import pytest

from stream_scorer.adapters.files.cell_types import ColumnTypes


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-20", ""], [1, -20, None]),
        (["1", "2.5", "1e3"], [1.0, 2.5, 1000.0]),
        (["true", "FALSE", ""], [True, False, None]),
        (['["a"]', '{"b":1}'], [["a"], {"b": 1}]),
        (["1", "x"], ["1", "x"]),
        (["true", "1"], ["true", "1"]),
        (["1", "true"], ["1", "true"]),
        (["1.5", "[1]"], ["1.5", "[1]"]),
        (["007", "7"], ["007", "7"]),
        (["1234567890123456", "1"], [1234567890123456.0, 1.0]),
        (["1e999", "2"], ["1e999", "2"]),
        (["nan", "1"], ["nan", "1"]),
        (["[1", "[2]"], ["[1", "[2]"]),
        (["", ""], [None, None]),
    ],
)
def test_a_column_is_what_all_its_filled_cells_are(cells: list[str], values: list[Any]) -> None:
    rows = [(number, {"column": cell}) for number, cell in enumerate(cells)]
    types = ColumnTypes(rows)
    assert [types.typed(row)["column"] for _, row in rows] == values


def test_ids_are_text() -> None:
    types = ColumnTypes([(1, {"offer_id": "1", "count": "1"})])
    assert types.typed({"offer_id": "2", "count": "2"}) == {"offer_id": "2", "count": 2}
