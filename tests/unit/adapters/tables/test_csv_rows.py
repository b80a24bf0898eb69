"""Rows of CSV, read strictly, and what a column is by all its cells."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from stream_scorer.adapters.tables.csv_rows import CellTypes, read_csv
from stream_scorer.adapters.tables.kinds import ANY, FEATURE
from stream_scorer.errors import UsageError


def rows(text: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    header, numbered = read_csv(Path("a.csv"), BytesIO(text))
    return header, list(numbered)


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-20", ""], [1, -20, None]),
        (["1", "2.5", "1e3"], [1.0, 2.5, 1000.0]),
        (["true", "FALSE", ""], [True, False, None]),
        (['["a"]', "[]"], [["a"], []]),
        (['["a"]', '{"b":1}'], ['["a"]', '{"b":1}']),
        (["1", "x"], ["1", "x"]),
        (["true", "1"], ["true", "1"]),
        (["1", "true"], ["1", "true"]),
        (["1.5", "[1]"], ["1.5", "[1]"]),
        (["007", "7"], ["007", "7"]),
        (["1234567890123456", "1"], ["1234567890123456", "1"]),
        (["1e999", "2"], ["1e999", "2"]),
        (["[1", "[2]"], ["[1", "[2]"]),
        (["", ""], [None, None]),
        (["nan", "1", "NA", "null", "None", "N/A", "<NA>"], [None, 1, None, None, None, None, None]),
        (["true", "NaN"], [True, None]),
        (["NA", "DE"], ["NA", "DE"]),
        (["NA", "NA"], [None, None]),
    ],
)
def test_filled_cells_decide_a_columns_type(cells: list[str], values: list[Any]) -> None:
    types = CellTypes({"column": FEATURE})
    for cell in cells:
        types.look(["column"], [cell])
    assert types.values("column", cells) == values


def test_ids_of_unknown_records_are_text() -> None:
    types = CellTypes({"offer_id": ANY, "count": ANY})
    types.look(["offer_id", "count"], ["1", "1"])
    assert (types.values("offer_id", ["2"]), types.values("count", ["2"])) == (["2"], [2])


def test_a_byte_order_mark_is_skipped() -> None:
    assert rows(b'\xef\xbb\xbf"offer_id", x\r\n"a",1\r\n') == (["offer_id", "x"], [(2, ["a", "1"])])


def test_a_row_has_its_first_lines_number() -> None:
    assert rows(b'a,b\n1,"x\ny"\n\n2,z\n')[1] == [(2, ["1", "x\ny"]), (5, ["2", "z"])]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "line 3: a quote is opened here and never closed"),
        (b'a,b\n1,"x"y\n', "line 2: this is no CSV"),
        (b"a,b\n1,2\n3\n", "line 3: expected 2 cells, got 1"),
        (b"a\n" + b"x" * 1_000_001, "line 2: a cell has more than 1,000,000 characters"),
        (b"a\n" + b"x" * 4_000_001, "line 2 is longer than 4,000,000 bytes"),
        (
            b'a\n"' + b"x" * 900_000 + b'",' + (b'"\n' + b"x" * 900_000 + b'",') * 5,
            "a row has more than 4,000,000 bytes",
        ),
        (b"a\n\xff\n", "is not UTF-8 text: line 2"),
        (b"a\n1\rb\n", "line 2: this is no CSV"),
    ],
)
def test_broken_csv_is_refused_by_line(text: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        rows(text)
