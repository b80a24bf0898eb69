"""Every column of every table in every Arrow type: it reads as the plain file does, or is refused with a sentence."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_scorer.adapters.files.event_files import EventFile
from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.files.offer_files import read_offers
from stream_scorer.adapters.files.vector_files import read_vectors
from stream_scorer.adapters.tables.arrow_columns import category_of
from stream_scorer.adapters.tables.kinds import FEATURE, FEATURES, Kind, Misfit
from stream_scorer.adapters.tables.layouts import ACCEPTANCES, LABELS, OFFERS, REQUESTS, Layout, vectors_layout
from stream_scorer.errors import UsageError

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
MS, MIDNIGHT_MS = int(MOMENT.timestamp()) * 1000, int(MIDNIGHT.timestamp()) * 1000
NAMED = UUID("0123456789abcdef0123456789abcdef")

# an Arrow array of two values, and what they are in the plain file
WORDS = ["a", "b"]
ARRAYS: dict[str, tuple[pa.Array, list[Any]]] = {
    "null": (pa.nulls(2), [None, None]),
    "large_string": (pa.array(WORDS, pa.large_string()), WORDS),
    "string_view": (pa.array(WORDS, pa.string_view()), WORDS),
    "string with null": (pa.array(["a", None]), ["a", None]),
    "dictionary": (pa.array(WORDS).dictionary_encode(), WORDS),
    "dictionary of null index": (pa.DictionaryArray.from_arrays([0, None], ["a"]), ["a", None]),
    "dictionary of integers": (pa.array([1, 0]).dictionary_encode(), [1, 0]),
    "shown": (pa.DictionaryArray.from_arrays([0, None], ["assumed"]), ["assumed", None]),
    "uuid": (pa.array([NAMED.bytes, None], pa.uuid()), [str(NAMED), None]),
    "bool": (pa.array([True, False]), [True, False]),
    "bool with null": (pa.array([True, None]), [True, None]),
    "half": (pa.array(np.array([1, 0], np.float16)), [1, 0]),
    "float": (pa.array([1, 0], pa.float32()), [1, 0]),
    "double": (pa.array([1.0, 0.0]), [1, 0]),
    "double with NaN": (pa.array([1.0, float("nan")]), [1, None]),
    "fractions": (pa.array([0.5, 0.25]), [0.5, 0.25]),
    "decimal": (pa.array([Decimal("1.00"), Decimal("0.00")]), [1, 0]),
    "decimal256": (pa.array([Decimal(1), None], pa.decimal256(40, 2)), [1, None]),
    "timestamp[s]": (pa.array([MOMENT] * 2, pa.timestamp("s")), [MS, MS]),
    "timestamp[ms]": (pa.array([MOMENT] * 2, pa.timestamp("ms")), [MS, MS]),
    "timestamp[us]": (pa.array([MOMENT, None], pa.timestamp("us")), [MS, None]),
    "timestamp[ns]": (pa.array([MS * 10**6 + 7] * 2, pa.timestamp("ns")), [MS, MS]),
    "timestamp[us, Rome]": (pa.array([MOMENT] * 2, pa.timestamp("us", "Europe/Rome")), [MS, MS]),
    "date32": (pa.array([date(2026, 1, 2)] * 2, pa.date32()), [MIDNIGHT_MS] * 2),
    "date64": (pa.array([date(2026, 1, 2)] * 2, pa.date64()), [MIDNIGHT_MS] * 2),
    "list": (pa.array([["x"], ["y", "z"]]), [["x"], ["y", "z"]]),
    "large_list": (pa.array([[1.0], [2.0]], pa.large_list(pa.float32())), [[1], [2]]),
    "fixed_size_list": (pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float64(), 2)), [[1, 2]] * 2),
    "list of dictionary": (pa.array([["x"], []], pa.list_(pa.dictionary(pa.int32(), pa.string()))), [["x"], []]),
    "list with null": (pa.array([["x", None], ["y"]]), [["x", None], ["y"]]),
    "struct": (pa.array([{"x": 1, "at": MOMENT}, {"x": 2, "at": None}]), [{"x": 1, "at": MS}, {"x": 2, "at": None}]),
    "map": (pa.array([[("x", 1.5)], []], pa.map_(pa.string(), pa.float64())), [{"x": 1.5}, {}]),
    "json": (pa.array(['{"x": 1}', None]), [{"x": 1}, None]),
    **{f"int{bits}": (pa.array([1, 0], getattr(pa, f"int{bits}")()), [1, 0]) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (pa.array([1, None], getattr(pa, f"uint{bits}")()), [1, None]) for bits in (8, 16, 32, 64)},
}  # fmt: skip
REFUSED: dict[str, pa.Array] = {
    "binary": pa.array([b"a", b"b"]),
    "large_binary": pa.array([b"a", b"b"], pa.large_binary()),
    "binary_view": pa.array([b"a", b"b"], pa.binary_view()),
    "fixed_size_binary": pa.array([b"a", b"b"], pa.binary(1)),
    "dictionary of binary": pa.array([b"a", b"b"]).dictionary_encode(),
    "time": pa.array([time(1, 2)] * 2),
    "duration": pa.array([timedelta(1)] * 2),
    "infinity": pa.array([float("inf")] * 2),
    "list of structs": pa.array([[{"x": 1}], []]),
}

Row = Mapping[str, Any]


def of_offers(path: Path) -> object:
    return read_offers(path)


def of_labels(path: Path) -> object:
    columns = []
    for chunk in ExampleFiles.at(path).chunks():
        sides = [
            [(side.ids[at], side.features[at]) for at in index]
            for side, index in ((chunk.customers, chunk.customer), (chunk.offers, chunk.offer))
        ]
        numbers = (
            chunk.accepted,
            chunk.rank,
            chunk.score,
            chunk.propensity,
            chunk.weight,
            chunk.request_time_ms,
            chunk.shown,
            chunk.tower_rank,
        )
        columns.append((sides, chunk.request.tolist(), [repr(each.tolist()) for each in numbers]))
    return columns


def of_vectors(path: Path) -> object:
    read = read_vectors(path, "offer_id")
    return read.ids, read.vectors.tolist()


def events(layout: Layout) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        return [_without_nulls(event.value or b"") for event in EventFile(path, layout=layout, key="customer_id")]

    return read


def _without_nulls(value: bytes) -> object:
    message = msgspec.json.decode(value)
    return {name: each for name, each in message.items() if each is not None and (name != "features" or each)}


LABEL = {"customer_id": "c", "offer_id": "o", "accepted": 1, "request_id": "r", "example_id": "e"}
TABLES: dict[str, tuple[Callable[[Path], object], Row, tuple[str, ...]]] = {
    "offers": (
        of_offers,
        {"features": {"x": 1}},
        ("offer_id", "active", "valid_from_ms", "valid_until_ms", "features", "features.x"),
    ),
    "labels": (
        of_labels,
        LABEL,
        (
            "customer_id", "offer_id", "accepted", "request_id",
            "example_id", "revision", "rank", "score", "propensity", "tower_rank",
            "keep_prob", "request_time_ms", "exposure", "customer_features", "offer_features", "offer_features.x",
        ),
    ),
    "vectors": (of_vectors, {"vector": [1.0, 2.0]}, ("offer_id", "vector")),
}  # fmt: skip
IDS = {"offer_id": ["o1", "o2"], "example_id": ["e1", "e2"]}


def rows(table: str, column: str, values: list[Any]) -> list[dict[str, Any]]:
    _, usual, _ = TABLES[table]
    side = column.partition(".")[0]
    made = []
    for at, value in enumerate(values):
        row = {**usual, **{name: ids[at] for name, ids in IDS.items() if name in usual or table != "labels"}}
        row.pop(side, None)
        if table == "offers" and "features" not in row and side != "features":
            row["features"] = {}
        made.append({**row, column: value})
    return made


def written(folder: Path, table: str, column: str, array: pa.Array, values: list[Any]) -> tuple[Path, Path]:
    plain, arrow = folder / "plain.jsonl", folder / "arrow.parquet"
    listed = rows(table, column, values)
    plain.write_text("".join(json.dumps(row) + "\n" for row in listed))
    texts = [
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items() if name != column}
        for row in listed
    ]
    others = pa.Table.from_pylist(texts)
    pq.write_table(others.append_column(column, array), arrow)
    return plain, arrow


def outcome(read: Callable[[Path], object], path: Path) -> object:
    try:
        return read(path)
    except UsageError:
        return "refused"


def kinds_of(table: str) -> Mapping[str, Kind]:
    layout = {"offers": OFFERS, "labels": LABELS, "vectors": vectors_layout("offer_id")}[table]
    sides = dict.fromkeys(layout.sides, FEATURES)
    return {**layout.own, **sides, **{f"{side}.x": FEATURE for side in sides}}


def is_fair(table: str, column: str, kind: str) -> bool:
    """A JSON object as text is what an object is in a column of features alone."""
    return kind != "json" or kinds_of(table)[column] is FEATURES


@pytest.mark.parametrize("kind", ARRAYS)
def test_any_type_reads_as_the_plain_file(tmp_path: Path, kind: str) -> None:
    array, values = ARRAYS[kind]
    for table, (read, _, columns) in TABLES.items():
        for column in columns:
            if not is_fair(table, column, kind):
                continue
            plain, arrow = written(tmp_path, table, column, array, values)
            expected = outcome(read, plain)
            if category_of(array.type) not in kinds_of(table)[column].takes and array.null_count < 2:
                expected = "refused"
            assert repr(outcome(read, arrow)) == repr(expected), (table, column)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_type_without_meaning_is_refused(tmp_path: Path, kind: str) -> None:
    for table, (read, _, columns) in TABLES.items():
        for column in columns:
            _, arrow = written(tmp_path, table, column, REFUSED[kind], [None, None])
            with pytest.raises(UsageError, match=r"arrow\.parquet") as refused:
                read(arrow)
            assert column.partition(".")[0] in str(refused.value), refused.value


EVENTS: list[tuple[Layout, Row, str]] = [
    (layout, {"request_id": "r", **({"features": {}} if layout is REQUESTS else {})}, column)
    for layout in (REQUESTS, ACCEPTANCES)
    for column in (*layout.own, *(("features", "features.x") if layout is REQUESTS else ()))
]


@pytest.mark.parametrize("kind", ARRAYS)
def test_events_of_any_type_are_converted(tmp_path: Path, kind: str) -> None:
    array, values = ARRAYS[kind]
    for layout, _, column in EVENTS:
        of = {**layout.own, "features": FEATURES, "features.x": FEATURE}[column]
        if kind == "json" and of is not FEATURES:
            continue
        pq.write_table(pa.table({column: array}), tmp_path / "a.parquet")
        got = outcome(events(layout), tmp_path / "a.parquet")
        try:
            of.check(category_of(array.type))
            converted = [of.convert(value) for value in values]
        except Misfit:
            assert got == "refused", (column, got)
            continue
        name, _, feature = column.partition(".")
        nested = [{feature: value} if feature else value for value in converted]
        assert got == [{} if value is None or value == {} else {name: value} for value in nested], column


@pytest.mark.parametrize("kind", REFUSED)
def test_events_without_meaning_are_refused(tmp_path: Path, kind: str) -> None:
    for layout, _, column in EVENTS:
        if column != "filters":
            pq.write_table(pa.table({column: REFUSED[kind]}), tmp_path / "a.parquet")
            assert outcome(events(layout), tmp_path / "a.parquet") == "refused", column
