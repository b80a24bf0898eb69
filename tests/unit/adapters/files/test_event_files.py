"""Events from JSON lines, CSV and Parquet."""

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files.event_files import EventFile
from stream_scorer.adapters.tables.layouts import ACCEPTANCES, REQUESTS
from stream_scorer.errors import UsageError


def read(path: Path, **options: Any) -> list[tuple[bytes | None, Any, int | None]]:
    options = {"key": "customer_id", "layout": REQUESTS, **options}
    return [
        (event.key, msgspec.json.decode(event.value or b""), event.event_time_ms)
        for event in EventFile(path, **options)
    ]


def test_json_lines_go_as_they_are(tmp_path: Path) -> None:
    line = b'{"customer_id": "c",  "event_time_ms": 5, "x": 1}'
    (tmp_path / "a.jsonl").write_bytes(b"\n" + line + b"\r\n\n{not json\n")
    events = list(EventFile(tmp_path / "a.jsonl", key="customer_id"))
    assert [(event.key, event.value, event.event_time_ms) for event in events] == [
        (b"c", line, 5),
        (None, b"{not json", None),
    ]


def test_gzipped_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"customer_id":"c"}\n' * 3))
    assert len(read(tmp_path / "a.jsonl.gz")) == 3


def test_csv_columns_become_fields_and_features(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "request_id,customer_id,event_time_ms,age,city,likes,vip,offers\n"
        '1,007,1763900000000,3,Rome,"[""a"",""b""]",true,\n'
        '2,8,1763900000001,4.5,,,false,"[""o1""]"\n'
    )
    first, second = read(tmp_path / "a.csv")
    assert first == (
        b"007",
        {
            "request_id": "1",
            "customer_id": "007",
            "event_time_ms": 1763900000000,
            "features": {"age": 3.0, "city": "Rome", "likes": ["a", "b"], "vip": True},
        },
        1763900000000,
    )
    assert second[1]["features"] == {"age": 4.5, "city": None, "likes": None, "vip": False}
    assert second[1]["offers"] == ["o1"]


def test_a_message_without_features_keeps_every_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("acceptance_id,accepted\na,true\n")
    assert read(tmp_path / "a.csv", layout=ACCEPTANCES)[0][1] == {
        "acceptance_id": "a",
        "accepted": True,
    }


def test_a_ragged_csv_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(UsageError, match=r"line 3: expected 2 cells, got 1"):
        read(tmp_path / "a.csv")


def test_parquet_rows_become_messages(tmp_path: Path) -> None:
    columns = {
        "request_id": ["r1", "r2"],
        "customer_id": ["c1", "c2"],
        "event_time_ms": [1, 2],
        "age": [1.5, float("nan")],
        "seen": [datetime(2026, 1, 1, tzinfo=UTC), None],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    first, second = read(tmp_path / "a.parquet")
    assert first == (
        b"c1",
        {"request_id": "r1", "customer_id": "c1", "event_time_ms": 1,
         "features": {"age": 1.5, "seen": 1767225600000}}, 1,
    )  # fmt: skip
    assert second[1]["features"] == {"age": None, "seen": None}


def test_a_features_column_is_taken_whole(tmp_path: Path) -> None:
    table = pa.table({"request_id": ["r1"], "features": [{"age": 1.5}], "stray": ["x"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[0][1] == {"request_id": "r1", "features": {"age": 1.5}}


@pytest.mark.parametrize("key", ["place", None])
def test_any_field_may_be_the_key(tmp_path: Path, key: str | None) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"place": 5, "customer_id": "c"}')
    assert [event.key for event in EventFile(tmp_path / "a.jsonl", key=key)] == [b"5" if key else None]


def test_the_share_read_ends_at_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" * 10)
    events = EventFile(tmp_path / "a.jsonl")
    assert events.share() == 0.0
    assert len(list(events)) == 10
    assert events.share() == 1.0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.jsonl", "no file at"),
        ("a.txt", "are read from .jsonl, .csv or .parquet"),
        ("a.parquet", "is not a Parquet file"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, sentence: str) -> None:
    for each in ("a.txt", "a.parquet"):
        (tmp_path / each).write_text("x")
    with pytest.raises(UsageError, match=sentence):
        read(tmp_path / name)


def test_a_torn_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 10_000)[:-9])
    with pytest.raises(UsageError, match="is not a whole gzip file"):
        read(tmp_path / "a.jsonl.gz")
