"""Offers from JSON lines, CSV and Parquet: how columns get their types, and what is refused, with file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files.offer_files import read_offers, read_policy
from stream_scorer.core.messages import Offer
from stream_scorer.errors import UsageError


def csv_offers(folder: Path, text: str) -> list[Offer]:
    (folder / "offers.csv").write_text(text)
    return read_offers(folder / "offers.csv")


def feature(folder: Path, *cells: str) -> list[Any]:
    rows = "".join(f'o{number},"{cell}"\n' for number, cell in enumerate(cells))
    return [offer.features["x"] for offer in csv_offers(folder, "offer_id,x\n" + rows.replace("'", '""'))]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "2.5", "-3e2"], [1.0, 2.5, -300.0]),
        (["1", ""], [1.0, None]),
        (["1", "a"], ["1", "a"]),
        (["007", "12"], ["007", "12"]),
        (["nan", "1"], [None, 1.0]),
        (["1e999", "1"], ["1e999", "1"]),
        (["true", "False", ""], [True, False, None]),
        (["true", "1"], ["true", "1"]),
        (["['a','b']", "[]"], [["a", "b"], []]),
        (["[1,2]", "[3,4]"], [[1.0, 2.0], [3.0, 4.0]]),
        (["", ""], [None, None]),
    ],
)
def test_all_cells_decide_a_columns_type(tmp_path: Path, cells: list[str], values: list[Any]) -> None:
    assert feature(tmp_path, *cells) == values


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "__index_level_0__"])
def test_a_frames_index_is_no_feature(tmp_path: Path, index: str) -> None:
    assert csv_offers(tmp_path, f"{index},offer_id,x\n0,a,5\n1,b,6\n") == [
        Offer("a", {"x": 5.0}),
        Offer("b", {"x": 6.0}),
    ]


def test_an_id_of_digits_stays_text(tmp_path: Path) -> None:
    assert [offer.offer_id for offer in csv_offers(tmp_path, "offer_id,x\n1,2\n02,3\n")] == ["1", "02"]


def test_a_csv_knows_the_offers_own_columns(tmp_path: Path) -> None:
    offers = csv_offers(tmp_path, "offer_id,active,valid_from_ms,valid_until_ms,x\na,false,5,,1\nb,,,9,2\n")
    assert [(one.active, one.valid_from_ms, one.valid_until_ms) for one in offers] == [
        (False, 5, None),
        (True, None, 9),
    ]
    assert [one.features for one in offers] == [{"x": 1.0}, {"x": 2.0}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x\n1\n", "line 1: the header"),
        ("offer_id,x,x\na,1,2\n", "line 1: the header"),
        ("offer_id,x\na,1\nb\n", "line 3: expected 2 cells, got 1"),
        ("offer_id,x\n,1\n", "line 2: offer_id"),
        ("offer_id,x\na,1\na,2\n", "line 3: offer 'a' is there twice, first in line 2"),
        ("offer_id,active\na,perhaps\n", "line 2: active"),
        ('offer_id,x\na,"[1,null]"\n', "line 2: x: a list must not hold nulls"),
        ("offer_id,x\n", "has no offers"),
        ("", "line 1: the header"),
    ],
)
def test_a_bad_csv_is_refused_by_place(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as refusal:
        csv_offers(tmp_path, text)
    assert "offers.csv" in str(refusal.value)


def test_json_lines_are_offers_of_the_topic(tmp_path: Path) -> None:
    path = tmp_path / "offers.jsonl.gz"
    lines = [{"offer_id": "a", "features": {"x": 1}, "unknown": 1}, {"offer_id": "b", "features": {}, "active": False}]
    path.write_bytes(gzip.compress("\n\n".join(map(json.dumps, lines)).encode()))
    assert read_offers(path) == [
        Offer(offer_id="a", features={"x": 1.0}),
        Offer(offer_id="b", features={}, active=False),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2"),
        ('{"offer_id": "b"}', "line 2: features"),
        ('{"offer_id": "b", "features": {"x": NaN}}', "line 2"),
        ("[]", "line 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "offers.jsonl").write_text('{"offer_id": "a", "features": {}}\n' + line + "\n")
    with pytest.raises(UsageError, match=reason):
        read_offers(tmp_path / "offers.jsonl")


def test_parquet_columns_are_features(tmp_path: Path) -> None:
    columns = {
        "offer_id": ["a", "b"],
        "x": [1.0, float("nan")],
        "tags": [["t"], []],
        "v": [[1.0, 2.0], None],
        "active": [True, False],
    }
    pq.write_table(pa.table(columns), tmp_path / "offers.parquet")
    offers = read_offers(tmp_path / "offers.parquet")
    assert [one.features for one in offers] == [
        {"x": 1.0, "tags": ["t"], "v": [1.0, 2.0]},
        {"x": None, "tags": [], "v": None},
    ]
    assert [one.active for one in offers] == [True, False]


@pytest.mark.parametrize("features", ['{"x": 1, "t": ["a"]}', {"x": 1, "t": ["a"]}])
def test_a_features_column_replaces_single_columns(tmp_path: Path, features: object) -> None:
    pq.write_table(pa.table({"offer_id": ["a"], "features": [features]}), tmp_path / "offers.parquet")
    assert read_offers(tmp_path / "offers.parquet")[0].features == {"x": 1.0, "t": ["a"]}


def test_other_files_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "offers.xlsx").write_bytes(b"")
    with pytest.raises(UsageError, match=r"\.jsonl, \.csv or \.parquet"):
        read_offers(tmp_path / "offers.xlsx")
    with pytest.raises(UsageError, match="no file at"):
        read_offers(tmp_path / "none.csv")


@pytest.mark.parametrize(("name", "header"), [("offers.jsonl", b""), ("offers.csv", b"offer_id\n")])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, name: str, header: bytes) -> None:
    (tmp_path / name).write_bytes(header + b"\xff\xfe\n")
    with pytest.raises(UsageError, match=rf"{name} is not UTF-8 text"):
        read_offers(tmp_path / name)


def test_a_torn_gzip_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"offer_id": "%d", "features": {}}\n' % row for row in range(100)))
    (tmp_path / "offers.jsonl.gz").write_bytes(whole[:-9])
    with pytest.raises(UsageError, match="is not a whole gzip file"):
        read_offers(tmp_path / "offers.jsonl.gz")


def policy_rows(folder: Path, *rows: dict[str, object]) -> Path:
    path = folder / "policy.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_policy_is_probabilities_per_rank(tmp_path: Path) -> None:
    offers = [Offer(offer_id="a", features={}), Offer(offer_id="b", features={})]
    path = policy_rows(tmp_path, {"offer_id": "b", "rank": 1, "probability": 1.0})
    assert {rank: chances.tolist() for rank, chances in read_policy(path, offers).items()} == {1: [0.0, 1.0]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"offer_id": "a", "rank": 1, "probability": 0.5}, r"rank 1 must sum to 1, got 0\.5"),
        ({"offer_id": "z", "rank": 1, "probability": 1.0}, "line 1: .*z"),
        ({"offer_id": "a", "probability": 1.0}, "line 1: .*rank"),
    ],
)
def test_other_tables_are_no_policy(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_policy(policy_rows(tmp_path, row), [Offer(offer_id="a", features={})])
