"""Converts rows of the training buffer to Arrow tables and back.

The schema of a file:

    example_id string · revision int32 · request_id string · customer_id string · offer_id string · accepted int8 ·
    cause dictionary<string> · customer_features string · offer_features string · rank int32? · score float64? ·
    propensity float64? · release_id dictionary<string>? · request_time_ms int64 · label_time_ms int64 ·
    exposure dictionary<string> · keep_prob float64 · tower_rank int32? · reranker_score float64?

A file has the last two columns only where a re-ranker ranked any of its rows.

`customer_features` and `offer_features` are exact JSON objects, and training reads these. For other tools, each feature
of the file also has a typed column `customer.<name>` or `offer.<name>`, in order of name, which is null where the
feature is absent or null:

    number -> float64 · bool -> bool · string -> dictionary<string>
    list of strings -> list<string> · list of numbers -> list<float64>

A feature that has several kinds within a file has no typed column, and the file's metadata names it. An empty list fits
either kind of list. A feature that is null in every row has no column. `day` is part of the path (hive style).

The metadata of the file's schema are `stream_scorer.schema` (1), `.topic`, `.partition`, `.first` and `.next` (the
range of offsets), `.mixed` (a JSON list of column names), and `.sampled` (a JSON list of [first, next, keep_prob]: the
share of the assumed negatives of these offsets that was kept).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from stream_scorer.core.buffer.buffer_files import BufferFile, Sampled
from stream_scorer.core.buffer.examples import ExampleRow
from stream_scorer.core.messages import Features
from stream_scorer.errors import UsageError

MIXED = "stream_scorer.mixed"
SAMPLED = "stream_scorer.sampled"
_WORDS = pa.dictionary(pa.int32(), pa.string())
COLUMNS: dict[str, pa.DataType] = {
    "example_id": pa.string(),
    "revision": pa.int32(),
    "request_id": pa.string(),
    "customer_id": pa.string(),
    "offer_id": pa.string(),
    "accepted": pa.int8(),
    "cause": _WORDS,
    "customer_features": pa.string(),
    "offer_features": pa.string(),
    "rank": pa.int32(),
    "score": pa.float64(),
    "propensity": pa.float64(),
    "release_id": _WORDS,
    "request_time_ms": pa.int64(),
    "label_time_ms": pa.int64(),
    "exposure": _WORDS,
    "keep_prob": pa.float64(),
    "tower_rank": pa.int32(),
    "reranker_score": pa.float64(),
}
_OF_RERANKERS = ("tower_rank", "reranker_score")
_SIDES = {"customer": "customer_features", "offer": "offer_features"}
_TYPES: dict[str, pa.DataType] = {
    "number": pa.float64(),
    "bool": pa.bool_(),
    "string": _WORDS,
    "strings": pa.list_(pa.string()),
    "numbers": pa.list_(pa.float64()),
}
_SCALARS = {float: "number", int: "number", bool: "bool", str: "string"}
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_sampled = msgspec.json.Decoder(list[Sampled]).decode


def to_parquet(file: BufferFile, rows: Sequence[ExampleRow], sampled: Sampled) -> bytes:
    """Return the bytes of a file of these rows; the same rows always give the same bytes."""
    table, mixed = to_table(rows)
    return encode(table, file, mixed, [sampled])


def encode(table: pa.Table, file: BufferFile, mixed: Sequence[str], sampled: Sequence[Sampled]) -> bytes:
    """Return the bytes of a file of this table; `mixed` and `sampled` go into its metadata."""
    facts = {
        "schema": 1,
        "topic": file.partition.topic,
        "partition": file.partition.number,
        "first": file.first,
        "next": file.next,
    }
    metadata = {f"stream_scorer.{name}": str(value) for name, value in facts.items()}
    metadata[MIXED] = msgspec.json.encode(list(mixed)).decode()
    metadata[SAMPLED] = msgspec.json.encode(list(sampled)).decode()
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def sampled_in(metadata: Mapping[bytes, bytes] | None) -> list[Sampled]:
    """Return how the rows of a file were sampled, from the metadata of its schema; empty where they state nothing.

    Raises UsageError where the metadata are not a list of [first, next, keep_prob].
    """
    stated = (metadata or {}).get(SAMPLED.encode(), b"[]")
    try:
        return _sampled(stated)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{SAMPLED} in a file of the training buffer must be a list of stretches: {error}") from error


def to_table(rows: Sequence[ExampleRow]) -> tuple[pa.Table, list[str]]:
    """Return the rows as a table, and the names of columns left out because their feature has several kinds."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    values: dict[str, Sequence[Any]] = dict(zip(ExampleRow._fields, columns, strict=True))
    # without a re-ranker, a file stays as it was before there were any, to the byte
    own = [name for name in COLUMNS if name not in _OF_RERANKERS or any(one is not None for one in values[name])]
    arrays = {name: pa.array(values[name], type=COLUMNS[name]) for name in own if name not in _SIDES.values()}
    typed: dict[str, pa.Array] = {}
    mixed: list[str] = []
    for side, column in _SIDES.items():
        # Columns are built for the distinct features alone, and then spread over the rows.
        texts, maps, index = _distinct(values[column])
        arrays[column] = pa.array(texts, type=pa.string()).take(index)
        for name, array in _typed_columns(side, maps, mixed).items():
            typed[name] = array.take(index)
    return pa.table({name: arrays[name] for name in own} | typed), mixed


def _distinct(maps: Sequence[Features]) -> tuple[list[str], list[Features], pa.Array]:
    """Return the distinct JSON texts, the features of each, and the index (n,) of each row's text.

    Many rows have the features of the same offer, and often the same dict. Its `id` then saves encoding it again; no
    `id` is reused here, since `maps` keeps all dicts alive.
    """
    place_of_text: dict[str, int] = {}
    place_of_map: dict[int, int] = {}
    kept: list[Features] = []
    for features in maps:
        if id(features) not in place_of_map:
            text = msgspec.json.encode(features).decode()
            if text not in place_of_text:
                place_of_text[text] = len(kept)
                kept.append(features)
            place_of_map[id(features)] = place_of_text[text]
    return list(place_of_text), kept, pa.array([place_of_map[id(features)] for features in maps], type=pa.int64())


def _typed_columns(side: str, maps: Sequence[Features], mixed: list[str]) -> dict[str, pa.Array]:
    """Return a column for each feature of a single kind, and add the names of the others to `mixed`."""
    typed: dict[str, pa.Array] = {}
    for name in sorted(set().union(*maps)):
        column = [features.get(name) for features in maps]
        kinds = _kinds(column)
        if len(kinds) > 1:
            mixed.append(f"{side}.{name}")
        elif kinds:
            typed[f"{side}.{name}"] = pa.array(column, type=_TYPES[kinds.pop()])
    return typed


def _kinds(column: Sequence[object]) -> set[str]:
    types = set(map(type, column))  # exact types, since isinstance would take a bool for an int
    kinds = {_SCALARS[one] for one in types if one in _SCALARS}
    if list in types:
        lists = {_kind_of_list(value) for value in column if isinstance(value, list)}
        kinds |= (lists - {"empty"}) or {"strings"}  # empty lists alone do not show their kind
    return kinds


def _kind_of_list(value: Sequence[object]) -> str:
    if not value:
        return "empty"
    return "strings" if isinstance(value[0], str) else "numbers"


def in_our_types(path: str, table: pa.Table) -> pa.Table:
    """Return a table of the buffer with its columns in our types, where another tool has written them in its own.

    Times that the tool has typed as such become milliseconds. Raises UsageError, naming the file, the column and its
    type, for what our types cannot hold.
    """
    for place, field in enumerate(table.schema):
        ours = COLUMNS.get(field.name, field.type)
        if field.type != ours:
            try:
                table = table.set_column(place, field.name, _cast(table.column(place), ours))
            except pa.ArrowException as error:
                raise UsageError(
                    f"{path}: column {field.name!r} is {field.type}, where the training buffer has {ours}: {error}; "
                    "remove the file or put it right"
                ) from error
    return table


def _cast(column: pa.ChunkedArray, ours: pa.DataType) -> pa.ChunkedArray:
    # a cast of a time to an integer counts whatever unit the time has
    return (column.cast(pa.timestamp("ms")) if pa.types.is_timestamp(column.type) else column).cast(ours)


def from_table(path: str, table: pa.Table) -> list[ExampleRow]:
    """Read rows back exactly as they were written, also where a tool has rewritten them in wider types.

    Raises UsageError for a table that lacks our columns, or has values that do not fit them.
    """
    table = in_our_types(path, table)
    try:
        columns: list[list[Any]] = [
            [None] * table.num_rows
            if name in _OF_RERANKERS and name not in table.schema.names
            else table.column(name).to_pylist()
            for name in ExampleRow._fields
        ]
        for column in _SIDES.values():
            place = ExampleRow._fields.index(column)
            columns[place] = [_decode(text) for text in columns[place]]
    except (KeyError, TypeError, UnicodeDecodeError, RecursionError, msgspec.MsgspecError, pa.ArrowException) as error:
        raise UsageError(f"{path} is no file of the training buffer, remove it or put it right: {error}") from error
    return [ExampleRow(*values) for values in zip(*columns, strict=True)]
