"""Labelled examples from files: only latest revisions, each distinct thing once, and refusals with file and row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.core.datasets.chunks import ExampleChunk
from stream_scorer.errors import UsageError

ROW: dict[str, Any] = {
    "example_id": "e1",
    "revision": 1,
    "request_id": "r1",
    "customer_id": "ann",
    "offer_id": "a",
    "accepted": 0,
    "cause": "declined",
    "customer_features": {"age": 3, "likes": ["x"]},
    "offer_features": {"price": 1.5},
    "rank": 2,
    "score": 0.5,
    "propensity": 0.25,
    "release_id": "r",
    "request_time_ms": 1_000,
    "label_time_ms": 2_000,
    "exposure": "shown",
    "keep_prob": 0.5,
}


def write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()} for row in rows
    ]
    pq.write_table(pa.Table.from_pylist(texts), path)


WRITERS = pytest.mark.parametrize(("write", "name"), [(write_json, "labels.jsonl"), (write_parquet, "labels.parquet")])


def read_one(path: Path) -> ExampleChunk:
    (chunk,) = ExampleFiles.at(path).chunks()
    return chunk


@WRITERS
def test_a_row_reads_as_it_was_written(tmp_path: Path, write: Any, name: str) -> None:
    write(tmp_path / name, [ROW])
    chunk = read_one(tmp_path / name)
    assert (chunk.customers.ids, chunk.customers.features) == (["ann"], [{"age": 3.0, "likes": ["x"]}])
    assert (chunk.offers.ids, chunk.offers.features) == (["a"], [{"price": 1.5}])
    columns = (chunk.accepted, chunk.rank, chunk.propensity, chunk.weight, chunk.request_time_ms, chunk.shown)
    assert [column.tolist() for column in columns] == [[0], [2], [0.25], [2.0], [1_000], [True]]


@WRITERS
def test_absent_columns_have_defaults(tmp_path: Path, write: Any, name: str) -> None:
    write(
        tmp_path / name,
        [
            {"customer_id": "ann", "offer_id": "a", "accepted": 1},
            {"customer_id": "ann", "offer_id": "b", "accepted": 1},
        ],
    )
    chunk = read_one(tmp_path / name)
    assert (chunk.customers.features, chunk.rank.tolist(), chunk.weight.tolist(), chunk.shown.tolist()) == (
        [{}],
        [0, 0],
        [1, 1],
        [1, 1],
    )
    assert np.isnan(chunk.propensity).all()
    assert chunk.request[0] == chunk.request[1]


@WRITERS
def test_only_an_examples_latest_revision_counts(tmp_path: Path, write: Any, name: str) -> None:
    second = {**ROW, "revision": 2, "accepted": 1}
    write(tmp_path / name, [ROW, second, {**ROW, "example_id": "e2", "offer_id": "b"}, second])
    chunk = read_one(tmp_path / name)
    assert sorted(zip([chunk.offers.ids[row] for row in chunk.offer], chunk.accepted.tolist(), strict=True)) == [
        ("a", 1),
        ("b", 0),
    ]


@WRITERS
def test_ids_of_leading_zeros_stay_apart(tmp_path: Path, write: Any, name: str) -> None:
    write(tmp_path / name, [{**ROW, "example_id": f"{number:032x}"} for number in range(500)])
    assert len(read_one(tmp_path / name).accepted) == 500


BOUNDED = [
    *(("propensity", value) for value in (0.0, -0.2, 35.0)),
    *(("keep_prob", value) for value in (0.0, 50.0, -1.0)),
    *(("rank", value) for value in (0, -1, 40_000)),
    *((name, "") for name in ("request_id", "customer_id", "offer_id", "example_id")),
]


@WRITERS
@pytest.mark.parametrize(("column", "value"), BOUNDED)
def test_values_beyond_the_contract_are_named(tmp_path: Path, write: Any, name: str, column: str, value: Any) -> None:
    write(tmp_path / name, [{**ROW, column: value}])
    with pytest.raises(UsageError, match=rf"{name}, (line|row) 1: {column}: must be"):
        read_one(tmp_path / name)


@WRITERS
def test_revisions_may_be_epoch_milliseconds(tmp_path: Path, write: Any, name: str) -> None:
    later = {**ROW, "revision": 1_764_000_000_001, "accepted": 1}
    write(tmp_path / name, [later, {**ROW, "revision": 1_764_000_000_000}])
    assert read_one(tmp_path / name).accepted.tolist() == [1]


def test_revisions_are_compared_over_all_files(tmp_path: Path) -> None:
    write_parquet(tmp_path / "day=2026-11-24" / "b.parquet", [ROW])
    write_parquet(tmp_path / "day=2026-11-23" / "a.parquet", [{**ROW, "revision": 2, "accepted": 1}])
    write_json(tmp_path / "history.jsonl", [{**ROW, "example_id": "e0", "offer_id": "h"}])
    rows = [(chunk.offers.ids, chunk.accepted.tolist()) for chunk in ExampleFiles.at(tmp_path).chunks()]
    assert rows == [(["a"], [1]), (["h"], [0])]


def test_compacted_files_are_not_read_twice(tmp_path: Path) -> None:
    names = ["000000000000-000000000005+1of1", "000000000005-000000000009+1of1", "000000000000-000000000009+compacted"]
    for name in [*names, "000000000009-000000000012+1of1"]:
        write_parquet(tmp_path / "day=2026-11-24" / f"training-labels+0+{name}.parquet", [ROW])
    assert [file.name.split("+")[2:] for file in ExampleFiles.at(tmp_path).files] == [
        ["000000000000-000000000009", "compacted.parquet"],
        ["000000000009-000000000012", "1of1.parquet"],
    ]


def test_files_being_written_are_not_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.jsonl", [ROW])
    (tmp_path / ".b.parquet").write_bytes(b"half")
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "_temporary" / "c.parquet").write_bytes(b"half")
    assert len(read_one(tmp_path)) == 1


@WRITERS
def test_what_is_distinct_is_parsed_once(tmp_path: Path, write: Any, name: str) -> None:
    rows = [
        {**ROW, "example_id": f"e{number}", "offer_id": f"o{number % 3}", "request_id": f"r{number // 3}"}
        for number in range(9)
    ]
    write(tmp_path / name, rows)
    chunk = read_one(tmp_path / name)
    assert (len(chunk), len(chunk.customers.ids), len(chunk.offers.ids), len(np.unique(chunk.request))) == (9, 1, 3, 3)


@WRITERS
def test_customers_may_share_a_request_id(tmp_path: Path, write: Any, name: str) -> None:
    write(tmp_path / name, [{**ROW, "example_id": f"e{who}", "customer_id": who} for who in ("ann", "bob")])
    assert len(np.unique(read_one(tmp_path / name).request)) == 2


def test_chunks_are_the_same_every_time(tmp_path: Path) -> None:
    write_json(tmp_path / "a.jsonl", [{**ROW, "example_id": f"e{number}"} for number in range(50)])
    files = ExampleFiles.at(tmp_path)
    assert next(files.chunks()).request.tolist() == next(files.chunks()).request.tolist()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accepted": 2}, r"line 2: .*2"),
        ({"accepted": None}, "line 2"),
        ({"customer_id": [5]}, "line 2: customer_id: must be an id"),
        ({"exposure": "guessed"}, "line 2"),
        ({"customer_features": {"x": {"y": 1}}}, "line 2: customer_features: features.x: the value must be a number"),
    ],
)
def test_a_bad_line_is_named_by_number(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    write_json(tmp_path / "a.jsonl", [ROW, {**ROW, "example_id": "e2", **change}])
    with pytest.raises(UsageError, match=reason) as refusal:
        list(ExampleFiles.at(tmp_path).chunks())
    assert "a.jsonl" in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accepted": 2}, "row 2: accepted"),
        ({"customer_id": None}, "row 2: customer_id"),
        ({"offer_features": "{"}, "row 2: offer_features"),
    ],
)
def test_a_bad_parquet_row_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    write_parquet(tmp_path / "a.parquet", [ROW, {**ROW, "example_id": "e2", **change}])
    with pytest.raises(UsageError, match=reason) as refusal:
        list(ExampleFiles.at(tmp_path).chunks())
    assert "a.parquet" in str(refusal.value)


def test_parquet_without_the_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"customer_id": ["a"], "accepted": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="it lacks offer_id"):
        list(ExampleFiles.at(tmp_path).chunks())


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR?")
    with pytest.raises(UsageError, match=r"a\.parquet is not a Parquet file"):
        list(ExampleFiles.at(tmp_path).chunks())


def test_nothing_to_read_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labelled examples"):
        ExampleFiles.at(tmp_path)
    with pytest.raises(UsageError, match="no labelled examples"):
        ExampleFiles.at(tmp_path / "absent")


def test_a_hashed_id_reads_alike_everywhere(tmp_path: Path) -> None:
    name, other = "0123456789abcdef" * 2, "ffff456789abcdef" * 2
    write_parquet(tmp_path / "a.parquet", [{**ROW, "example_id": other}, {**ROW, "example_id": name, "offer_id": "b"}])
    write_parquet(
        tmp_path / "b.parquet",
        [{**ROW, "example_id": name, "revision": 2, "accepted": 1}, {**ROW, "example_id": "plain"}],
    )
    write_json(tmp_path / "c.jsonl", [{**ROW, "example_id": other, "revision": 3, "offer_id": "c"}])
    rows = [
        (chunk.offers.ids[offer], label)
        for chunk in ExampleFiles.at(tmp_path).chunks()
        for offer, label in zip(chunk.offer, chunk.accepted, strict=True)
    ]
    assert rows == [("a", 1), ("a", 0), ("c", 0)]


TWICE = {
    "a label": b'"accepted":0',
    "an id that has colons": b'"offer_id":"a:b:c"',
    "a null": b'"propensity":null,"propensity":0.5',
    "an escaped name": rb'"accepte\u0064":0',
    "an unknown field": b'"more":1,"more":2',
    "a feature": b'"offer_features":{"x":1,"x":2}',
    "features": b'"offer_features":{"x":1},"offer_features":{"x":2}',
    "a feature's column": b'"offer_features.x":1,"offer_features.x":2',
    "a label beside columns": b'"offer_features.x":1,"accepted":0',
}


@pytest.mark.parametrize("what", TWICE)
def test_a_key_given_twice_is_refused(tmp_path: Path, what: str) -> None:
    line = b'{"customer_id":"c","offer_id":"o","accepted":1%b}\n'
    (tmp_path / "a.jsonl").write_bytes(line % b"" + line % (b"," + TWICE[what]))
    with pytest.raises(UsageError, match=r"a\.jsonl, line 2: .*twice"):
        list(ExampleFiles.at(tmp_path / "a.jsonl").chunks())


def test_colons_nulls_and_unknown_fields_are_read(tmp_path: Path) -> None:
    more = b'"request_id":"a:b","cause":null,"release_id":"r","label_time_ms":1,"note":{"x":[1]},"offer_features":{"u":"http://x"}'
    (tmp_path / "a.jsonl").write_bytes(b'{"customer_id":"c","offer_id":"o","accepted":1,%b}\n' % more)
    (chunk,) = ExampleFiles.at(tmp_path / "a.jsonl").chunks()
    assert chunk.offers.features == [{"u": "http://x"}]
