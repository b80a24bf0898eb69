"""Reads labelled rows of CSV, JSON lines and Parquet into columns; features stay text until they are needed.

Columns that a file lacks take defaults.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from stream_scorer.adapters.files.label_lines import COLUMNS, UNREAD, json_lines
from stream_scorer.adapters.tables.arrow_columns import batches, check_type, opened_parquet, plain_values
from stream_scorer.adapters.tables.columns import ArrowColumn, Column, ListColumn
from stream_scorer.adapters.tables.features import features_of
from stream_scorer.adapters.tables.kinds import Misfit
from stream_scorer.adapters.tables.label_bounds import (
    checked_ids,
    checked_integers,
    checked_labels,
    checked_numbers,
    checked_words,
)
from stream_scorer.adapters.tables.layouts import LABELS, ReadingPlan, plan_of
from stream_scorer.adapters.tables.lines import chunked
from stream_scorer.adapters.tables.places import Place
from stream_scorer.adapters.tables.reader import TableFile
from stream_scorer.core.datasets.chunks import ExampleChunk, Ints, Views

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 65_536

Hashes = npt.NDArray[np.uint64]
Pair = tuple[str, bytes]  # an id and the text of its features
Columns = Mapping[str, Column]

_HEX = re.compile("[0-9a-f]{32}")
# 2**64 divided by the golden ratio, the multiplier of Fibonacci hashing (Knuth, TAOCP 3, 6.4).
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Rows of a file as columns (n,); `customer` and `offer` index the distinct pairs of id and features."""

    place: Place
    line: Ints  # counted from 1
    example: Hashes  # 0: the row has no example_id
    revision: Ints
    request: Hashes
    customer_pairs: Sequence[Pair]
    customer: Ints
    offer_pairs: Sequence[Pair]
    offer: Ints
    accepted: npt.NDArray[np.int8]
    rank: Ints
    score: npt.NDArray[np.float64]
    propensity: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    request_time_ms: Ints
    label_time_ms: Ints
    shown: npt.NDArray[np.bool_]
    tower_rank: Ints

    def __len__(self) -> int:
        """Rows."""
        return len(self.line)

    def kept(self, keep: npt.NDArray[np.bool_]) -> "RawChunk":
        """Return the rows marked in `keep` (n,); all pairs stay, so a pair may be left without a row."""
        if keep.all():
            return self
        columns: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        cut: dict[str, Any] = {name: column[keep] for name, column in columns.items() if isinstance(column, np.ndarray)}
        return replace(self, **cut)

    def parsed(self) -> ExampleChunk:
        """Parse the features of each distinct pair. Raises UsageError, with file, line and reason, for bad features."""
        return ExampleChunk(
            customers=self._views(self.customer_pairs, self.customer, "customer_features"),
            offers=self._views(self.offer_pairs, self.offer, "offer_features"),
            customer=self.customer,
            offer=self.offer,
            request=self.request,
            accepted=self.accepted,
            rank=self.rank,
            score=self.score,
            propensity=self.propensity,
            weight=self.weight,
            request_time_ms=self.request_time_ms,
            label_time_ms=self.label_time_ms,
            shown=self.shown,
            tower_rank=self.tower_rank,
        )

    def _views(self, pairs: Sequence[Pair], pair_of: Ints, name: str) -> Views:
        features: list[dict[str, Any]] = []
        for pair, (_, text) in enumerate(pairs):
            try:
                features.append(features_of(text))
            except Misfit as misfit:
                rows = np.flatnonzero(pair_of == pair)
                if not rows.size:
                    features.append({})  # only rows that a later revision replaced have it
                    continue
                place = replace(self.place, column=name, rows=self.line.tolist())
                raise place.refusal(int(rows[0]), text.decode(errors="replace"), str(misfit)) from misfit
        return Views([identity for identity, _ in pairs], features)


def json_rows(file: Path) -> Iterator[RawChunk]:
    """Yield the rows of a JSON lines file. Raises UsageError, with file, line and reason, for a bad row."""
    for lines, listed in json_lines(file, CHUNK_ROWS):
        yield _of_lists(file, listed, lines)


def csv_rows(file: Path) -> Iterator[RawChunk]:
    """Yield the rows of a CSV file. Raises UsageError, with file, line and reason, for a bad row."""
    for lines, rows in chunked(TableFile(file, LABELS, format="csv").rows(), CHUNK_ROWS, _size):
        yield _of_lists(file, _columns_of(rows), lines)


def _size(row: Mapping[str, Any]) -> int:
    """Return roughly the size of a row, by its texts and features: nothing else in it can be large."""
    return sum(
        len(value) if isinstance(value, str) else _size(value)
        for value in row.values()
        if isinstance(value, str | dict)
    )


def _columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in COLUMNS}


def _of_lists(file: Path, listed: Mapping[str, Sequence[Any]], lines: Sequence[int]) -> RawChunk:
    columns: dict[str, Column] = {
        name: ListColumn(Place(file, name, lines, "line"), values)
        for name, values in listed.items()
        if name in LABELS.required or any(value is not None for value in values)
    }
    return _chunk(Place(file, "", lines, "line"), columns)


def parquet(file: Path) -> Iterator[RawChunk]:
    """Yield the rows of a Parquet file. Raises UsageError, with file, row and reason, for a bad row."""
    reader, plan = _open(file)
    kinds = plan.kinds()
    line = 1
    for batch in batches(file, reader, list(kinds), CHUNK_ROWS):
        rows = range(line, line + batch.num_rows)
        yield _chunk(Place(file, "", rows, "row"), _columns(file, batch, plan, rows))
        line += batch.num_rows


def _columns(file: Path, batch: "pa.RecordBatch", plan: ReadingPlan, rows: range) -> dict[str, Column]:
    columns: dict[str, Column] = {
        name: ArrowColumn(Place(file, name, rows, "row"), batch.column(name)) for name in (*plan.own, *plan.whole)
    }
    for side, named in plan.single.items():
        values = {
            feature: Place(file, column, rows, "row").converted(
                plan.kinds()[column], plain_values(file, column, batch.column(column))
            )
            for column, feature in named.items()
        }
        features = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        columns[side] = ListColumn(Place(file, side, rows, "row"), features)
    return columns


def parquet_revisions(file: Path) -> Iterator[tuple[Hashes, Ints]]:
    """Yield the hashed example ids and the revisions of a Parquet file, and read no other column."""
    reader, plan = _open(file)
    read = [name for name in ("example_id", "revision") if name in plan.own]
    line = 1
    # Without either column, any required column still gives the number of rows.
    for batch in batches(file, reader, read or ["customer_id"], CHUNK_ROWS):
        rows = range(line, line + batch.num_rows)
        columns: dict[str, Column] = {
            name: ArrowColumn(Place(file, name, rows, "row"), batch.column(name)) for name in read
        }
        yield _example_of(columns, batch.num_rows), _revision_of(columns, batch.num_rows)
        line += batch.num_rows


def _open(file: Path) -> tuple["pa.parquet.ParquetFile", ReadingPlan]:
    reader = opened_parquet(file)
    names = [name for name in reader.schema_arrow.names if name not in UNREAD]
    plan = plan_of(file, names, LABELS)
    for name, kind in plan.kinds().items():
        check_type(file, name, kind, reader.schema_arrow.field(name).type)
    return reader, plan


def _chunk(place: Place, columns: Columns) -> RawChunk:
    count = len(place.rows)
    accepted = checked_labels(columns["accepted"])
    times = checked_integers(columns, "request_time_ms", count)
    customer_pairs, customer = _pairs(columns, "customer", count)
    offer_pairs, offer = _pairs(columns, "offer", count)
    return RawChunk(
        place=place,
        line=np.array(place.rows, np.int64),
        example=_example_of(columns, count),
        revision=_revision_of(columns, count),
        request=_request_of(columns, [identity for identity, _ in customer_pairs], customer, times),
        customer_pairs=customer_pairs,
        customer=customer,
        offer_pairs=offer_pairs,
        offer=offer,
        accepted=accepted,
        rank=checked_integers(columns, "rank", count),
        score=checked_numbers(columns, "score", count),
        propensity=checked_numbers(columns, "propensity", count),
        weight=_weights(checked_numbers(columns, "keep_prob", count)),
        request_time_ms=times,
        label_time_ms=checked_integers(columns, "label_time_ms", count),
        shown=_shown(columns, count),
        tower_rank=checked_integers(columns, "tower_rank", count),
    )


def _pairs(columns: Columns, side: str, count: int) -> tuple[list[Pair], Ints]:
    """Return the distinct pairs of id and features, and the index (count,) of each row's pair."""
    ids, id_of = checked_ids(columns[f"{side}_id"], required=True)
    features = columns.get(f"{side}_features")
    texts, text_of = ([b"{}"], np.zeros(count, np.int64)) if features is None else features.texts()
    # Numbering a pair by a single integer lets numpy sort integers instead of pairs.
    pairs, pair_of = np.unique(id_of * len(texts) + text_of, return_inverse=True)
    made = [(ids[pair // len(texts)], texts[pair % len(texts)]) for pair in pairs.tolist()]
    return made, pair_of.reshape(-1).astype(np.int64)


def _example_of(columns: Columns, count: int) -> Hashes:
    column = columns.get("example_id")
    if column is None:
        return np.zeros(count, np.uint64)
    if isinstance(column, ArrowColumn) and _all_hex(column.array):
        return _hex_hashes(column.array)
    values, value_of = checked_ids(column)
    return _example_hashes(values)[value_of]


def _revision_of(columns: Columns, count: int) -> Ints:
    return checked_integers(columns, "revision", count)


def _all_hex(column: "pa.Array") -> bool:
    """Return whether all ids look like those that the join writes: 32 hexadecimal digits, which are hashes already."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type) or column.null_count or not len(column):
        return False
    return bool(pc.all(pc.match_substring_regex(column, rf"\A{_HEX.pattern}\z")).as_py())


def _hex_hashes(column: "pa.Array") -> Hashes:
    """Return what `_example_hashes` returns, for all ids at once."""
    # Every id has 32 bytes, so Arrow's buffer of texts is a matrix with an id in each row.
    start = 32 * column.offset
    digits = np.frombuffer(column.buffers()[2], np.uint8, 32 * len(column), start).reshape(-1, 32)
    # '0' is 0x30 and 'a' is 0x61: the low four bits of a letter are 9 too few, and only letters have bit 6.
    nibbles = (digits & 0xF) + 9 * (digits >> 6)
    packed = (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).astype(np.uint8)
    # The digits are written highest first, hence big-endian. 0 is reserved for rows without an id.
    halves = np.ascontiguousarray(packed).view(">u8").astype(np.uint64)
    return np.maximum(halves[:, 0] ^ halves[:, 1] * _MIX, np.uint64(1))


def _example_hashes(values: Sequence[str | None]) -> Hashes:
    """Hash ids, those of 32 digits by folding them, so that text and Parquet files give an id the same hash.

    All digits count: a user's own ids may be numbers that begin with zeros.
    """
    return np.array(
        [_folded(value) if value and _HEX.fullmatch(value) else _hash(value) for value in values], np.uint64
    )


def _folded(digits: str) -> int:
    return max(1, int(digits[:16], 16) ^ int(digits[16:], 16) * int(_MIX) % 2**64)


def _request_of(columns: Columns, customers: Sequence[str], customer_of: Ints, times: Ints) -> Hashes:
    """Return a hash of each row's request, which its id and its customer identify.

    Where no id is given, a customer's rows of the same moment are taken to be the same request.
    """
    column = columns.get("request_id")
    hashed = np.zeros(len(times), np.uint64)
    if column is not None:
        values, value_of = checked_ids(column)
        hashed = _hashes(values)[value_of]
    # Without the multiplication, a request whose id is also its customer's would cancel to 0 in the XOR.
    named = np.where(hashed, hashed, times.astype(np.uint64)) * _MIX
    requests: Hashes = np.maximum(_hashes(customers)[customer_of] ^ named, np.uint64(1))
    return requests


def _shown(columns: Columns, count: int) -> npt.NDArray[np.bool_]:
    column = columns.get("exposure")
    if column is None:
        return np.ones(count, np.bool_)
    values, value_of = checked_words(column, ("shown", "assumed"))
    return np.array([value != "assumed" for value in values], np.bool_)[value_of]


def _weights(keep_prob: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # A negative that was kept with probability p stands for 1 / p of them.
    return 1.0 / np.where(np.isnan(keep_prob), 1.0, keep_prob)


def _hashes(values: Sequence[str | None]) -> Hashes:
    return np.array([_hash(value) for value in values], np.uint64)


def _hash(value: str | None) -> int:
    return xxhash.xxh3_64_intdigest(value.encode()) if value else 0
